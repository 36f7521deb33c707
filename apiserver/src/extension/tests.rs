use std::sync::Arc;

use mainstay_api::resource::Resource;
use mainstay_api::status::Status;
use serde_json::{Value, json};

use super::{GROUP, plugins};
use crate::admission::{Attributes, Chain, Operation};
use crate::audit::Notes;
use crate::authz::Authorizer;
use crate::registry::Registry;
use crate::strategy::testing::Objects;
use crate::user::UserInfo;

/// What becomes of a new configmap under these configurations.
async fn admit(configurations: Vec<(&'static str, Value)>) -> Result<Value, Status> {
    let (outcome, object, _) = admit_and_note(configurations).await;
    outcome.map(|()| object)
}

/// The same whatever comes of it, and what the audit log is told.
async fn admit_and_note(configurations: Vec<(&'static str, Value)>) -> (Result<(), Status>, Value, Notes) {
    let registry = Arc::new(Registry::builtin());
    let row = registry.find("", "v1", "configmaps").unwrap();
    let objects = Objects(configurations.into_iter().map(|(resource, object)| (GROUP, resource, object)).collect());
    let user = UserInfo { name: "u".into(), ..UserInfo::default() };
    let mut request = creation(&row.resource, &user, &objects);
    let chain = chain(&registry);
    let outcome = match chain.mutate(&mut request).await {
        Ok(()) => chain.validate(&mut request).await,
        refused => refused,
    };
    (outcome, request.object.unwrap_or_default(), request.notes)
}

fn chain(registry: &Arc<Registry>) -> Chain {
    Chain::new(plugins(registry.clone(), Arc::new(Authorizer::new(Arc::new(Objects::default())))))
}

pub(super) fn creation<'a>(resource: &'a Resource, user: &'a UserInfo, objects: &'a Objects) -> Attributes<'a> {
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}
    });
    Attributes { name: "c", object: Some(map), ..crate::admission::testing::creation(resource, user, objects) }
}

fn rule() -> Value {
    json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"], "scope": "*"
    })
}

/// A policy for new configmaps.
fn policy(mut spec: Value) -> Value {
    spec["matchConstraints"] = json!({"resourceRules": [rule()]});
    json!({"metadata": {"name": "p"}, "spec": spec})
}

fn binding(actions: &[&str]) -> Value {
    json!({"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": actions}})
}

fn said(status: &Status) -> (u16, &str, &str) {
    (status.code, &status.reason, &status.message)
}

#[tokio::test]
async fn a_condition_of_a_webhook_that_fails_forbids() {
    let hook = |expressions: &[&str]| {
        let conditions: Vec<Value> =
            expressions.iter().map(|expression| json!({"name": "c", "expression": expression})).collect();
        let hook = json!({"name": "w.example.com", "rules": [rule()], "matchConditions": conditions});
        vec![("validatingwebhookconfigurations", json!({"metadata": {"name": "w"}, "webhooks": [hook]}))]
    };
    let refused = admit(hook(&["object.x == 1"])).await.unwrap_err();
    let why = "configmaps \"c\" is forbidden: expression 'object.x == 1' resulted in error: no such key: x";
    assert_eq!(said(&refused), (403, "Forbidden", why));
    let refused = admit(hook(&["object.x == 1", "object.y == 1"])).await.unwrap_err();
    let why = "configmaps \"c\" is forbidden: [expression 'object.x == 1' resulted in error: no such key: x, \
               expression 'object.y == 1' resulted in error: no such key: y]";
    assert_eq!(refused.message, why);
    let again = admit(hook(&["object.x == 1", "object.y == 1", "object.x == 1"])).await.unwrap_err();
    assert_eq!(again.message, why, "what fails twice was told twice");
    // Conditions do not see the namespace.
    assert!(admit(hook(&["object.x == 1", "namespaceObject != null"])).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_told_to_the_audit_log_denies() {
    let configurations = |spec: Value| {
        vec![("validatingadmissionpolicies", policy(spec)), ("validatingadmissionpolicybindings", binding(&["Warn"]))]
    };
    let audits = |value: &str| {
        let audit = json!({"key": "k", "valueExpression": value});
        json!({"auditAnnotations": [audit], "validations": [{"expression": "false"}]})
    };
    assert!(admit(configurations(audits("'a'"))).await.is_ok());
    let refused = admit(configurations(audits("object.x"))).await.unwrap_err();
    let why = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: \
               expression 'object.x' resulted in error: no such key: x";
    assert_eq!(said(&refused), (422, "Invalid", why));
}

#[tokio::test]
async fn a_mutation_that_fails_is_told_as_it_is() {
    let configurations = |failure: &str| {
        let mutation = |expression: &str| json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
        let mutations = [
            mutation("[JSONPatch{op: 'add', path: '/data/x', value: object.x}]"),
            mutation("[JSONPatch{op: 'add', path: '/data/y', value: 'z'}]"),
        ];
        vec![
            ("mutatingadmissionpolicies", policy(json!({"failurePolicy": failure, "mutations": mutations}))),
            ("mutatingadmissionpolicybindings", binding(&[])),
        ]
    };
    let refused = admit(configurations("Fail")).await.unwrap_err();
    let why = "policy 'p' with binding 'b' denied request: expression '[JSONPatch{op: 'add', path: '/data/x', \
               value: object.x}]' resulted in error: no such key: x";
    assert_eq!(said(&refused), (403, "Invalid", why));
    assert_eq!(refused.details.unwrap().causes[0].message, why);
    assert_eq!(admit(configurations("Ignore")).await.unwrap()["data"], json!({"a": "b", "y": "z"}));
}

#[tokio::test]
async fn a_configuration_that_does_not_fit_is_told_as_it_is() {
    let refused = |expression: &str| {
        let mutation = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
        admit(vec![
            ("mutatingadmissionpolicies", policy(json!({"mutations": [mutation]}))),
            ("mutatingadmissionpolicybindings", binding(&[])),
        ])
    };
    let by = "policy 'p' with binding 'b' denied request: error applying patch: ";
    let refusal = refused("Object{nope: 1}").await.unwrap_err();
    let why = "failed to convert patch object to typed object: .nope: field not declared in schema";
    assert_eq!(said(&refusal), (403, "Invalid", format!("{by}{why}").as_str()));
    let changed = refused("Object{data: {'y': 'z'}}").await.unwrap();
    assert_eq!(changed["data"], json!({"a": "b", "y": "z"}));
}

/// A policy that sets a member of an object's data, with its binding.
fn setting(name: &str, path: &str, value: &str, again: &str) -> [(&'static str, Value); 2] {
    let expression = format!("[JSONPatch{{op: 'add', path: '{path}', value: {value}}}]");
    let mutation = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
    let mut made = policy(json!({"mutations": [mutation], "reinvocationPolicy": again}));
    made["metadata"]["name"] = name.into();
    let bound = json!({"metadata": {"name": name}, "spec": {"policyName": name}});
    [("mutatingadmissionpolicies", made), ("mutatingadmissionpolicybindings", bound)]
}

#[tokio::test]
async fn who_wants_to_sees_what_came_later() {
    let counts = |again: &str| {
        let policies = [
            setting("a", "/data/seen", "string(size(object.data))", again),
            setting("b", "/data/late", "'x'", "Never"),
        ];
        admit(policies.into_iter().flatten().collect())
    };
    assert_eq!(counts("IfNeeded").await.unwrap()["data"]["seen"], "3");
    assert_eq!(counts("Never").await.unwrap()["data"]["seen"], "1");
}

#[tokio::test]
async fn what_is_no_object_any_more_is_a_fault_whatever_the_policy_says() {
    let refused = |path: &'static str, value: &'static str| async move {
        let [mut policy, binding] = setting("a", path, value, "Never");
        policy.1["spec"]["failurePolicy"] = "Ignore".into();
        admit(vec![policy, binding]).await.unwrap_err()
    };
    let status = refused("/data/x", "1").await;
    assert_eq!((status.code, &*status.reason), (500, "InternalError"));
    let status = refused("/nope", "'x'").await;
    assert_eq!(status.message, "Internal error occurred: strict decoding error: unknown field \"nope\"");
}

#[tokio::test]
async fn parameters_of_no_kind_refuse_everything() {
    let kind = json!({"apiVersion": "v1", "kind": "Nope"});
    let why = "failed to configure policy: failed to find resource referenced by paramKind: '/v1, Kind=Nope'";
    let validating = policy(json!({"paramKind": kind, "validations": [{"expression": "true"}]}));
    let all =
        vec![("validatingadmissionpolicies", validating), ("validatingadmissionpolicybindings", binding(&["Warn"]))];
    let refused = admit(all).await.unwrap_err();
    let message = format!("configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: {why}");
    assert_eq!(said(&refused), (422, "Invalid", message.as_str()));
    let [mut policy, binding] = setting("a", "/data/x", "'y'", "Never");
    policy.1["spec"]["paramKind"] = kind;
    let refused = admit(vec![policy, binding]).await.unwrap_err();
    assert_eq!(said(&refused), (403, "Forbidden", format!("policy \"a\" denied request: {why}").as_str()));
}

#[tokio::test]
async fn mutating_webhooks_see_a_deletion_once() {
    let mut rule = rule();
    rule["operations"] = json!(["DELETE"]);
    // It is refused wherever it is seen.
    let condition = json!({"name": "c", "expression": "object.x == 1"});
    let hook = json!({"name": "w.example.com", "rules": [rule], "matchConditions": [condition]});
    let configuration = json!({"metadata": {"name": "w"}, "webhooks": [hook]});
    let objects = Objects(vec![(GROUP, "mutatingwebhookconfigurations", configuration)]);
    let registry = Arc::new(Registry::builtin());
    let row = registry.find("", "v1", "configmaps").unwrap();
    let user = UserInfo { name: "u".into(), ..UserInfo::default() };
    let mut request = creation(&row.resource, &user, &objects);
    (request.operation, request.old_object) = (Operation::Delete, request.object.take());
    let chain = chain(&registry);
    assert_eq!(chain.mutate(&mut request).await.unwrap_err().code, 403);
    assert_eq!(chain.validate(&mut request).await, Ok(()));
}

#[tokio::test]
async fn a_long_chain_of_variables_has_a_value_and_its_fault_stays_short() {
    let chain = |first: &str| {
        let link = |n: usize| json!({"name": format!("v{n}"), "expression": format!("variables.v{}", n - 1)});
        let variables: Vec<Value> =
            [json!({"name": "v0", "expression": first})].into_iter().chain((1..1000).map(link)).collect();
        let validations = [json!({"expression": "variables.v999 == 'b'"})];
        policy(json!({"variables": variables, "validations": validations}))
    };
    let judged = async |first: &str| {
        let of = |policy| {
            vec![("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding(&["Deny"]))]
        };
        admit(of(chain(first))).await
    };
    judged("object.data.a").await.unwrap();
    let refused = judged("object.data.missing").await.unwrap_err();
    assert!(refused.message.contains("no such key: missing") && refused.message.len() < 8192, "{}", refused.message);
}

#[tokio::test]
async fn the_audit_log_is_told_of_webhooks() {
    let mut other = rule();
    other["resources"] = json!(["secrets"]);
    // Its address is none, so it always fails.
    let hook = |rule: Value, name: &str, failure: &str| {
        let address = json!({"url": "http://nowhere.example.com"});
        json!({"name": name, "rules": [rule], "failurePolicy": failure, "clientConfig": address})
    };
    let configured = |failure: &str| {
        let hooks = [hook(other.clone(), "x.example.com", failure), hook(rule(), "y.example.com", failure)];
        let configuration = json!({"metadata": {"name": "w"}, "webhooks": hooks});
        vec![
            ("mutatingwebhookconfigurations", configuration.clone()),
            ("validatingwebhookconfigurations", configuration),
        ]
    };
    let called = r#"{"configuration":"w","webhook":"y.example.com","mutated":false}"#;
    let (outcome, _, notes) = admit_and_note(configured("Ignore")).await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(notes.get("mutation.webhook.admission.k8s.io/round_0_index_1"), Some(called));
    assert_eq!(notes.get("failed-open.mutation.webhook.admission.k8s.io/round_0_index_1"), Some("y.example.com"));
    assert_eq!(notes.get("failed-open.validating.webhook.admission.k8s.io/round_0_index_0"), Some("y.example.com"));
    let (outcome, _, notes) = admit_and_note(configured("Fail")).await;
    assert_eq!(outcome.unwrap_err().code, 500);
    assert_eq!(notes.get("mutation.webhook.admission.k8s.io/round_0_index_1"), Some(called));
    assert_eq!(notes.get("failed-open.mutation.webhook.admission.k8s.io/round_0_index_1"), None);
}

#[tokio::test]
async fn the_audit_log_is_told_what_policies_want() {
    let audits = json!([{"key": "k", "valueExpression": "object.metadata.name"}]);
    let judged = policy(json!({"auditAnnotations": audits, "validations": [{"expression": "false", "message": "no"}]}));
    let mut second = binding(&["Audit"]);
    second["metadata"]["name"] = "c".into();
    let (outcome, _, notes) = admit_and_note(vec![
        ("validatingadmissionpolicies", judged),
        ("validatingadmissionpolicybindings", binding(&["Audit"])),
        ("validatingadmissionpolicybindings", second),
    ])
    .await;
    assert_eq!(outcome, Ok(()));
    assert_eq!(notes.get("p/k"), Some("c"), "what two bindings say alike is told once");
    let failure = notes.get("validation.policy.admission.k8s.io/validation_failure").unwrap();
    assert!(failure.contains(r#""binding":"b""#) && failure.contains(r#""message":"no""#), "{failure}");
}
