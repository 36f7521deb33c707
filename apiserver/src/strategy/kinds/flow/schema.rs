//! FlowSchemas.

use mainstay_api::field::{Error, Shown};
use mainstay_api::{meta, names, types};
use serde_json::{Value, json};

use super::conditions::conditions;
use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, dumped};

/// FlowSchemas.
pub(crate) const SCHEMA: Rules = Rules {
    check: |_, obj, errors| schema(obj, errors),
    status: |_, new, _, errors| conditions(new, errors),
    parts: &[Part::Meta, Part::Check],
    ..Rules::PLAIN
};

fn schema(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let precedence = spec.get("matchingPrecedence");
    if precedence.int() <= 0 {
        errors.0.push(Error::invalid(&precedence.path, precedence.int(), "must be a positive value"));
    } else if precedence.int() > 10_000 {
        errors.invalid(&precedence, "must not be greater than 10000");
    }
    if precedence.int() == 1 && meta::name(obj) != "exempt" {
        errors.invalid(&precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
    if let Some(method) = spec.opt("distinguisherMethod") {
        let kind = method.get("type");
        if !matches!(kind.str(), "ByNamespace" | "ByUser") {
            let mut error = Error::not_supported(&kind.path, "", &["ByNamespace", "ByUser"]);
            error.value = Shown::Text(format!("{{\"Type\":{}}}", Value::from(kind.str())));
            errors.0.push(error);
        }
    }
    let level = spec.get("priorityLevelConfiguration").get("name");
    if level.str().is_empty() {
        errors.required(&level, "must reference a priority level");
    } else {
        errors.each(&level, names::is_dns1123_subdomain(level.str()));
    }
    spec.get("rules").items().for_each(|rule| self::rule(&rule, errors));
    fixed(obj, errors);
}

/// Two schemas are what every cluster counts on.
fn fixed(obj: &Value, errors: &mut Errors) {
    let name = meta::name(obj);
    let groups: &[&str] = match name {
        "exempt" => &["system:masters"],
        "catch-all" => &["system:unauthenticated", "system:authenticated"],
        _ => return,
    };
    let subjects: Vec<Value> = groups.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect();
    let mut wanted = json!({
        "priorityLevelConfiguration": {"name": name},
        "matchingPrecedence": if name == "exempt" { 1 } else { 10_000 },
        "rules": [{
            "subjects": subjects,
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }],
    });
    if name == "catch-all" {
        wanted["distinguisherMethod"] = json!({"type": "ByUser"});
    }
    let spec = At::spec(obj);
    if *spec.value != wanted
        && let Some(of) = types::by_name("io.k8s.api.flowcontrol.v1.FlowSchemaSpec")
    {
        errors.0.push(dumped(of, &spec, format!("spec of '{name}' must equal the fixed value")));
    }
}

fn rule(rule: &At<'_>, errors: &mut Errors) {
    let subjects = rule.get("subjects");
    if subjects.is_empty() {
        errors.required(&subjects, "subjects must contain at least one value");
    }
    subjects.items().for_each(|at| subject(&at, errors));
    let (resources, others) = (rule.get("resourceRules"), rule.get("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        errors.required(rule, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    resources.items().for_each(|at| resource_rule(&at, errors));
    others.items().for_each(|at| path_rule(&at, errors));
}

fn subject(at: &At<'_>, errors: &mut Errors) {
    const KINDS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let kind = at.get("kind").str();
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind) else {
        errors.0.push(Error::not_supported(&at.get("kind").path, kind, &["Group", "ServiceAccount", "User"]));
        return;
    };
    let inner = at.get(own);
    if inner.is_null() {
        errors.required(&inner, &format!("{own} is required when subject kind is '{kind}'"));
    } else if kind == "ServiceAccount" {
        let (namespace, name) = (inner.get("namespace"), inner.get("name"));
        name_or_all(&name, names::is_dns1123_subdomain, errors);
        if namespace.str().is_empty() {
            errors.required(&namespace, "must specify namespace for service account");
        }
        errors.name_if_set(&namespace, names::is_dns1123_label);
    } else {
        errors.needed(&inner.get("name"));
    }
    for (other, field) in KINDS.iter().filter(|(name, _)| *name != kind) {
        if at.opt(field).is_some() {
            errors.forbidden(&at.get(field), format!("{field} is forbidden when subject kind is not '{other}'"));
        }
    }
}

fn name_or_all(at: &At<'_>, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    match at.str() {
        "" => errors.required(at, ""),
        "*" => {}
        name => errors.each(at, rule(name)),
    }
}

/// A list that is not empty, and of one element if that means everything.
fn wildcard_alone(list: &At<'_>, what: &str, errors: &mut Errors) {
    if list.is_empty() {
        errors.required(list, &format!("{what} must contain at least one value"));
    } else if list.len() > 1 && list.strings().any(|value| value == "*") {
        let noun = if what == "verbs" { "verbs" } else { what };
        errors.invalid(list, format!("if '*' is present, must not specify other {noun}"));
    }
}

fn resource_rule(at: &At<'_>, errors: &mut Errors) {
    verbs(&at.get("verbs"), errors);
    let groups = at.get("apiGroups");
    if groups.is_empty() {
        errors.required(&groups, "resource rules must supply at least one api group");
    } else if groups.len() > 1 && groups.strings().any(|group| group == "*") {
        errors.invalid(&groups, "if '*' is present, must not specify other api groups");
    }
    let resources = at.get("resources");
    if resources.is_empty() {
        errors.required(&resources, "resource rules must supply at least one resource");
    } else if resources.len() > 1 && resources.strings().any(|resource| resource == "*") {
        errors.invalid(&resources, "if '*' is present, must not specify other resources");
    }
    let namespaces = at.get("namespaces");
    if namespaces.is_empty() && !at.get("clusterScope").bool() {
        errors.required(&namespaces, "resource rules that are not cluster scoped must supply at least one namespace");
    } else if namespaces.strings().any(|namespace| namespace == "*") {
        if namespaces.len() > 1 {
            errors.invalid(&namespaces, "if '*' is present, must not specify other namespaces");
        }
    } else {
        for namespace in namespaces.items() {
            let texts = names::is_dns1123_label(namespace.str()).into_iter();
            let intro = "each member of this list must be '*' or a DNS-1123 label; ";
            errors.each(&namespace, texts.map(|text| format!("{intro}{text}")).collect());
        }
    }
}

fn verbs(list: &At<'_>, errors: &mut Errors) {
    const KNOWN: [&str; 9] =
        ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    wildcard_alone(list, "verbs", errors);
    if list.strings().all(|verb| verb != "*") && list.strings().any(|verb| !KNOWN.contains(&verb)) {
        let mut error = Error::not_supported(&list.path, list.value.clone(), &KNOWN);
        error.value = Shown::Value(list.value.clone());
        errors.0.push(error);
    }
}

fn path_rule(at: &At<'_>, errors: &mut Errors) {
    verbs(&at.get("verbs"), errors);
    let urls = at.get("nonResourceURLs");
    if urls.is_empty() {
        errors.required(&urls, "nonResourceURLs must contain at least one value");
        return;
    }
    if urls.strings().any(|url| url == "*") {
        if urls.len() > 1 {
            errors.invalid(&urls, "if '*' is present, must not specify other non-resource URLs");
        }
        return;
    }
    for url in urls.items() {
        url_pattern(&url, errors);
    }
}

fn url_pattern(at: &At<'_>, errors: &mut Errors) {
    let text = at.str();
    let inner = text.strip_suffix("/*").unwrap_or(text);
    if text.is_empty() {
        errors.invalid(at, "must not be empty");
    } else if !text.starts_with('/') {
        errors.invalid(at, "must start with slash");
    } else if text.contains(' ') {
        errors.invalid(at, "must not contain white-space");
    } else if text.contains("//") {
        errors.invalid(at, "must not contain double slash");
    } else if inner.contains('*') {
        errors.invalid(at, "wildcard can only do suffix matching");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_paths_has_verbs_of_requests() {
        let rule = json!({"verbs": ["dance"], "nonResourceURLs": ["/x"]});
        let mut errors = Errors::default();
        path_rule(&At::root(&rule), &mut errors);
        assert_eq!(errors.0.len(), 1);
    }

    #[test]
    fn a_fixed_spec_shows_which_of_its_lists_are_absent() {
        let object = json!({"metadata": {"name": "exempt"}, "spec": {"matchingPrecedence": 1}});
        let mut errors = Errors::default();
        fixed(&object, &mut errors);
        let absent = mainstay_api::field::Piece::Absent("spec.rules".to_owned());
        assert!(matches!(&errors.0[0].value, Shown::Pieces(pieces) if pieces.contains(&absent)));
        assert!(errors.0[0].body().contains("\"Rules\":null}: spec of 'exempt' must equal the fixed value"));
    }
}
