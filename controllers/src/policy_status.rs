//! What the expressions of admission policies get wrong about the kinds that they are for, in the policies' status.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::Resource as _;
use k8s_openapi::api::admissionregistration::v1::{TypeChecking, ValidatingAdmissionPolicy};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use mainstay_api::cel::policy_warnings;
use mainstay_api::resource::Resource;
use mainstay_client::{Error, Key, object_key};
use serde_json::{Value, json};

use crate::claim::absent_is_fine;
use crate::namespace::{definitions, is_established};
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

/// Owns the status, as in Kubernetes.
const MANAGER: &str = "validatingadmissionpolicy-status-controller";

pub(crate) struct PolicyStatus {
    world: World,
}

impl PolicyStatus {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.admission_policies.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        Self { world: world.clone() }
    }
}

#[async_trait]
impl Controller for PolicyStatus {
    fn name(&self) -> &'static str {
        "validatingadmissionpolicy-status"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(policy) = self.world.admission_policies.get(key).filter(|policy| is_due(policy)) else {
            return Ok(Next::Settled);
        };
        let custom = custom_resources(definitions(&self.world).await?);
        let api = self.world.api::<ValidatingAdmissionPolicy>("").manager(MANAGER);
        // What others have written there stays, but for these fields, which are nobody else's.
        absent_is_fine(api.apply_status(&key.name, &checked(&policy, &custom), true).await)?;
        Ok(Next::Settled)
    }
}

/// Whether a policy has changed since it was last checked. Kinds that change later do not make it due.
fn is_due(policy: &ValidatingAdmissionPolicy) -> bool {
    let observed = policy.status.as_ref().and_then(|status| status.observed_generation);
    policy.metadata.generation.unwrap_or(0) > observed.unwrap_or(0)
}

/// What to apply to a policy, so that its status says what was found.
fn checked(policy: &ValidatingAdmissionPolicy, custom: &[Resource]) -> Value {
    let warnings = policy.spec.as_ref().map(|spec| policy_warnings(spec, custom)).filter(|found| !found.is_empty());
    let checking = TypeChecking { expression_warnings: warnings };
    json!({
        "apiVersion": ValidatingAdmissionPolicy::API_VERSION, "kind": ValidatingAdmissionPolicy::KIND,
        "metadata": {"name": policy.metadata.name},
        "status": {"observedGeneration": policy.metadata.generation, "typeChecking": checking},
    })
}

/// The resources that definitions make, one a served version.
fn custom_resources(definitions: Vec<CustomResourceDefinition>) -> Vec<Resource> {
    let mut resources = Vec::new();
    for definition in definitions.into_iter().filter(is_established) {
        let (group, names) = (definition.spec.group, definition.spec.names);
        for version in definition.spec.versions.into_iter().filter(|version| version.served) {
            let schema = version.schema.and_then(|schema| schema.open_api_v3_schema);
            resources.push(Resource {
                group: group.clone(),
                version: version.name,
                resource: names.plural.clone(),
                singular: names.singular.clone().unwrap_or_default(),
                kind: names.kind.clone(),
                schema: schema.and_then(|schema| serde_json::to_value(schema).ok()).map(Arc::new),
                ..Resource::default()
            });
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(expression: &str, status: Value) -> ValidatingAdmissionPolicy {
        let rule = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
            "resources": ["deployments"]});
        let value = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "p", "generation": 2}, "status": status,
            "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [{"expression": expression}]},
        });
        serde_json::from_value(value).unwrap()
    }

    fn status_of(expression: &str, before: Value) -> Value {
        checked(&policy(expression, before), &[])["status"].clone()
    }

    #[test]
    fn a_policy_is_due_when_it_has_changed() {
        assert!(is_due(&policy("true", json!({}))));
        assert!(is_due(&policy("true", json!({"observedGeneration": 1}))));
        assert!(!is_due(&policy("true", json!({"observedGeneration": 2}))));
    }

    #[test]
    fn nothing_wrong_is_said_too() {
        let before = json!({"observedGeneration": 1, "typeChecking": {"expressionWarnings": [
            {"fieldRef": "spec.validations[0].expression", "warning": "w"}]}});
        let after = status_of("object.spec.replicas > 1", before);
        assert_eq!(after, json!({"observedGeneration": 2, "typeChecking": {}}));
    }

    #[test]
    fn what_is_applied_is_the_own_part_of_the_status() {
        let condition = json!({"type": "T", "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let applied = checked(&policy("true", json!({"conditions": [condition]})), &[]);
        assert_eq!(
            applied,
            json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
                "metadata": {"name": "p"}, "status": {"observedGeneration": 2, "typeChecking": {}},
            })
        );
    }

    #[test]
    fn warnings_say_where_and_what() {
        let after = status_of("object.replicas > 1", json!({}));
        let warnings = &after["typeChecking"]["expressionWarnings"];
        assert_eq!(warnings[0]["fieldRef"], "spec.validations[0].expression");
        assert!(warnings[0]["warning"].as_str().unwrap().starts_with("apps/v1, Kind=Deployment: ERROR: <input>:1:7: "));
    }

    #[test]
    fn definitions_count_with_the_versions_that_they_serve() {
        let definition = |established: &str| -> CustomResourceDefinition {
            let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            let version =
                |name: &str, served: bool| json!({"name": name, "served": served, "storage": served, "schema": schema});
            let value = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "widgets.example.com"},
                "spec": {"group": "example.com", "scope": "Namespaced",
                    "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
                    "versions": [version("v1", true), version("v0", false)]},
                "status": {"conditions": [{"type": "Established", "status": established}]},
            });
            serde_json::from_value(value).unwrap()
        };
        let made = custom_resources(vec![definition("True"), definition("False")]);
        let [only] = made.as_slice() else { panic!("{made:?}") };
        assert_eq!((&*only.group, &*only.version, &*only.kind), ("example.com", "v1", "Widget"));
        assert_eq!((&*only.resource, &*only.singular), ("widgets", "widget"));
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        assert_eq!(only.schema.as_deref(), Some(&schema));
    }
}
