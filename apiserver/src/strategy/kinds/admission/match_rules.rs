//! Which requests webhooks and policies are about.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;

use crate::strategy::validate::{At, Errors, selectors};

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];

/// What a policy or its binding matches.
pub(super) fn matched(at: &At<'_>, errors: &mut Errors) {
    errors.one_of_if_set(&at.get("matchPolicy"), &["Equivalent", "Exact"]);
    for selector in ["namespaceSelector", "objectSelector"] {
        selectors::label_selector(&at.get(selector), errors);
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in at.get(list).items() {
            resource_names(&rule.get("resourceNames"), errors);
            self::rule(&rule, errors);
        }
    }
}

/// What can be mutated: no deletion, nor what is no operation.
pub(super) fn mutable(at: &At<'_>, errors: &mut Errors) {
    const MUTABLE: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
    let rules = at.get("resourceRules");
    for rule in rules.items() {
        for operation in rule.get("operations").strings().filter(|operation| !MUTABLE.contains(operation)) {
            errors.0.push(Error::not_supported(&rules.path.child("operations"), operation, MUTABLE));
        }
    }
}

fn resource_names(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for name in list.items() {
        errors.each(&name, names::is_path_segment(name.str(), false));
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
}

/// Operations on resources.
pub(super) fn rule(at: &At<'_>, errors: &mut Errors) {
    let operations = at.get("operations");
    if operations.is_empty() {
        errors.required(&operations, "");
    }
    star_alone(&operations, "operations", errors);
    for operation in operations.items() {
        if !OPERATIONS.contains(&operation.str()) {
            errors.unsupported(&operation, OPERATIONS);
        }
    }
    for (field, what) in [("apiGroups", "API groups"), ("apiVersions", "API versions")] {
        let list = at.get(field);
        if list.is_empty() {
            errors.required(&list, "");
        }
        star_alone(&list, what, errors);
        if field == "apiVersions" {
            list.items().filter(|version| version.str().is_empty()).for_each(|version| errors.required(&version, ""));
        }
    }
    resources(&at.get("resources"), errors);
    let scope = at.get("scope");
    errors.one_of_if_set(&scope, &["*", "Cluster", "Namespaced"]);
}

/// Resources with their subresources, of which a wildcard stands for more than one.
fn resources(list: &At<'_>, errors: &mut Errors) {
    errors.needed(list);
    let (mut whole, mut everywhere) = (HashSet::new(), HashSet::new());
    let mut plain = false;
    for at in list.items() {
        if at.str().is_empty() {
            errors.required(&at, "");
            continue;
        }
        let Some((resource, sub)) = at.str().split_once('/') else {
            plain = at.str() != "*";
            continue;
        };
        if whole.contains(resource) {
            errors.invalid(&at, format!("if '{resource}/*' is present, must not specify {}", at.str()));
        }
        if everywhere.contains(sub) {
            errors.invalid(&at, format!("if '*/{sub}' is present, must not specify {}", at.str()));
        }
        if sub == "*" {
            whole.insert(resource);
        }
        if resource == "*" {
            everywhere.insert(sub);
        }
    }
    if list.len() > 1 && list.strings().any(|resource| resource == "*/*") {
        errors.invalid(list, "if '*/*' is present, must not specify other resources");
    }
    if plain && list.strings().any(|resource| resource == "*") {
        errors.invalid(list, "if '*' is present, must not specify other resources without subresources");
    }
}

fn star_alone(list: &At<'_>, what: &str, errors: &mut Errors) {
    if list.len() > 1 && list.strings().any(|entry| entry == "*") {
        errors.invalid(list, format!("if '*' is present, must not specify other {what}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wildcards_stand_alone() {
        let judge = |list: serde_json::Value| {
            let mut errors = Errors::default();
            resources(&At::new(&list, mainstay_api::field::Path::new("r")), &mut errors);
            errors.0.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
        };
        assert!(judge(json!(["pods", "pods/status", "*/scale"])).is_empty());
        assert_eq!(judge(json!(["pods/*", "pods/status"])), ["r[1]"]);
        assert_eq!(judge(json!(["*", "pods"])), ["r"]);
        assert_eq!(judge(json!(["*/*", "pods"])), ["r"]);
        assert_eq!(judge(json!([])), ["r"]);
    }

    #[test]
    fn deletions_are_not_mutated() {
        let policies = json!({"resourceRules": [{"operations": ["CREATE", "DELETE"]}, {"operations": ["*", "EAT"]}]});
        let mut errors = Errors::default();
        mutable(&At::new(&policies, mainstay_api::field::Path::new("m")), &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let text = |found: &str| {
            format!(
                r#"m.resourceRules.operations: Unsupported value: "{found}": supported values: "*", "CONNECT", "CREATE", "UPDATE""#
            )
        };
        assert_eq!(told, [text("DELETE"), text("EAT")]);
    }
}
