//! FlowSchemas and PriorityLevelConfigurations.

use mainstay_api::field::{Error, Shown};
use mainstay_api::{meta, names};
use serde_json::{Value, json};

use crate::strategy::internal;
use crate::strategy::rules::Rules;
use crate::strategy::validate::{At, Errors};

/// PriorityLevelConfigurations.
pub(crate) const LEVEL: Rules = Rules {
    check: |_, obj, errors| level(obj, errors),
    status: |_, new, _, errors| conditions(new, errors),
    ..Rules::PLAIN
};

/// FlowSchemas.
pub(crate) const SCHEMA: Rules = Rules {
    check: |_, obj, errors| schema(obj, errors),
    status: |_, new, _, errors| conditions(new, errors),
    ..Rules::PLAIN
};

/// Conditions have a type each.
fn conditions(obj: &Value, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for condition in At::root(obj).get("status").get("conditions").items() {
        let kind = condition.get("type");
        if !seen.insert(kind.str()) {
            errors.0.push(Error::duplicate(&kind.path, kind.str()));
        }
        if kind.str().is_empty() {
            errors.required(&kind, "must not be empty");
        }
    }
}

fn level(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (kind, limited) = (spec.get("type"), spec.get("limited"));
    if (meta::name(obj) == "exempt") != (kind.str() == "Exempt") {
        errors.invalid(&kind, "must be 'Exempt' if and only if `name` is 'exempt'");
    }
    match kind.str() {
        "Exempt" => {
            if !limited.is_null() {
                errors.forbidden(&limited, "must be nil if the type is not Limited");
            }
            if let Some(exempt) = spec.opt("exempt") {
                shares(&exempt, errors);
                lendable(&exempt, errors);
            }
        }
        "Limited" => {
            if spec.opt("exempt").is_some() {
                errors.forbidden(&spec.get("exempt"), "must be nil if the type is Limited");
            }
            if limited.is_null() {
                errors.required(&limited, "must not be empty when type is Limited");
            } else {
                self::limited(&limited, errors);
            }
        }
        _ => errors.unsupported(&kind, &["Exempt", "Limited"]),
    }
    fixed_level(obj, errors);
}

/// Two levels are what every cluster counts on; how much the exempt one lends may change.
fn fixed_level(obj: &Value, errors: &mut Errors) {
    let (spec, name) = (At::spec(obj), meta::name(obj));
    let (wanted, why) = match name {
        "exempt" => (json!({"type": "Exempt"}), "except the 'spec.exempt' field must equal the fixed value"),
        "catch-all" => {
            let limited =
                json!({"nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"}});
            (json!({"type": "Limited", "limited": limited}), "must equal the fixed value")
        }
        _ => return,
    };
    let mut found = spec.value.clone();
    if let Some(found) = found.as_object_mut().filter(|_| name == "exempt") {
        found.remove("exempt");
    }
    if found != wanted
        && let Some(of) = mainstay_api::types::by_name("io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec")
    {
        let shown = internal::line(of, spec.value);
        errors.0.push(Error::invalid_text(&spec.path, shown, format!("spec of '{name}' {why}")));
    }
}

fn shares(at: &At<'_>, errors: &mut Errors) {
    let shares = at.get("nominalConcurrencyShares");
    if shares.int() < 0 {
        errors.invalid(&shares, "must be a non-negative integer");
    }
}

fn lendable(at: &At<'_>, errors: &mut Errors) {
    let lendable = at.get("lendablePercent");
    if !(0..=100).contains(&lendable.int()) {
        errors.invalid(&lendable, "must be between 0 and 100, inclusive");
    }
}

fn limited(at: &At<'_>, errors: &mut Errors) {
    shares(at, errors);
    limit_response(&at.get("limitResponse"), errors);
    lendable(at, errors);
    let borrowing = at.get("borrowingLimitPercent");
    if borrowing.int() < 0 {
        errors.invalid(&borrowing, "must be a non-negative integer");
    }
}

fn limit_response(response: &At<'_>, errors: &mut Errors) {
    let queuing = response.get("queuing");
    match response.get("type").str() {
        "Reject" => {
            if !queuing.is_null() {
                errors.forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited");
            }
        }
        "Queue" if queuing.is_null() => {
            errors.required(&queuing, "must not be empty if limited.limitResponse.type is Limited")
        }
        "Queue" => self::queuing(&queuing, errors),
        _ => errors.unsupported(&response.get("type"), &["Queue", "Reject"]),
    }
}

fn queuing(at: &At<'_>, errors: &mut Errors) {
    let (length, queues, hand) = (at.get("queueLengthLimit"), at.get("queues"), at.get("handSize"));
    positive(&length, errors);
    if positive(&queues, errors) && queues.int() > MOST_QUEUES {
        errors.invalid(&queues, format!("must not be greater than {MOST_QUEUES}"));
    }
    if !positive(&hand, errors) {
        return;
    }
    let (deck, size) = (queues.int(), hand.int());
    if size > deck {
        errors.invalid(&hand, format!("should not be greater than queues ({deck})"));
    } else if entropy(deck, size) > f64::from(HASH_BITS) {
        let why = format!(
            "required entropy bits of deckSize {deck} and handSize {size} should not be greater than {HASH_BITS}"
        );
        errors.invalid(&hand, why);
    }
}

fn positive(at: &At<'_>, errors: &mut Errors) -> bool {
    if at.int() <= 0 {
        errors.0.push(Error::invalid(&at.path, at.int(), "must be positive"));
    }
    at.int() > 0
}

const MOST_QUEUES: i64 = 10_000_000;
/// So many bits of a flow's hash deal its hand.
const HASH_BITS: i32 = 60;

/// Bits that it takes to deal a hand from this many queues.
fn entropy(queues: i64, hand: i64) -> f64 {
    let dealt = 0..hand.min(i64::from(HASH_BITS) * 2);
    let left = dealt.filter_map(|dealt| i32::try_from(queues - dealt).ok());
    left.map(|left| f64::from(left.max(1)).log2()).sum::<f64>().ceil()
}

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
        && let Some(of) = mainstay_api::types::by_name("io.k8s.api.flowcontrol.v1.FlowSchemaSpec")
    {
        let shown = internal::line(of, spec.value);
        errors.0.push(Error::invalid_text(&spec.path, shown, format!("spec of '{name}' must equal the fixed value")));
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
        errors.unsupported(&at.get("kind"), &["Group", "ServiceAccount", "User"]);
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
    fn a_hand_is_dealt_from_the_bits_of_a_hash() {
        assert!(entropy(64, 8) <= f64::from(HASH_BITS));
        assert!(entropy(64, 20) > f64::from(HASH_BITS));
        assert!(entropy(1, 1) <= 0.0);
    }

    #[test]
    fn two_levels_are_fixed() {
        let judge = |name: &str, spec: Value| {
            let mut errors = Errors::default();
            level(&json!({"metadata": {"name": name}, "spec": spec}), &mut errors);
            errors.0
        };
        assert!(judge("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 7}})).is_empty());
        let found = judge(
            "catch-all",
            json!({"type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "lendablePercent": 101, "limitResponse": {"type": "Reject"},
            }}),
        );
        assert_eq!(found[0].detail, "must be between 0 and 100, inclusive");
        assert_eq!(found[1].detail, "spec of 'catch-all' must equal the fixed value");
        assert!(matches!(&found[1].value, Shown::Text(text) if text.starts_with(r#"{"Type":"Limited","Limited":{"#)));
    }

    #[test]
    fn a_rule_of_paths_has_verbs_of_requests() {
        let rule = json!({"verbs": ["dance"], "nonResourceURLs": ["/x"]});
        let mut errors = Errors::default();
        path_rule(&At::root(&rule), &mut errors);
        assert_eq!(errors.0.len(), 1);
    }
}
