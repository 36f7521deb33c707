//! `mainstay cordon`, `uncordon` and `drain`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use k8s_openapi::api::core::v1::Pod;
use mainstay_api::resource;
use mainstay_client::{Api, DeleteOptions, ListParams, Patch};
use serde_json::json;

use super::print;
use super::session::{Common, Session};

const POLL: Duration = Duration::from_millis(500);

/// `mainstay cordon` and `uncordon`
#[derive(Args)]
pub(crate) struct CordonArgs {
    #[command(flatten)]
    common: Common,
    /// The nodes
    #[arg(required = true, value_name = "NODE…")]
    nodes: Vec<String>,
}

/// `mainstay drain`
#[derive(Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    common: Common,
    /// The nodes
    #[arg(required = true, value_name = "NODE…")]
    nodes: Vec<String>,
    /// Leave pods of daemon sets where they are
    #[arg(long)]
    ignore_daemonsets: bool,
    /// Also pods with emptyDir volumes, whose data is lost
    #[arg(long)]
    delete_emptydir_data: bool,
    /// Also pods that nothing will start again
    #[arg(long)]
    force: bool,
    /// Seconds that pods get to end
    #[arg(long, value_name = "SECONDS")]
    grace_period: Option<i64>,
    /// How long, for example 60s or 5m; 0 for as long as it takes
    #[arg(long, default_value = "0", value_parser = super::wait::seconds, value_name = "TIME")]
    timeout: u64,
}

/// Takes nodes out of scheduling, or back in.
pub(crate) async fn cordon(args: CordonArgs, closed: bool) -> Result<ExitCode> {
    let session = args.common.session()?;
    for node in &args.nodes {
        mark(&session, node, closed).await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn mark(session: &Session, node: &str, closed: bool) -> Result<()> {
    let Some(row) = resource::find("", "v1", "nodes") else { bail!("this build has no nodes") };
    let api = session.everywhere(row);
    let before = api.get(node, "").await?["spec"]["unschedulable"].as_bool().unwrap_or(false);
    let word = if closed { "cordoned" } else { "uncordoned" };
    if before == closed {
        return print::line(&format!("node/{node} already {word}"));
    }
    let value = if closed { json!(true) } else { json!(null) };
    api.patch(node, "", &Patch::Merge(json!({"spec": {"unschedulable": value}}))).await?;
    print::line(&format!("node/{node} {word}"))
}

/// Cordons nodes and evicts their pods.
pub(crate) async fn drain(args: DrainArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    for node in &args.nodes {
        mark(&session, node, true).await?;
        let pods = Api::<Pod>::all(session.client.clone())
            .list(&ListParams::fields(format!("spec.nodeName={node}")))
            .await?
            .items;
        let leaving = choose(&args, pods)?;
        evict(&args, &session, &leaving).await?;
        print::line(&format!("node/{node} drained"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The pods to evict; refuses if there are some that may not be.
fn choose(args: &DrainArgs, pods: Vec<Pod>) -> Result<Vec<Pod>> {
    let mut leaving = Vec::new();
    let mut held = Vec::new();
    for pod in pods {
        match verdict(args, &pod) {
            Some(Ok(())) => leaving.push(pod),
            Some(Err(why)) => held.push(format!("{} ({why})", name(&pod))),
            None => {}
        }
    }
    if held.is_empty() { Ok(leaving) } else { bail!("cannot evict: {}", held.join(", ")) }
}

/// `None`: the pod stays and that is fine.
fn verdict(args: &DrainArgs, pod: &Pod) -> Option<Result<(), &'static str>> {
    let annotations = pod.metadata.annotations.as_ref();
    if annotations.is_some_and(|map| map.contains_key("kubernetes.io/config.mirror")) {
        return None;
    }
    let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let finished =
        pod.status.as_ref().and_then(|s| s.phase.as_deref()).is_some_and(|p| p == "Succeeded" || p == "Failed");
    if owner.is_some_and(|owner| owner.kind == "DaemonSet") && !finished {
        return if args.ignore_daemonsets { None } else { Some(Err("of a daemon set; use --ignore-daemonsets")) };
    }
    let empty_dirs =
        pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| volume.empty_dir.is_some());
    Some(match (owner, finished) {
        (_, true) => Ok(()),
        (None, _) if !args.force => Err("has no controller; use --force"),
        _ if empty_dirs && !args.delete_emptydir_data => Err("has local data; use --delete-emptydir-data"),
        _ => Ok(()),
    })
}

async fn evict(args: &DrainArgs, session: &Session, pods: &[Pod]) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let options = DeleteOptions { grace_seconds: args.grace_period, ..DeleteOptions::default() };
    for pod in pods {
        let api = Api::<Pod>::namespaced(session.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
        print::line(&format!("evicting pod {}", name(pod)))?;
        let own = pod.metadata.name.as_deref().unwrap_or_default();
        while let Err(error) = api.evict(own, &options).await {
            match error.code() {
                404 => break,
                // A disruption budget says: not now.
                429 if args.timeout == 0 || Instant::now() < deadline => tokio::time::sleep(POLL * 10).await,
                _ => return Err(error.into()),
            }
        }
    }
    for pod in pods {
        let api = Api::<Pod>::namespaced(session.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
        while let Some(found) = api.get_opt(pod.metadata.name.as_deref().unwrap_or_default()).await? {
            if found.metadata.uid != pod.metadata.uid {
                break;
            }
            if args.timeout > 0 && Instant::now() > deadline {
                bail!("{} is still there after {} s", name(pod), args.timeout);
            }
            tokio::time::sleep(POLL).await;
        }
        print::line(&format!("pod/{} evicted", pod.metadata.name.as_deref().unwrap_or_default()))?;
    }
    Ok(())
}

fn name(pod: &Pod) -> String {
    let part = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}/{}", part(&pod.metadata.namespace), part(&pod.metadata.name))
}
