use serde_json::json;

use super::*;

#[test]
fn a_message_is_one_line() {
    let judge = |message: &str| {
        let validation = json!({"message": message});
        let mut errors = Errors::default();
        messages(&At::root(&validation), &expressions::environment(false), &mut errors);
        errors.0.into_iter().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    assert!(judge("no\n").is_empty());
    assert_eq!(judge(" "), [r#"message: Invalid value: " ": must be non-empty if specified"#]);
    assert_eq!(judge("a\nb"), [r#"message: Invalid value: "a\nb": must not contain line breaks"#]);
}

#[test]
fn a_mutating_binding_narrows_to_what_can_be_mutated() {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["DELETE"]});
    let binding = json!({"spec": {"policyName": "p", "matchResources": {"resourceRules": [rule]}}});
    let judge = |rules: &Rules| {
        let mut errors = Errors::default();
        crate::strategy::testing::context("", "", |cx| (rules.check)(cx, &binding, &mut errors));
        errors.0.into_iter().map(|error| error.field).collect::<Vec<_>>()
    };
    assert_eq!(judge(&MUTATING_BINDING), ["spec.matchResources.resourceRules.operations"]);
    assert_eq!(judge(&BINDING), ["spec.validationActions"]);
}

#[test]
fn a_warning_is_about_a_field() {
    let judge = |field: &str| {
        let warning = json!({"warning": "w", "fieldRef": field});
        let status = json!({"typeChecking": {"expressionWarnings": [warning]}});
        let mut errors = Errors::default();
        policy_status(&At::root(&status), &mut errors);
        errors.0.into_iter().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    assert!(judge("spec.validations[0].expression").is_empty());
    assert_eq!(judge(" "), ["typeChecking.expressionWarnings[0].fieldRef: Required value"]);
}

#[test]
fn a_mutation_has_an_expression() {
    let mutation = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": " "}});
    let mut errors = Errors::default();
    super::mutation(&At::root(&mutation), &expressions::environment(false), &mut errors);
    let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["jsonPatch.expression: Required value"]);
}
