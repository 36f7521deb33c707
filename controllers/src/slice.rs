//! What the labels of an endpoint slice say: whose it is, and who keeps it.

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::meta::namespace;

/// The name of its service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The controller that keeps it.
pub(crate) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Index values: the service that a slice belongs to.
pub(crate) fn service_index(slice: &EndpointSlice) -> Vec<String> {
    let service = slice.metadata.labels.as_ref().and_then(|l| l.get(SERVICE_NAME));
    service.map(|s| format!("{}/{s}", namespace(&slice.metadata))).into_iter().collect()
}
