//! What is filled in from objects that are marked as default, and finalizers that protect what is in use.

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::ApiResult;
use serde_json::{Value, json};

use super::{Attributes, Plugin, list_mut};
use crate::strategy::base::set;

/// DefaultStorageClass.
pub(crate) struct DefaultStorageClass;

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn name(&self) -> &'static str {
        "DefaultStorageClass"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.creates("", "persistentvolumeclaims") {
            return Ok(());
        }
        let class = marked(
            request,
            "storage.k8s.io",
            "storageclasses",
            &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"],
        );
        let Some(claim) = request.object.as_mut() else { return Ok(()) };
        let named = claim.pointer("/spec/storageClassName").is_some_and(|name| !name.is_null())
            || meta::annotation(claim, "volume.beta.kubernetes.io/storage-class").is_some();
        if let (false, Some(class)) = (named, class) {
            set(claim, "/spec/storageClassName", class.into());
        }
        Ok(())
    }
}

/// DefaultIngressClass.
pub(crate) struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.creates("networking.k8s.io", "ingresses") {
            return Ok(());
        }
        let class =
            marked(request, "networking.k8s.io", "ingressclasses", &["ingressclass.kubernetes.io/is-default-class"]);
        let Some(ingress) = request.object.as_mut() else { return Ok(()) };
        let named = ingress.pointer("/spec/ingressClassName").is_some_and(|name| !name.is_null())
            || meta::annotation(ingress, "kubernetes.io/ingress.class").is_some();
        if let (false, Some(class)) = (named, class) {
            set(ingress, "/spec/ingressClassName", class.into());
        }
        Ok(())
    }
}

/// The name of the object marked as default: the newest, of equal ones the first by name.
fn marked(request: &Attributes<'_>, group: &str, resource: &str, annotations: &[&str]) -> Option<String> {
    let mut all: Vec<_> = request.reader.list(group, resource, None);
    all.retain(|object| annotations.iter().any(|key| meta::annotation(object, key) == Some("true")));
    all.sort_by(|a, b| {
        meta::creation_timestamp(b).cmp(&meta::creation_timestamp(a)).then_with(|| meta::name(a).cmp(meta::name(b)))
    });
    all.first().map(|object| meta::name(object).to_owned())
}

/// StorageObjectInUseProtection.
pub(crate) struct StorageProtection;

#[async_trait]
impl Plugin for StorageProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let finalizer = if request.creates("", "persistentvolumes") {
            "kubernetes.io/pv-protection"
        } else if request.creates("", "persistentvolumeclaims") {
            "kubernetes.io/pvc-protection"
        } else if request.creates("storage.k8s.io", "volumeattributesclasses") {
            "kubernetes.io/vac-protection"
        } else {
            return Ok(());
        };
        if let Some(object) = request.object.as_mut() {
            meta::add_finalizer(object, finalizer);
        }
        Ok(())
    }
}

/// TaintNodesByCondition.
pub(crate) struct TaintNodes;

#[async_trait]
impl Plugin for TaintNodes {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        const KEY: &str = "node.kubernetes.io/not-ready";
        if !request.creates("", "nodes") {
            return Ok(());
        }
        let Some(taints) = request.object.as_mut().and_then(|node| list_mut(node, "/spec", "taints")) else {
            return Ok(());
        };
        let has = |taint: &Value| taint["key"] == KEY && taint["effect"] == "NoSchedule";
        if !taints.iter().any(has) {
            taints.push(json!({"key": KEY, "effect": "NoSchedule"}));
        }
        Ok(())
    }
}

/// PodTopologyLabels.
pub(crate) struct TopologyLabels;

#[async_trait]
impl Plugin for TopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.is("", "pods") {
            return Ok(());
        }
        let Some(object) = request.object.as_ref() else { return Ok(()) };
        let node = match request.subresource {
            "" => object.pointer("/spec/nodeName"),
            "binding" => object.pointer("/target/name"),
            _ => None,
        };
        let Some(node) = node.and_then(Value::as_str).filter(|name| !name.is_empty()) else { return Ok(()) };
        let Some(node) = request.reader.get("", "nodes", "", node) else { return Ok(()) };
        let Some(object) = request.object.as_mut() else { return Ok(()) };
        for key in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
            if let Some(value) = meta::label(&node, key) {
                meta::set_label(object, key, value);
            }
        }
        Ok(())
    }
}
