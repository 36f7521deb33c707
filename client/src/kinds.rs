//! The kinds that this workspace has to do with as types.
//!
//! Each is read and written here and nowhere else: as functions that are generic over the kind, every crate that uses them would
//! have its own copy of the kind's code, and code is most of what an idle master keeps in memory.

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, Namespace, Node, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service,
    ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::error::{Error, Result};
use crate::object::Object;

macro_rules! objects {
    ($($kind:ident),+ $(,)?) => {$(
        impl Object for $kind {
            fn from_json(json: &[u8]) -> Result<Self> {
                serde_json::from_slice(json).map_err(Error::codec(<Self as k8s_openapi::Resource>::KIND))
            }

            fn to_json(&self) -> Result<Vec<u8>> {
                serde_json::to_vec(self).map_err(Error::codec(<Self as k8s_openapi::Resource>::KIND))
            }
        }
    )+};
}

objects! {
    CertificateSigningRequest, ClusterRole, ConfigMap, ControllerRevision, CronJob, CustomResourceDefinition, DaemonSet, Deployment,
    DeviceClass, EndpointSlice, Endpoints, Event, Job, Lease, Namespace, Node, PersistentVolumeClaim, Pod, PodDisruptionBudget,
    ReplicaSet, ResourceClaim, ResourceClaimTemplate, ResourceQuota, ResourceSlice, Secret, Service, ServiceAccount, StatefulSet,
    SubjectAccessReview, ValidatingAdmissionPolicy,
}
