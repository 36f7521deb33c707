//! The agent's HTTP server: logs, and streams to containers and ports. Masters reach it through the session's tunnel, so no
//! port is open.

mod channels;
mod dial;
mod line;
mod logs;
mod query;
mod spdy;
mod stdio;
mod streams;
mod upgrade;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::Store;
use tokio::io::DuplexStream;

use crate::identity::identity;
use crate::pod::Shared;
use crate::runtime::{Container, PodRuntime};
use query::Query;

pub(crate) use logs::last_lines;

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// A refusal: code and text.
pub(crate) type Refusal = (StatusCode, String);

/// Serves one connection at a time; cheap to share.
pub(crate) struct Server {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    pods: Store<Pod>,
}

impl Server {
    pub fn new(shared: Arc<Shared>, pods: Store<Pod>) -> Server {
        Server { inner: Arc::new(Inner { shared, pods }) }
    }

    /// Speaks HTTP/1.1 on a stream until it ends.
    pub async fn serve(&self, stream: DuplexStream) {
        let inner = Arc::clone(&self.inner);
        let service = hyper::service::service_fn(move |request| {
            let inner = Arc::clone(&inner);
            async move { Ok::<_, Infallible>(inner.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to the agent's server broke");
        }
    }
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.route(request).await {
            Ok(response) => response,
            Err((code, message)) => text(code, message),
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path().to_owned();
        let query = Query::parse(request.uri().query().unwrap_or(""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match parts.as_slice() {
            ["healthz"] => Ok(text(StatusCode::OK, "ok".into())),
            ["containerLogs", namespace, pod, container] => {
                let target = self.find(namespace, pod, container).await?;
                logs::answer(Arc::clone(&self.shared), target, &query).await
            }
            ["exec", namespace, pod, container] => {
                let target = self.find(namespace, pod, container).await?;
                streams::exec(&self.shared, &target, &query, request).await
            }
            ["attach", namespace, pod, container] => {
                let target = self.find(namespace, pod, container).await?;
                streams::attach(&self.shared, &target, &query, request).await
            }
            ["portForward", namespace, pod] => {
                let (_, runtime) = self.pod(namespace, pod).await?;
                let sandbox = runtime.ready_sandbox().map(|sandbox| sandbox.id.as_str());
                streams::port_forward(&self.shared, sandbox, &query, request).await
            }
            ["dial", host, port] => dial::answer(host, port, request).await,
            _ => Err((StatusCode::NOT_FOUND, format!("no such path: {path}"))),
        }
    }

    async fn find(&self, namespace: &str, pod: &str, container: &str) -> Result<Target, Refusal> {
        let (object, runtime) = self.pod(namespace, pod).await?;
        let target = Target { pod: object, runtime, container: container.to_owned() };
        if !target.names().any(|name| name == container) {
            return Err((StatusCode::BAD_REQUEST, format!("container {container} is not valid for pod {pod}")));
        }
        Ok(target)
    }

    async fn pod(&self, namespace: &str, pod: &str) -> Result<(Arc<Pod>, PodRuntime), Refusal> {
        let missing = || (StatusCode::NOT_FOUND, format!("pod {pod:?} not found on this node"));
        let object = self.pods.find(namespace, pod).ok_or_else(missing)?;
        let uid = identity(&object).uid.to_owned();
        let runtime =
            self.shared.runtime.pod(&uid).await.map_err(|e| (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
        Ok((object, runtime))
    }
}

/// The container that a request is about.
pub(crate) struct Target {
    pub pod: Arc<Pod>,
    pub runtime: PodRuntime,
    pub container: String,
}

impl Target {
    /// All containers of the pod.
    fn names(&self) -> impl Iterator<Item = &str> {
        let spec = self.pod.spec.iter();
        spec.flat_map(|spec| {
            let plain = spec.containers.iter().chain(spec.init_containers.iter().flatten()).map(|c| c.name.as_str());
            plain.chain(spec.ephemeral_containers.iter().flatten().map(|c| c.name.as_str()))
        })
    }

    /// The newest run, or the one before.
    pub fn run(&self, previous: bool) -> Option<&Container> {
        self.runtime.named(&self.container).nth(usize::from(previous))
    }
}

fn text(code: StatusCode, message: String) -> Response<Body> {
    let body = Full::new(Bytes::from(message)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let plain = http::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    response
}
