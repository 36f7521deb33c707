//! Roles and bindings.

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::{Value, json};

use crate::strategy::rules::{self, Part, Rules};
use crate::strategy::validate::{At, Errors, selectors};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles and bindings are judged whole twice.
const TWICE: &[Part] = &[Part::Meta, Part::Check, Part::Meta, Part::Check, Part::MetaUpdate, Part::Change];

/// Roles.
pub(crate) const ROLE: Rules =
    Rules { check: |_, obj, errors| rules(obj, true, errors), names: rules::segment, parts: TWICE, ..Rules::PLAIN };

/// ClusterRoles.
pub(crate) const CLUSTER_ROLE: Rules = Rules {
    check: |_, obj, errors| {
        rules(obj, false, errors);
        aggregation(obj, errors);
    },
    names: rules::segment,
    parts: TWICE,
    ..Rules::PLAIN
};

/// RoleBindings.
pub(crate) const BINDING: Rules = Rules {
    check: |_, obj, errors| binding(obj, &["Role", "ClusterRole"], errors),
    change: |_, new, old, errors| same_role(new, old, errors),
    names: rules::segment,
    parts: TWICE,
    ..Rules::PLAIN
};

/// ClusterRoleBindings.
pub(crate) const CLUSTER_BINDING: Rules = Rules {
    check: |_, obj, errors| binding(obj, &["ClusterRole"], errors),
    change: |_, new, old, errors| same_role(new, old, errors),
    names: rules::segment,
    parts: TWICE,
    ..Rules::PLAIN
};

fn rules(obj: &Value, namespaced: bool, errors: &mut Errors) {
    for rule in At::root(obj).get("rules").items() {
        let urls = rule.get("nonResourceURLs");
        if rule.get("verbs").is_empty() {
            errors.required(&rule.get("verbs"), "verbs must contain at least one value");
        }
        if !urls.is_empty() {
            if namespaced {
                errors.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
            }
            let others = ["apiGroups", "resources", "resourceNames"].iter().any(|field| !rule.get(field).is_empty());
            if others {
                errors.invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if rule.get("apiGroups").is_empty() {
            errors.required(&rule.get("apiGroups"), "resource rules must supply at least one api group");
        }
        if rule.get("resources").is_empty() {
            errors.required(&rule.get("resources"), "resource rules must supply at least one resource");
        }
    }
}

fn aggregation(obj: &Value, errors: &mut Errors) {
    let Some(rule) = At::root(obj).opt("aggregationRule") else { return };
    let list = rule.get("clusterRoleSelectors");
    if list.is_empty() {
        errors.required(&list, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    }
    for selector in list.items() {
        let before = errors.0.len();
        selectors::label_selector(&selector, errors);
        if errors.0.len() > before {
            let mut error = Error::invalid(&selector.path, "", "invalid label selector.");
            error.value = mainstay_api::field::Shown::Text("null".to_owned());
            errors.0.push(error);
        }
    }
}

fn binding(obj: &Value, kinds: &[&str], errors: &mut Errors) {
    let root = At::root(obj);
    let role = root.get("roleRef");
    if role.get("apiGroup").str() != GROUP {
        let at = role.get("apiGroup");
        errors.0.push(Error::not_supported(&at.path, at.str(), &[GROUP]));
    }
    if !kinds.contains(&role.get("kind").str()) {
        let at = role.get("kind");
        errors.0.push(Error::not_supported(&at.path, at.str(), kinds));
    }
    errors.name(&role.get("name"), |name| names::is_path_segment(name, false));
    root.get("subjects").items().for_each(|subject| self::subject(&subject, kinds.len() > 1, errors));
}

fn subject(at: &At<'_>, in_namespace: bool, errors: &mut Errors) {
    let (kind, group) = (at.get("kind"), at.get("apiGroup"));
    errors.needed(&at.get("name"));
    match kind.str() {
        "ServiceAccount" => {
            errors.name_if_set(&at.get("name"), names::is_dns1123_subdomain);
            if !group.str().is_empty() {
                errors.unsupported(&group, &[""]);
            }
            if !in_namespace && at.get("namespace").str().is_empty() {
                errors.required(&at.get("namespace"), "");
            }
        }
        "User" | "Group" => {
            if group.str() != GROUP {
                errors.unsupported(&group, &[GROUP]);
            }
        }
        _ => errors.0.push(Error::not_supported(&kind.path, kind.str(), &["ServiceAccount", "User", "Group"])),
    }
}

fn same_role(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::root(new).get("roleRef"), At::root(old).get("roleRef"));
    if now.value != was.value {
        let text = format!(
            "{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}",
            json!(now.get("apiGroup").str()),
            json!(now.get("kind").str()),
            json!(now.get("name").str())
        );
        errors.0.push(Error::invalid_text(&now.path, text, "cannot change roleRef"));
    }
}
