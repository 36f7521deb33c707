//! Webhook configurations and admission policies, as far as their structure goes.

mod client;
mod match_rules;

use mainstay_api::cel::{Env, Type};
use mainstay_api::field::Error;
use mainstay_api::{meta, names};
use serde_json::Value;

pub(crate) use self::client::client_config;
use crate::extension::expressions;
use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, conditions, selectors};

/// A change is judged by the object that comes of it alone.
const WHOLE: Rules = Rules { parts: &[Part::Meta, Part::Check], finalizers: false, ..Rules::PLAIN };

/// Webhook configurations, of both sorts.
pub(crate) const WEBHOOKS: Rules = Rules { check: |_, obj, errors| webhooks(obj, errors), ..WHOLE };

/// ValidatingAdmissionPolicies.
pub(crate) const POLICY: Rules = Rules {
    check: |_, obj, errors| policy(obj, errors),
    status: |_, new, _, errors| policy_status(&At::root(new).get("status"), errors),
    ..WHOLE
};

/// MutatingAdmissionPolicies.
pub(crate) const MUTATING_POLICY: Rules = Rules { check: |_, obj, errors| mutating_policy(obj, errors), ..WHOLE };

/// ValidatingAdmissionPolicyBindings.
pub(crate) const BINDING: Rules = Rules { check: |_, obj, errors| binding(obj, errors), ..WHOLE };

/// MutatingAdmissionPolicyBindings.
pub(crate) const MUTATING_BINDING: Rules = Rules {
    check: |_, obj, errors| {
        let spec = At::spec(obj);
        bound(&spec, errors);
        match_rules::mutable(&spec.get("matchResources"), errors);
    },
    ..WHOLE
};

fn webhooks(obj: &Value, errors: &mut Errors) {
    let list = At::root(obj).get("webhooks");
    let mut seen = std::collections::HashSet::new();
    for hook in list.items() {
        let name = hook.get("name");
        qualified_domain(&name, errors);
        for rule in hook.get("rules").items() {
            match_rules::rule(&rule, errors);
        }
        let policy =
            |field: &str, allowed: &[&str], errors: &mut Errors| errors.one_of_if_set(&hook.get(field), allowed);
        policy("failurePolicy", &["Fail", "Ignore"], errors);
        policy("matchPolicy", &["Equivalent", "Exact"], errors);
        side_effects(&hook.get("sideEffects"), errors);
        timeout(&hook.get("timeoutSeconds"), errors);
        for selector in ["namespaceSelector", "objectSelector"] {
            selectors::label_selector(&hook.get(selector), errors);
        }
        policy("reinvocationPolicy", &["IfNeeded", "Never"], errors);
        client_config(&hook.get("clientConfig"), errors);
        expressions::conditions(&hook.get("matchConditions"), &expressions::environment(false), errors);
        review_versions(&hook.get("admissionReviewVersions"), "must specify one of v1, v1beta1", errors);
        if !name.is_empty() && !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
    }
}

fn qualified_domain(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    let texts = names::is_dns1123_subdomain(at.str());
    if !texts.is_empty() {
        errors.invalid(at, texts.join(","));
    } else if at.str().split('.').count() < 3 {
        errors.invalid(at, "should be a domain with at least three segments separated by dots");
    }
}

fn side_effects(at: &At<'_>, errors: &mut Errors) {
    const ALLOWED: &[&str] = &["None", "NoneOnDryRun"];
    if at.is_null() {
        errors.required(at, "must specify one of None, NoneOnDryRun");
    } else if !ALLOWED.contains(&at.str()) {
        errors.unsupported(at, ALLOWED);
    }
}

fn timeout(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() && !(1..=30).contains(&at.int()) {
        errors.invalid(at, "the timeout value must be between 1 and 30 seconds");
    }
}

/// The versions of reviews that a webhook understands; `missing` is said of one that names none.
pub(crate) fn review_versions(at: &At<'_>, missing: &str, errors: &mut Errors) {
    if at.is_empty() {
        errors.required(at, missing);
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for version in at.items() {
        if seen.insert(version.str()) {
            errors.each(&version, names::is_dns1035_label(version.str()));
        } else {
            errors.invalid(&version, "duplicate version");
        }
    }
    if !at.strings().any(|version| matches!(version, "v1" | "v1beta1")) {
        errors.invalid(at, "must include at least one of v1, v1beta1");
    }
}

fn policy_status(status: &At<'_>, errors: &mut Errors) {
    for warning in status.get("typeChecking").get("expressionWarnings").items() {
        errors.needed(&warning.get("warning"));
        let field = warning.get("fieldRef");
        if field.str().trim().is_empty() {
            errors.required(&field, "");
        }
    }
    conditions::conditions(&status.get("conditions"), errors);
}

fn policy(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let failure = spec.get("failurePolicy");
    errors.one_of_if_set(&failure, &["Fail", "Ignore"]);
    param_kind(&spec, errors);
    constraints(&spec, errors);
    let env = expressions::environment(spec.opt("paramKind").is_some());
    expressions::conditions(&spec.get("matchConditions"), &env, errors);
    let env = expressions::with_variables(&spec, &env, errors);
    validations(&spec, &env, meta::name(obj), errors);
}

fn constraints(spec: &At<'_>, errors: &mut Errors) {
    match spec.opt("matchConstraints") {
        None => errors.required(&spec.get("matchConstraints"), ""),
        Some(constraints) => {
            match_rules::matched(&constraints, errors);
            errors.needed(&constraints.get("resourceRules"));
        }
    }
}

fn validations(spec: &At<'_>, env: &Env, name: &str, errors: &mut Errors) {
    const WHY: &str = "validations or auditAnnotations must contain at least one item";
    let (validations, audits) = (spec.get("validations"), spec.get("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        errors.required(&validations, WHY);
        errors.required(&audits, WHY);
        return;
    }
    for validation in validations.items() {
        let expression = validation.get("expression");
        if expression.str().trim().is_empty() {
            errors.required(&expression, "expression is not specified");
        } else {
            expressions::gives_bool(&expression, env, errors);
        }
        messages(&validation, env, errors);
        let reason = validation.get("reason");
        errors.one_of_if_set(&reason, &["Forbidden", "Invalid", "RequestEntityTooLarge"]);
    }
    self::audits(&audits, env, name, errors);
}

/// What is said where a validation fails: one line.
fn messages(validation: &At<'_>, env: &Env, errors: &mut Errors) {
    let (message, expression) = (validation.get("message"), validation.get("messageExpression"));
    if !expression.str().trim().is_empty() {
        expressions::gives_text(&expression, &env.clone().without("authorizer"), errors);
    } else if !expression.str().is_empty() {
        errors.invalid(&expression, "must be non-empty if specified");
    }
    let trimmed = message.str().trim();
    if trimmed.is_empty() && !message.str().is_empty() {
        errors.invalid(&message, "must be non-empty if specified");
    } else if trimmed.contains(['\n', '\r']) {
        errors.invalid(&message, "must not contain line breaks");
    }
}

/// What goes into the audit log, by key.
fn audits(audits: &At<'_>, env: &Env, name: &str, errors: &mut Errors) {
    const MOST: usize = 20;
    if audits.len() > MOST {
        errors.invalid(audits, format!("must not have more than {MOST} auditAnnotations"));
    }
    let mut seen = std::collections::HashSet::new();
    for audit in audits.items() {
        let key = audit.get("key");
        let full = format!("{name}/{}", key.str());
        if name.is_empty() {
            errors.0.push(Error::invalid(&key.path, key.str(), "requires metadata.name be non-empty"));
        } else {
            for why in names::is_qualified_name(&full) {
                errors.0.push(Error::invalid(&key.path, full.as_str(), why));
            }
        }
        audit_value(&audit.get("valueExpression"), env, errors);
        if !seen.insert(key.str()) {
            errors.duplicate(&key);
        }
    }
}

fn audit_value(at: &At<'_>, env: &Env, errors: &mut Errors) {
    const LONGEST: usize = 5 << 10;
    match at.str().trim().len() {
        0 => errors.required(at, "valueExpression is not specified"),
        length if length > LONGEST => errors.required(at, &format!("must not exceed {LONGEST} bytes in length")),
        _ => expressions::gives(at, env, "one of [string null_type]", is_audit_value, errors),
    }
}

fn is_audit_value(of: &Type) -> bool {
    matches!(of, Type::Text | Type::Null)
}

fn mutating_policy(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.one_of_if_set(&spec.get("failurePolicy"), &["Fail", "Ignore"]);
    param_kind(&spec, errors);
    constraints(&spec, errors);
    match_rules::mutable(&spec.get("matchConstraints"), errors);
    let env = expressions::environment(spec.opt("paramKind").is_some());
    expressions::conditions(&spec.get("matchConditions"), &env, errors);
    let env = expressions::with_variables(&spec, &env, errors).constructing(&["Object", "JSONPatch"]);
    let mutations = spec.get("mutations");
    if mutations.is_empty() {
        errors.required(&mutations, "mutations must contain at least one item");
    }
    mutations.items().for_each(|mutation| self::mutation(&mutation, &env, errors));
    errors.one_of(&spec.get("reinvocationPolicy"), &["IfNeeded", "Never"]);
}

fn mutation(at: &At<'_>, env: &Env, errors: &mut Errors) {
    const KINDS: [(&str, &str); 2] = [("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")];
    let kind = at.get("patchType");
    if kind.str().is_empty() {
        errors.required(&kind, "");
        return;
    }
    let Some((_, own)) = KINDS.iter().find(|(name, _)| *name == kind.str()) else {
        errors.unsupported(&kind, &KINDS.map(|(name, _)| name));
        return;
    };
    match at.opt(own) {
        None => errors.required(&at.get(own), &format!("must be specified when patchType is {}", kind.str())),
        Some(patch) => mutation_expression(&patch.get("expression"), own, env, errors),
    }
    for (_, other) in KINDS.iter().filter(|(_, field)| field != own) {
        if at.opt(other).is_some() {
            let why = format!("must not be specified when patchType is {}", kind.str());
            errors.0.push(Error::invalid(&at.get(other).path, format!("{{{other}}}"), why));
        }
    }
}

fn mutation_expression(at: &At<'_>, kind: &str, env: &Env, errors: &mut Errors) {
    // It is judged and shown without the space around it.
    let trimmed = Value::from(at.str().trim());
    let at = &At::new(&trimmed, at.path.clone());
    if at.str().is_empty() {
        errors.required(at, "");
    } else if kind == "jsonPatch" {
        let fits =
            |of: &Type| matches!(of, Type::List(of) if **of == Type::Dyn || **of == Type::Named("JSONPatch".into()));
        expressions::gives(at, env, "list(JSONPatch)", fits, errors);
    } else {
        expressions::gives(at, env, "Object", |of| *of == Type::Named("Object".into()), errors);
    }
}

/// What every binding has: a policy, and perhaps parameters and a narrower match.
fn bound(spec: &At<'_>, errors: &mut Errors) {
    policy_name(spec, errors);
    if let Some(reference) = spec.opt("paramRef") {
        param_ref(&reference, errors);
    }
    if let Some(resources) = spec.opt("matchResources") {
        match_rules::matched(&resources, errors);
    }
}

fn param_ref(at: &At<'_>, errors: &mut Errors) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let (name, selector) = (at.get("name"), at.get("selector"));
    if !name.str().is_empty() {
        errors.each(&name, names::is_path_segment(name.str(), false));
        if !selector.is_null() {
            errors.forbidden(&name, EXCLUSIVE);
        }
    }
    if !selector.is_null() {
        selectors::label_selector(&selector, errors);
        if !name.str().is_empty() {
            errors.forbidden(&selector, EXCLUSIVE);
        }
    }
    if name.str().is_empty() && selector.is_null() {
        errors.required(at, "one of name or selector must be specified");
    }
    let action = at.get("parameterNotFoundAction");
    if action.str().is_empty() {
        errors.required(&action, "");
    } else if !matches!(action.str(), "Allow" | "Deny") {
        errors.unsupported(&action, &["Deny", "Allow"]);
    }
}

/// The kind of a policy's parameters.
fn param_kind(spec: &At<'_>, errors: &mut Errors) {
    let Some(kind) = spec.opt("paramKind") else { return };
    let version = kind.get("apiVersion");
    if version.str().is_empty() {
        errors.required(&version, "");
    } else if version.str().matches('/').count() > 1 {
        errors.invalid(&version, format!("unexpected GroupVersion string: {}", version.str()));
    } else {
        group_version(&version, errors);
    }
    let name = kind.get("kind");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        let found = names::is_dns1035_label(&name.str().to_lowercase());
        if !found.is_empty() {
            errors.invalid(&name, format!("may have mixed case, but should otherwise match: {}", found.join(",")));
        }
    }
}

fn group_version(at: &At<'_>, errors: &mut Errors) {
    let (group, version) = at.str().split_once('/').unwrap_or(("", at.str()));
    let mut wrong = |shown: &str, texts: Vec<String>| {
        if !texts.is_empty() {
            errors.0.push(Error::invalid(&at.path, shown, texts.join(",")));
        }
    };
    if !group.is_empty() {
        wrong(group, names::is_dns1123_subdomain(group));
    }
    if version.is_empty() {
        wrong(at.str(), vec!["version must be specified".to_owned()]);
    } else {
        wrong(version, names::is_dns1035_label(version));
    }
}

fn policy_name(spec: &At<'_>, errors: &mut Errors) {
    errors.name(&spec.get("policyName"), names::is_dns1123_subdomain);
}

fn binding(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    bound(&spec, errors);
    let actions = spec.get("validationActions");
    if actions.is_empty() {
        errors.required(&actions, "at least one validation action is required");
    }
    let mut seen = std::collections::HashSet::new();
    for action in actions.items() {
        if !matches!(action.str(), "Audit" | "Deny" | "Warn") {
            errors.unsupported(&action, &["Audit", "Deny", "Warn"]);
        }
        if !seen.insert(action.str()) {
            errors.duplicate(&action);
        }
    }
    if seen.contains("Deny") && seen.contains("Warn") {
        errors.invalid(&actions, "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)");
    }
}

#[cfg(test)]
mod tests;
