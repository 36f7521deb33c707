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
        if text(old, "/status/phase") != "Bound" {
            return Err(request.forbidden("Only bound persistent volume claims can be expanded"));
        }
        let class = class_of(new);
        let expands = request
            .reader
            .get("storage.k8s.io", "storageclasses", "", class)
            .is_some_and(|class| class["allowVolumeExpansion"] == true);
        if class.is_empty() || class != class_of(old) || !expands {
            let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
            return Err(request.forbidden(why));
        }
        Ok(())
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The class of a claim; how it was said in former times counts first.
fn class_of(claim: &Value) -> &str {
    let annotated = mainstay_api::meta::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    annotated.unwrap_or_else(|| text(claim, "/spec/storageClassName"))
}

fn size(claim: &Value) -> Quantity {
    let storage = claim.pointer("/spec/resources/requests/storage");
    storage.and_then(|value| Quantity::from_json(value).ok()).unwrap_or_else(Quantity::zero)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_may_be_annotated() {
        let mut claim = json!({"spec": {"storageClassName": "new"}});
        assert_eq!(class_of(&claim), "new");
        claim["metadata"] = json!({"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}});
        assert_eq!(class_of(&claim), "old");
    }
}
