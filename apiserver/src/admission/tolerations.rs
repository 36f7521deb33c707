//! How long pods stay on a node that is not ready or unreachable.

use async_trait::async_trait;
use mainstay_api::status::ApiResult;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin, list_mut};

const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// DefaultTolerationSeconds.
pub(crate) struct DefaultTolerationSeconds(pub i64);

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if !writes || !request.subresource.is_empty() || !request.is("", "pods") {
            return Ok(());
        }
        let Some(list) = request.object.as_mut().and_then(|pod| list_mut(pod, "/spec", "tolerations")) else {
            return Ok(());
        };
        let missing: Vec<&str> =
            TAINTS.into_iter().filter(|taint| !list.iter().any(|toleration| tolerates(toleration, taint))).collect();
        for key in missing {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": self.0}));
        }
        super::drop_if_empty(request.object.as_mut(), "/spec", "tolerations");
        Ok(())
    }
}

fn tolerates(toleration: &Value, taint: &str) -> bool {
    let text = |field: &str| toleration.get(field).and_then(Value::as_str).unwrap_or_default();
    matches!(text("effect"), "" | "NoExecute") && (text("key").is_empty() || text("key") == taint)
}
