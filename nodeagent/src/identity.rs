//! What tells pods apart.

use k8s_openapi::api::core::v1::Pod;

/// The pod's identity in one place.
pub(crate) struct Identity<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
}

/// Namespace, name and uid.
pub(crate) fn identity(pod: &Pod) -> Identity<'_> {
    let meta = &pod.metadata;
    Identity {
        namespace: meta.namespace.as_deref().unwrap_or(""),
        name: meta.name.as_deref().unwrap_or(""),
        uid: meta.uid.as_deref().unwrap_or(""),
    }
}
