//! Objects live in namespaces that exist and are not being deleted; some namespaces stay.

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::{Attributes, Operation, Plugin};

/// The namespaces that stay.
pub(crate) const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// NamespaceLifecycle.
pub(crate) struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if request.operation == Operation::Delete {
            return keep_immortal(request);
        }
        let review = request.is("authorization.k8s.io", "localsubjectaccessreviews");
        if request.namespace.is_empty()
            || request.is("", "namespaces")
            || review
            || request.operation == Operation::Connect
        {
            return Ok(());
        }
        let Some(namespace) = find(request).await else {
            return Err(Status::not_found("", "namespaces", request.namespace));
        };
        let terminating = namespace.pointer("/status/phase").and_then(Value::as_str) == Some("Terminating")
            || meta::is_deleting(&namespace);
        if request.operation == Operation::Create && terminating {
            return Err(terminating_status(request));
        }
        Ok(())
    }
}

fn keep_immortal(request: &Attributes<'_>) -> ApiResult<()> {
    if request.is("", "namespaces") && request.subresource.is_empty() && IMMORTAL.contains(&request.name) {
        return Err(request.forbidden("this namespace may not be deleted"));
    }
    Ok(())
}

/// A namespace that was made a moment ago by another master may take a moment to be seen here.
async fn find(request: &Attributes<'_>) -> Option<std::sync::Arc<Value>> {
    let get = || request.reader.get("", "namespaces", "", request.namespace);
    if let Some(namespace) = get() {
        return Some(namespace);
    }
    if request.operation == Operation::Create {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    get()
}

fn terminating_status(request: &Attributes<'_>) -> Status {
    let namespace = request.namespace;
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let cause = format!("namespace {namespace} is being terminated");
    request.forbidden(why).with_cause("NamespaceTerminating", &cause, "metadata.namespace")
}
