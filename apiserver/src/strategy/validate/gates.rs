//! Tolerations, gates, spreading, host aliases, DNS: the small lists of a pod's spec.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::{meta, names};

use super::{At, Errors, affinity, ip, selectors};

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// The list `tolerations`.
pub(crate) fn tolerations(list: &At<'_>, errors: &mut Errors) {
    list.items().for_each(|at| toleration(&at, errors));
}

fn toleration(at: &At<'_>, errors: &mut Errors) {
    let (key, operator, value, effect) = (at.get("key"), at.get("operator"), at.get("value"), at.get("effect"));
    if !key.str().is_empty() {
        errors.extend(meta::validate_label_name(key.str(), &key.path));
    }
    if key.str().is_empty() && operator.str() != "Exists" {
        errors.0.push(Error::invalid(
            &operator.path,
            operator.str(),
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ));
    }
    if at.opt("tolerationSeconds").is_some() && effect.str() != "NoExecute" {
        errors.0.push(Error::invalid(
            &effect.path,
            effect.str(),
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ));
    }
    match operator.str() {
        "Equal" | "" => {
            let texts = names::is_label_value(value.str());
            if !texts.is_empty() {
                errors.0.push(Error::invalid(&operator.path, value.str(), texts.join(";")));
            }
        }
        "Exists" if !value.str().is_empty() => {
            errors.0.push(Error::invalid(
                &operator.path,
                value.str(),
                "value must be empty when `operator` is 'Exists'",
            ));
        }
        "Exists" => {}
        // Known, but off.
        "Lt" | "Gt" => errors.unsupported(&operator, &["Equal", "Exists", "Lt", "Gt"]),
        _ => errors.unsupported(&operator, &["Equal", "Exists"]),
    }
    if !effect.str().is_empty() {
        taint_effect(&effect, errors);
    }
}

/// What a taint does.
pub(crate) fn taint_effect(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
    } else if !EFFECTS.contains(&at.str()) {
        errors.unsupported(at, EFFECTS);
    }
}

/// `readinessGates`.
pub(crate) fn readiness(list: &At<'_>, errors: &mut Errors) {
    list.items().for_each(|at| {
        let kind = at.get("conditionType");
        errors.each(&kind, names::is_qualified_name(kind.str()));
    });
}

/// `schedulingGates`.
pub(crate) fn scheduling(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for gate in list.items() {
        let name = gate.get("name").str();
        for text in names::is_qualified_name(name) {
            errors.0.push(Error::invalid(&gate.path, name, text));
        }
        if !seen.insert(name) {
            errors.0.push(Error::duplicate(&gate.path, name));
        }
    }
}

/// `topologySpreadConstraints`.
pub(crate) fn spread(list: &At<'_>, errors: &mut Errors) {
    const WHEN: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
    let pair = |at: &At<'_>| format!("{{{}, {}}}", at.get("topologyKey").str(), at.get("whenUnsatisfiable").str());
    let pairs: Vec<String> = list.items().map(|at| pair(&at)).collect();
    for (at, again) in list.items().zip(come_again(&pairs)) {
        let (skew, key, when) = (at.get("maxSkew"), at.get("topologyKey"), at.get("whenUnsatisfiable"));
        if skew.int() <= 0 {
            errors.0.push(Error::invalid(&skew.path, skew.int(), "must be greater than zero"));
        }
        if key.str().is_empty() {
            errors.required(&key, "can not be empty");
        }
        if !WHEN.contains(&when.str()) {
            errors.0.push(Error::not_supported(&when.path, when.str(), WHEN));
        }
        // The earlier of two is told.
        if again {
            errors.0.push(Error::duplicate(&at.path.child("{topologyKey, whenUnsatisfiable}"), pair(&at)));
        }
        spread_details(&at, errors);
    }
}

/// Which of these come once more after them.
fn come_again(texts: &[String]) -> Vec<bool> {
    let mut later = HashSet::new();
    let mut again: Vec<bool> = texts.iter().rev().map(|text| !later.insert(text)).collect();
    again.reverse();
    again
}

fn spread_details(at: &At<'_>, errors: &mut Errors) {
    if let Some(domains) = at.opt("minDomains") {
        if domains.int() <= 0 {
            errors.invalid(&domains, "must be greater than zero");
        }
        if at.get("whenUnsatisfiable").str() != "DoNotSchedule" {
            let detail = format!(
                "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                at.get("whenUnsatisfiable").str()
            );
            errors.invalid(&domains, detail);
        }
    }
    for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        errors.one_of_if_set(&at.get(policy), &["Honor", "Ignore"]);
    }
    affinity::label_keys(at, errors);
    selectors::label_selector(&at.get("labelSelector"), errors);
}

/// `hostAliases`.
pub(crate) fn host_aliases(list: &At<'_>, errors: &mut Errors) {
    for at in list.items() {
        ip::address(&at.get("ip"), errors);
        for name in at.get("hostnames").items() {
            errors.each(&name, names::is_dns1123_subdomain(name.str()));
        }
    }
}

/// `dnsConfig` with the policy that wants it.
pub(crate) fn dns(spec: &At<'_>, errors: &mut Errors) {
    let config = spec.get("dnsConfig");
    if spec.get("dnsPolicy").str() == "None" {
        if config.is_null() {
            errors.required(&config, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        }
        if config.get("nameservers").is_empty() {
            errors.required(
                &config.get("nameservers"),
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            );
            return;
        }
    }
    if config.is_null() {
        return;
    }
    let servers = config.get("nameservers");
    if servers.len() > 3 {
        errors.invalid(&servers, "must not have more than 3 nameservers");
    }
    for server in servers.items() {
        ip::address(&server, errors);
    }
    searches(&config.get("searches"), errors);
    for option in config.get("options").items() {
        if option.get("name").str().is_empty() {
            errors.required(&option, "must not be empty");
        }
    }
}

fn searches(list: &At<'_>, errors: &mut Errors) {
    if list.len() > 32 {
        errors.invalid(list, "must not have more than 32 search paths");
    }
    let total: usize = list.strings().map(str::len).sum::<usize>() + list.len().saturating_sub(1);
    if total > 2048 {
        errors.invalid(list, "must not have more than 2048 characters (including spaces) in the search list");
    }
    for at in list.items() {
        let search = at.str().strip_suffix('.').unwrap_or(at.str());
        if at.str() != "." {
            for text in names::is_dns1123_subdomain_with_underscore(search) {
                errors.0.push(Error::invalid(&at.path, search, text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_two_constraints_that_are_the_same_the_earlier_is_told() {
        let of = |key: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule"});
        let list = json!([of("a"), of("b"), of("a"), of("a")]);
        let mut errors = Errors::default();
        spread(&At::root(&list), &mut errors);
        let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields.len(), 2, "{fields:?}");
        assert!(fields[0].starts_with("[0]") && fields[1].starts_with("[2]"), "{fields:?}");
    }
}
