//! Any runtime that speaks CRI v1, over its unix socket.

mod convert;
mod shims;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use containerd_client::services::v1::GetContainerRequest;
use containerd_client::services::v1::containers_client::ContainersClient;
use mainstay_proto::cri as wire;
use mainstay_proto::cri::image_service_client::ImageServiceClient;
use mainstay_proto::cri::runtime_service_client::RuntimeServiceClient;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};

use super::events::ExitEvents;
use super::{Census, ExecResult, PodRuntime, Runtime, RuntimeError, RuntimeInfo};
use shims::Shims;

/// For calls that only look.
const QUICK: Duration = Duration::from_secs(10);
/// For sandboxes and containers, which start processes.
const SLOW: Duration = Duration::from_secs(120);
/// For images.
const PULL: Duration = Duration::from_secs(900);
/// Largest answer: a node has many containers.
const ANSWER_BYTES: usize = 64 << 20;

/// containerd or another CRI runtime; connects when first used and again after each break.
pub struct CriRuntime {
    channel: Channel,
    exits: ExitEvents,
    shims: Shims,
}

impl CriRuntime {
    /// For the socket of an endpoint such as `unix:///run/containerd/containerd.sock`; must be called within tokio.
    pub fn connect(endpoint: &str) -> CriRuntime {
        let path = PathBuf::from(endpoint.strip_prefix("unix://").unwrap_or(endpoint));
        let shims = Shims::new(path.clone());
        let connect = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move {
                let stream = tokio::net::UnixStream::connect(path).await?;
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost").connect_timeout(Duration::from_secs(2));
        let channel = endpoint.connect_with_connector_lazy(connect);
        let exits = ExitEvents::subscribe(channel.clone());
        CriRuntime { channel, exits, shims }
    }

    fn runtime(&self) -> RuntimeServiceClient<Channel> {
        RuntimeServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES)
    }

    fn image_service(&self) -> ImageServiceClient<Channel> {
        ImageServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES)
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, RuntimeError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner).map_err(|status| convert::error(&status)),
        Err(_) => Err(RuntimeError::Timeout(limit)),
    }
}

/// Going twice is as good as going once.
fn gone_is_fine(result: Result<(), RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Err(RuntimeError::NotFound(_)) => Ok(()),
        other => other,
    }
}

impl CriRuntime {
    async fn sandboxes(&self, uid: Option<&str>) -> Result<Vec<wire::PodSandbox>, RuntimeError> {
        let filter =
            uid.map(|uid| wire::PodSandboxFilter { label_selector: convert::by_uid(uid), ..Default::default() });
        let request = wire::ListPodSandboxRequest { filter };
        Ok(within(QUICK, self.runtime().list_pod_sandbox(request)).await?.items)
    }

    async fn containers(&self, uid: Option<&str>) -> Result<Vec<wire::Container>, RuntimeError> {
        let filter =
            uid.map(|uid| wire::ContainerFilter { label_selector: convert::by_uid(uid), ..Default::default() });
        let request = wire::ListContainersRequest { filter };
        Ok(within(QUICK, self.runtime().list_containers(request)).await?.containers)
    }

    /// Whether containerd knows a container, one that somebody else made or that is being made as well.
    async fn has_container(&self, id: &str) -> Result<bool, RuntimeError> {
        let mut request = tonic::Request::new(GetContainerRequest { id: id.to_owned() });
        request.metadata_mut().insert("containerd-namespace", MetadataValue::from_static(shims::NAMESPACE));
        match within(QUICK, ContainersClient::new(self.channel.clone()).get(request)).await {
            Ok(_) => Ok(true),
            Err(RuntimeError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// `None` if it went away since it was listed.
    async fn sandbox_status(&self, id: String) -> Result<Option<wire::PodSandboxStatus>, RuntimeError> {
        let request = wire::PodSandboxStatusRequest { pod_sandbox_id: id, verbose: false };
        match within(QUICK, self.runtime().pod_sandbox_status(request)).await {
            Ok(answer) => Ok(answer.status),
            Err(RuntimeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn container_status(&self, id: String) -> Result<Option<wire::ContainerStatus>, RuntimeError> {
        let request = wire::ContainerStatusRequest { container_id: id, verbose: false };
        match within(QUICK, self.runtime().container_status(request)).await {
            Ok(answer) => Ok(answer.status),
            Err(RuntimeError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Runtime for CriRuntime {
    async fn pod(&self, uid: &str) -> Result<PodRuntime, RuntimeError> {
        let (sandboxes, containers) = tokio::try_join!(self.sandboxes(Some(uid)), self.containers(Some(uid)))?;
        let mut pod = PodRuntime::default();
        for sandbox in sandboxes {
            pod.sandboxes.extend(self.sandbox_status(sandbox.id).await?.map(convert::sandbox));
        }
        for container in containers {
            let sandbox = container.pod_sandbox_id.clone();
            let status = self.container_status(container.id).await?;
            pod.containers.extend(status.map(|status| convert::container(status, sandbox)));
        }
        pod.sort();
        Ok(pod)
    }

    async fn census(&self) -> Result<Census, RuntimeError> {
        let (sandboxes, containers) = tokio::try_join!(self.sandboxes(None), self.containers(None))?;
        Ok(convert::census(sandboxes, containers))
    }

    async fn create_sandbox(&self, config: wire::PodSandboxConfig) -> Result<String, RuntimeError> {
        let request = wire::RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        Ok(within(SLOW, self.runtime().run_pod_sandbox(request)).await?.pod_sandbox_id)
    }

    async fn stop_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
        gone_is_fine(within(SLOW, self.runtime().stop_pod_sandbox(request)).await.map(|_| ()))
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
        gone_is_fine(within(SLOW, self.runtime().remove_pod_sandbox(request)).await.map(|_| ()))
    }

    async fn create_container(
        &self,
        sandbox: &str,
        config: wire::ContainerConfig,
        sandbox_config: wire::PodSandboxConfig,
    ) -> Result<String, RuntimeError> {
        let request = wire::CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        Ok(within(SLOW, self.runtime().create_container(request)).await?.container_id)
    }

    async fn start_container(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::StartContainerRequest { container_id: id.to_owned() };
        within(SLOW, self.runtime().start_container(request)).await.map(|_| ())
    }

    async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), RuntimeError> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = wire::StopContainerRequest { container_id: id.to_owned(), timeout };
        gone_is_fine(within(SLOW.saturating_add(grace), self.runtime().stop_container(request)).await.map(|_| ()))
    }

    async fn remove_container(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::RemoveContainerRequest { container_id: id.to_owned() };
        gone_is_fine(within(SLOW, self.runtime().remove_container(request)).await.map(|_| ()))
    }

    async fn exec_sync(&self, id: &str, command: &[String], limit: Duration) -> Result<ExecResult, RuntimeError> {
        let timeout = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX).max(1);
        let request = wire::ExecSyncRequest { container_id: id.to_owned(), cmd: command.to_vec(), timeout };
        let answer = within(limit + QUICK, self.runtime().exec_sync(request)).await?;
        let output = [answer.stdout, answer.stderr].concat().into();
        Ok(ExecResult { exit_code: answer.exit_code, output })
    }

    async fn exec_url(&self, request: wire::ExecRequest) -> Result<String, RuntimeError> {
        Ok(within(QUICK, self.runtime().exec(request)).await?.url)
    }

    async fn attach_url(&self, request: wire::AttachRequest) -> Result<String, RuntimeError> {
        Ok(within(QUICK, self.runtime().attach(request)).await?.url)
    }

    async fn port_forward_url(&self, request: wire::PortForwardRequest) -> Result<String, RuntimeError> {
        Ok(within(QUICK, self.runtime().port_forward(request)).await?.url)
    }

    async fn image(&self, image: &str) -> Result<Option<wire::Image>, RuntimeError> {
        let request = wire::ImageStatusRequest { image: Some(convert::image_spec(image)), verbose: false };
        Ok(within(QUICK, self.image_service().image_status(request)).await?.image)
    }

    async fn images(&self) -> Result<Vec<wire::Image>, RuntimeError> {
        Ok(within(QUICK, self.image_service().list_images(wire::ListImagesRequest::default())).await?.images)
    }

    async fn images_in_use(&self) -> Result<Vec<String>, RuntimeError> {
        let containers = self.containers(None).await?;
        let of = |container: wire::Container| {
            [container.image.unwrap_or_default().image, container.image_ref, container.image_id]
        };
        let mut all: Vec<String> = containers.into_iter().flat_map(of).filter(|name| !name.is_empty()).collect();
        let status = within(QUICK, self.runtime().status(wire::StatusRequest { verbose: true })).await?;
        // Sandboxes are made from an image that no container names.
        let config = status.info.get("config").and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        all.extend(config.and_then(|config| config["sandboxImage"].as_str().map(str::to_owned)));
        Ok(all)
    }

    async fn remove_image(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::RemoveImageRequest { image: Some(convert::image_spec(id)) };
        gone_is_fine(within(SLOW, self.image_service().remove_image(request)).await.map(|_| ()))
    }

    async fn reopen_log(&self, id: &str) -> Result<(), RuntimeError> {
        let request = wire::ReopenContainerLogRequest { container_id: id.to_owned() };
        within(QUICK, self.runtime().reopen_container_log(request)).await.map(|_| ())
    }

    async fn pull(&self, image: &str, auth: Option<wire::AuthConfig>) -> Result<String, RuntimeError> {
        let request = wire::PullImageRequest { image: Some(convert::image_spec(image)), auth, sandbox_config: None };
        Ok(within(PULL, self.image_service().pull_image(request)).await?.image_ref)
    }

    async fn info(&self) -> Result<RuntimeInfo, RuntimeError> {
        let version = within(QUICK, self.runtime().version(wire::VersionRequest::default())).await?;
        let status = within(QUICK, self.runtime().status(wire::StatusRequest::default())).await?;
        let conditions = status.status.unwrap_or_default().conditions;
        let trouble: Vec<_> = conditions.iter().filter(|c| !c.status).map(convert::trouble).collect();
        let trouble = (!trouble.is_empty()).then(|| trouble.join(", "));
        Ok(RuntimeInfo { name: version.runtime_name, version: version.runtime_version, trouble })
    }

    async fn end_strays(&self) -> Result<(), RuntimeError> {
        let running = self.shims.running();
        let sandboxes: BTreeSet<String> = self.sandboxes(None).await?.into_iter().map(|sandbox| sandbox.id).collect();
        let mut unknown = BTreeSet::new();
        for shim in running.into_iter().filter(|shim| !sandboxes.contains(&shim.container)) {
            if !self.has_container(&shim.container).await? {
                unknown.insert(shim);
            }
        }
        self.shims.end_strays(unknown);
        Ok(())
    }

    async fn changed(&self) {
        self.exits.wait().await;
    }
}
