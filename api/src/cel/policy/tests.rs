use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn rules(named: &[(&str, &str, &str)]) -> Value {
    let rule = |(group, version, resource): &(&str, &str, &str)| -> Value {
        json!({"apiGroups": [group], "apiVersions": [version], "operations": ["*"], "resources": [resource]})
    };
    json!({"resourceRules": named.iter().map(rule).collect::<Vec<_>>()})
}

const DEPLOYMENTS: (&str, &str, &str) = ("apps", "v1", "deployments");
const PODS: (&str, &str, &str) = ("", "v1", "pods");

/// A policy of one validation; `more` has the other fields of its specification.
fn policy(named: &[(&str, &str, &str)], expression: &str, more: Value) -> ValidatingAdmissionPolicySpec {
    let mut spec = more;
    spec["matchConstraints"] = rules(named);
    spec["validations"] = json!([{"expression": expression}]);
    serde_json::from_value(spec).unwrap()
}

fn told(spec: &ValidatingAdmissionPolicySpec, custom: &[Resource]) -> Vec<String> {
    policy_warnings(spec, custom).into_iter().map(|warning| warning.warning).collect()
}

fn of_deployments(expression: &str, more: Value) -> Vec<String> {
    told(&policy(&[DEPLOYMENTS], expression, more), &[])
}

#[test]
fn an_unknown_field_is_told_with_its_place() {
    let spec = policy(&[DEPLOYMENTS], "object.replicas > 1", json!({}));
    let shown = "undefined field 'replicas'\n | object.replicas > 1\n | ......^\n";
    let expected = ExpressionWarning {
        field_ref: "spec.validations[0].expression".into(),
        warning: format!("apps/v1, Kind=Deployment: ERROR: <input>:1:7: {shown}"),
    };
    assert_eq!(policy_warnings(&spec, &[]), [expected]);
}

#[test]
fn what_fits_is_not_mentioned() {
    for expression in [
        "object.spec.replicas <= 5 && object.metadata.namespace != 'x'",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('a/') && !has(c.command))",
        "object.metadata.?labels[?'app'].orValue('') == 'web' && 'app' in object.metadata.labels",
        "object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
        "object.spec.strategy.rollingUpdate.maxSurge == '25%'",
        "oldObject == null || object.spec.selector == oldObject.spec.selector",
        "namespaceObject.metadata.labels['a'] == 'b' && request.operation == 'CREATE'",
        "authorizer.group('').resource('endpoints').check('create').allowed()",
    ] {
        assert_eq!(of_deployments(expression, json!({})), Vec::<String>::new(), "{expression}");
    }
}

#[test]
fn each_kind_has_a_paragraph() {
    let told = |resource, expression| {
        told(&policy(&[DEPLOYMENTS, resource], expression, json!({})), &[]).pop().unwrap_or_default()
    };
    assert_eq!(
        told(PODS, "object.spec.replicas > 1"),
        "/v1, Kind=Pod: ERROR: <input>:1:12: undefined field 'replicas'\n | object.spec.replicas > 1\n | ...........^\n"
    );
    let two = told(("apps", "v1", "replicasets"), "object.nope == 1");
    let shown = "ERROR: <input>:1:7: undefined field 'nope'\n | object.nope == 1\n | ......^\n";
    assert_eq!(two, format!("apps/v1, Kind=Deployment: {shown}\napps/v1, Kind=ReplicaSet: {shown}"));
}

#[test]
fn lists_of_the_same_structure_in_two_places_are_of_two_types() {
    let told = told(&policy(&[PODS], "object.spec.containers == object.spec.initContainers", json!({})), &[]);
    let why = "applied to '(list(Pod.spec.containers.@idx), list(Pod.spec.initContainers.@idx))'";
    assert!(told[0].contains(why), "{told:?}");
}

#[test]
fn messages_are_expressions_too() {
    let mut spec = policy(&[DEPLOYMENTS], "true", json!({}));
    spec.validations.as_mut().unwrap()[0].message_expression = Some("object.nope + 'x'".into());
    let warnings = policy_warnings(&spec, &[]);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].field_ref, "spec.validations[0].messageExpression");
}

fn widgets() -> Resource {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}});
    Resource {
        group: "example.com".into(),
        version: "v1".into(),
        resource: "widgets".into(),
        singular: "widget".into(),
        kind: "Widget".into(),
        schema: Some(Arc::new(schema)),
        ..Resource::default()
    }
}

#[test]
fn custom_kinds_have_their_schema_and_all_metadata() {
    let told = |expression| told(&policy(&[("example.com", "v1", "widgets")], expression, json!({})), &[widgets()]);
    assert_eq!(told("object.spec.size > 3 && size(object.metadata.labels) > 0"), Vec::<String>::new());
    let shown = "undefined field 'sizes'\n | object.spec.sizes > 3\n | ...........^\n";
    assert_eq!(told("object.spec.sizes > 3"), [format!("example.com/v1, Kind=Widget: ERROR: <input>:1:12: {shown}")]);
}

#[test]
fn parameters_have_the_type_of_their_kind() {
    let told = |api_version: &str, kind: &str, expression: &str| {
        let more = json!({"paramKind": {"apiVersion": api_version, "kind": kind}});
        told(&policy(&[DEPLOYMENTS], expression, more), &[widgets()]).concat()
    };
    assert_eq!(told("v1", "ConfigMap", "params.data['max'] == object.metadata.name"), "");
    assert!(told("v1", "ConfigMap", "params.nope == 1").contains("undefined field 'nope'"));
    assert!(told("example.com/v1", "Widget", "params.spec.nope == 1").contains("undefined field 'nope'"));
    assert_eq!(told("example.com/v2", "Unknown", "params.nope == 1"), "");
    let without = of_deployments("params.nope == 1", json!({})).concat();
    assert!(without.contains("undeclared reference to 'params' (in container '')"), "{without}");
}

#[test]
fn variables_have_the_types_of_their_expressions() {
    let variables = json!({"variables": [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "twice", "expression": "variables.replicas * 2"},
        {"name": "spec", "expression": "object.spec"},
        {"name": "broken", "expression": "object.nope"}]});
    let told = |expression| of_deployments(expression, variables.clone()).concat();
    assert_eq!(told("variables.twice > 1 && variables.spec.anything == 1 && variables.broken == 'x'"), "");
    let wrong = "found no matching overload for '_==_' applied to '(int, string)'";
    assert!(told("variables.twice == 'x'").contains(wrong));
    assert!(told("variables.nope == 1").contains("undefined field 'nope'"));
}

#[test]
fn wildcards_and_subresources_name_no_kind() {
    for (group, version, resource) in
        [("*", "v1", "pods"), ("", "*", "pods"), ("", "v1", "*"), ("", "v1", "pods/exec"), ("", "v1", "unknown")]
    {
        let spec = policy(&[(group, version, resource)], "object.nope == 1", json!({}));
        assert_eq!(policy_warnings(&spec, &[]), [], "{group}/{version} {resource}");
    }
}

#[test]
fn kinds_are_looked_for_in_order_until_there_are_many() {
    let spec = policy(&[DEPLOYMENTS, PODS, ("apps", "v1", "deployment")], "true", json!({}));
    let names = |spec: &ValidatingAdmissionPolicySpec| -> Vec<String> {
        kinds(spec, &[]).iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(&spec), ["/v1, Kind=Pod", "apps/v1, Kind=Deployment"]);
    let core: Vec<&str> =
        crate::resource::builtin().iter().filter(|row| row.group.is_empty()).map(|row| row.resource.as_str()).collect();
    let mut many = spec;
    let rules = many.match_constraints.as_mut().unwrap().resource_rules.as_mut().unwrap();
    rules.truncate(1);
    rules[0].api_groups = Some(vec![String::new()]);
    rules[0].resources = Some(core.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(names(&many).len(), 10);
}
