//! What a container wants done right after its start and right before its end.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};

use super::Shared;
use super::http::Get;

/// Longest wait for a hook after the start: it holds up the pod.
const AFTER_START: Duration = Duration::from_secs(600);

/// A container that a hook belongs to.
pub(super) struct Of<'a> {
    pub shared: &'a Shared,
    /// The runtime's name for it.
    pub id: &'a str,
    pub spec: &'a Container,
    /// The pod's address.
    pub host: &'a str,
}

/// Runs the hook after the start, if there is one.
pub(super) async fn post_start(of: &Of<'_>) -> Result<(), String> {
    match of.spec.lifecycle.as_ref().and_then(|l| l.post_start.as_ref()) {
        Some(handler) => run(of, handler, AFTER_START).await,
        None => Ok(()),
    }
}

/// Whether there is something to do before the end.
pub(super) fn has_pre_stop(spec: &Container) -> bool {
    spec.lifecycle.as_ref().is_some_and(|l| l.pre_stop.is_some())
}

/// Runs the hook before the end, for no longer than the grace that is left.
pub(super) async fn pre_stop(of: &Of<'_>, grace: Duration) -> Result<(), String> {
    match of.spec.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref()) {
        Some(handler) => run(of, handler, grace).await,
        None => Ok(()),
    }
}

async fn run(of: &Of<'_>, handler: &LifecycleHandler, limit: Duration) -> Result<(), String> {
    let done = async {
        if let Some(exec) = &handler.exec {
            let command = exec.command.clone().unwrap_or_default();
            let result = of.shared.runtime.exec_sync(of.id, &command, limit).await.map_err(|e| e.to_string())?;
            return match result.exit_code {
                0 => Ok(()),
                code => Err(format!("command '{}' exited with {code}: {}", command.join(" "), text(&result.output))),
            };
        }
        if let Some(action) = &handler.http_get {
            let code = Get::of(action, of.spec, of.host)?.send().await?;
            return if (200..400).contains(&code) { Ok(()) } else { Err(format!("HTTP status {code}")) };
        }
        if let Some(sleep) = &handler.sleep {
            tokio::time::sleep(Duration::from_secs(u64::try_from(sleep.seconds).unwrap_or(0))).await;
            return Ok(());
        }
        Err("invalid handler: no action".to_owned())
    };
    tokio::time::timeout(limit, done).await.unwrap_or_else(|_| Err(format!("not done within {limit:?}")))
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(&output[..output.len().min(1024)]).trim().to_owned()
}
