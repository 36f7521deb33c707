//! Only bound claims of a class that allows it grow.

use async_trait::async_trait;
use mainstay_api::quantity::Quantity;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};

/// PersistentVolumeClaimResize.
pub(crate) struct ClaimResize;

#[async_trait]
impl Plugin for ClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let update = request.operation == Operation::Update && request.subresource.is_empty();
        let (true, Some(new), Some(old)) =
            (update && request.is("", "persistentvolumeclaims"), &request.object, &request.old_object)
        else {
            return Ok(());
        };
        if size(new) <= size(old) {
            return Ok(());
        }
        let text = |object: &Value, pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        if text(old, "/status/phase") != "Bound" {
            return Err(request.forbidden("Only bound persistent volume claims can be expanded"));
        }
        let class = text(new, "/spec/storageClassName");
        let expands = request
            .reader
            .get("storage.k8s.io", "storageclasses", "", &class)
            .is_some_and(|class| class["allowVolumeExpansion"] == true);
        if class.is_empty() || class != text(old, "/spec/storageClassName") || !expands {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
            return Err(request.forbidden(why));
        }
        Ok(())
    }
}

fn size(claim: &Value) -> Quantity {
    let storage = claim.pointer("/spec/resources/requests/storage");
    storage.and_then(|value| Quantity::from_json(value).ok()).unwrap_or_else(Quantity::zero)
}
