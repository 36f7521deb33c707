//! What types and fields mean, in the words of Kubernetes' published schemas, which the bindings (`k8s-openapi`) carry. They
//! are made anew for each document: clients ask once and keep it, and a copy would cost megabytes for good.

use k8s_openapi::api::*;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value};

use super::words;
use crate::resource::{Resource, builtin};
use crate::types::{Field, Shape, Type};

/// Schemas of the bindings by the names that OpenAPI has for them.
pub(super) struct Prose(Map<String, Value>);

impl Prose {
    /// Of all types that objects of any kind are made of.
    pub(super) fn read() -> Self {
        let mut schemas = SchemaGenerator::default();
        ROOTS.iter().for_each(|describe| describe(&mut schemas));
        Self(schemas.take_definitions(false))
    }

    /// What a type is.
    pub(super) fn of_type(&self, of: &Type) -> Option<String> {
        let known = self.0.get(of.name).and_then(description);
        known.or_else(|| listed(of).map(words::of_list))
    }

    /// What a type's field is for. Where only certain values are valid, these are told, too; of lists of values the schema
    /// of their elements tells them.
    pub(super) fn of_field(&self, of: &Type, field: &Field) -> Option<String> {
        let words = self.known(of.name, field.json).or_else(|| words::of_list_field(listed(of)?, field.json))?;
        if field.values.is_empty() || field.shape != Shape::Single {
            return Some(words);
        }
        let lines: String = field.values.iter().map(|value| format!("\n - `\"{value}\"`")).collect();
        Some(format!("{words}\n\nPossible enum values:{lines}"))
    }

    /// What the bindings know of a field.
    fn known(&self, name: &str, field: &str) -> Option<String> {
        description(self.0.get(name)?.get("properties")?.get(field)?)
    }
}

fn description(schema: &Value) -> Option<String> {
    schema.get("description")?.as_str().map(str::to_owned)
}

/// The resource that a type is the list of.
fn listed(of: &Type) -> Option<&'static Resource> {
    let kind = of.gvk?;
    builtin().iter().find(|row| [&*row.group, &*row.version, &*row.list_kind] == kind)
}

fn describe<T: JsonSchema>(schemas: &mut SchemaGenerator) {
    schemas.subschema_for::<T>();
}

/// Types that no other type holds.
const ROOTS: &[fn(&mut SchemaGenerator)] = &[
    describe::<admissionregistration::v1::MutatingAdmissionPolicy>,
    describe::<admissionregistration::v1::MutatingAdmissionPolicyBinding>,
    describe::<admissionregistration::v1::MutatingWebhookConfiguration>,
    describe::<admissionregistration::v1::ValidatingAdmissionPolicy>,
    describe::<admissionregistration::v1::ValidatingAdmissionPolicyBinding>,
    describe::<admissionregistration::v1::ValidatingWebhookConfiguration>,
    describe::<apiextensions::v1::CustomResourceDefinition>,
    describe::<apiregistration::v1::APIService>,
    describe::<apps::v1::ControllerRevision>,
    describe::<apps::v1::DaemonSet>,
    describe::<apps::v1::Deployment>,
    describe::<apps::v1::ReplicaSet>,
    describe::<apps::v1::StatefulSet>,
    describe::<authentication::v1::SelfSubjectReview>,
    describe::<authentication::v1::TokenRequest>,
    describe::<authentication::v1::TokenReview>,
    describe::<authorization::v1::LocalSubjectAccessReview>,
    describe::<authorization::v1::SelfSubjectAccessReview>,
    describe::<authorization::v1::SelfSubjectRulesReview>,
    describe::<authorization::v1::SubjectAccessReview>,
    describe::<autoscaling::v1::HorizontalPodAutoscaler>,
    describe::<autoscaling::v1::Scale>,
    describe::<autoscaling::v2::HorizontalPodAutoscaler>,
    describe::<batch::v1::CronJob>,
    describe::<batch::v1::Job>,
    describe::<certificates::v1::CertificateSigningRequest>,
    describe::<coordination::v1::Lease>,
    describe::<core::v1::Binding>,
    describe::<core::v1::ComponentStatus>,
    describe::<core::v1::ConfigMap>,
    describe::<core::v1::Endpoints>,
    describe::<core::v1::Event>,
    describe::<core::v1::LimitRange>,
    describe::<core::v1::Namespace>,
    describe::<core::v1::Node>,
    describe::<core::v1::PersistentVolume>,
    describe::<core::v1::PersistentVolumeClaim>,
    describe::<core::v1::Pod>,
    describe::<core::v1::PodTemplate>,
    describe::<core::v1::ReplicationController>,
    describe::<core::v1::ResourceQuota>,
    describe::<core::v1::Secret>,
    describe::<core::v1::Service>,
    describe::<core::v1::ServiceAccount>,
    describe::<discovery::v1::EndpointSlice>,
    describe::<events::v1::Event>,
    describe::<flowcontrol::v1::FlowSchema>,
    describe::<flowcontrol::v1::PriorityLevelConfiguration>,
    describe::<meta::v1::DeleteOptions>,
    describe::<meta::v1::Status>,
    describe::<meta::v1::WatchEvent<()>>,
    describe::<networking::v1::IPAddress>,
    describe::<networking::v1::Ingress>,
    describe::<networking::v1::IngressClass>,
    describe::<networking::v1::NetworkPolicy>,
    describe::<networking::v1::ServiceCIDR>,
    describe::<node::v1::RuntimeClass>,
    describe::<policy::v1::Eviction>,
    describe::<policy::v1::PodDisruptionBudget>,
    describe::<rbac::v1::ClusterRole>,
    describe::<rbac::v1::ClusterRoleBinding>,
    describe::<rbac::v1::Role>,
    describe::<rbac::v1::RoleBinding>,
    describe::<resource::v1::DeviceClass>,
    describe::<resource::v1::ResourceClaim>,
    describe::<resource::v1::ResourceClaimTemplate>,
    describe::<resource::v1::ResourceSlice>,
    describe::<scheduling::v1::PriorityClass>,
    describe::<storage::v1::CSIDriver>,
    describe::<storage::v1::CSINode>,
    describe::<storage::v1::CSIStorageCapacity>,
    describe::<storage::v1::StorageClass>,
    describe::<storage::v1::VolumeAttachment>,
    describe::<storage::v1::VolumeAttributesClass>,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types;

    fn said(prose: &Prose, name: &str, field: &str) -> Option<String> {
        let of = types::by_name(name).unwrap();
        prose.of_field(of, of.field(field).unwrap())
    }

    #[test]
    fn every_kind_and_its_fields_have_words() {
        let prose = Prose::read();
        for row in builtin() {
            assert!(prose.of_type(row.object_type().unwrap()).is_some(), "{}", row.type_name);
        }
        let pod = "io.k8s.api.core.v1.PodSpec";
        assert!(said(&prose, pod, "nodeName").unwrap().starts_with("NodeName "));
        assert_eq!(prose.known(pod, "nothing"), None);
    }

    #[test]
    fn valid_values_are_told_of_the_field_that_has_them() {
        let prose = Prose::read();
        let policy = said(&prose, "io.k8s.api.core.v1.PodSpec", "restartPolicy").unwrap();
        let values = "\n\nPossible enum values:\n - `\"Always\"`\n - `\"Never\"`\n - `\"OnFailure\"`";
        assert!(policy.ends_with(values), "{policy}");
        let modes = said(&prose, "io.k8s.api.core.v1.PersistentVolumeClaimSpec", "accessModes").unwrap();
        assert!(!modes.contains("Possible enum values"), "{modes}");
    }

    #[test]
    fn lists_have_words() {
        let prose = Prose::read();
        for row in builtin().iter().filter(|row| !row.list_kind.is_empty()) {
            let list = types::type_of(&row.group, &row.version, &row.list_kind).unwrap();
            assert!(prose.of_type(list).is_some(), "{}", list.name);
            for field in list.members() {
                assert!(prose.of_field(list, field).is_some(), "{}.{}", list.name, field.json);
            }
        }
        let pods = "io.k8s.api.core.v1.PodList";
        assert!(said(&prose, pods, "apiVersion").unwrap().starts_with("APIVersion defines"));
        assert!(said(&prose, pods, "kind").unwrap().starts_with("Kind is a string value"));
        assert!(said(&prose, pods, "metadata").unwrap().starts_with("Standard list metadata."));
        assert!(said(&prose, pods, "items").unwrap().starts_with("List of pods. More info: https://"));
    }
}
