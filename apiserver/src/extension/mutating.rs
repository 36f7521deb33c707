//! MutatingAdmissionPolicies.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::cel::Val;
use mainstay_api::meta;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::{ApiResult, Cause};
use serde_json::Value;

use super::policy::{Applicable, applicable, parameters};
use super::scope::Review;
use super::{Shared, is_exempt, patching, review, text};
use crate::admission::{Attributes, Operation, Plugin};

/// `MutatingAdmissionPolicy`.
pub(super) struct MutatingPolicies(pub Arc<Shared>);

#[async_trait]
impl Plugin for MutatingPolicies {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_exempt(request) || request.operation == Operation::Delete || request.subresource == "scale" {
            return Ok(());
        }
        let all = applicable(&self.0, request, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings");
        let mut again: Vec<(usize, Option<Value>)> = Vec::new();
        let mut failures = Failures::default();
        for (index, found) in all.iter().enumerate() {
            self.policy(request, found, &mut failures);
            if text(&found.policy, "/spec/reinvocationPolicy") == "IfNeeded" {
                again.push((index, request.object.clone()));
            }
        }
        failures.refuse(request)?;
        for (index, seen) in again {
            if seen != request.object {
                self.policy(request, &all[index], &mut failures);
            }
        }
        failures.refuse(request)
    }
}

/// What went wrong with policies that do not ignore that.
#[derive(Default)]
struct Failures {
    /// With bindings.
    configuration: Vec<String>,
    /// With expressions and what they gave.
    evaluation: Vec<String>,
}

impl Failures {
    /// The first failure is what is said, and all are causes. The code is always that of what is forbidden.
    fn refuse(&self, request: &Attributes<'_>) -> ApiResult<()> {
        let all = || self.configuration.iter().chain(&self.evaluation);
        let Some(first) = all().next() else { return Ok(()) };
        let mut status = request.forbidden("");
        status.message = first.clone().into();
        if self.configuration.is_empty() {
            status.reason = "Invalid".into();
        }
        if let Some(details) = &mut status.details {
            details.causes.extend(all().map(|message| Cause { message: message.clone(), ..Cause::default() }));
        }
        Err(status)
    }
}

impl MutatingPolicies {
    fn policy(&self, request: &mut Attributes<'_>, found: &Applicable, failures: &mut Failures) {
        for binding in &found.bindings {
            let failed = |why: String| {
                let (policy, bound) = (found.name(), meta::name(binding));
                let why = format!("policy '{policy}' with binding '{bound}' denied request: {why}");
                if found.ignores_failure() {
                    tracing::warn!(why, "a policy failed and is ignored");
                    return None;
                }
                Some(why)
            };
            match parameters(&self.0, request, &found.policy, binding) {
                Err(why) => failures.configuration.extend(failed(why)),
                Ok(all) => {
                    let whys = all.into_iter().flat_map(|parameter| self.invoke(request, found, parameter.as_deref()));
                    failures.evaluation.extend(whys.filter_map(failed));
                }
            }
        }
    }

    /// Lets the policy change the object; gives why it could not.
    fn invoke(&self, request: &mut Attributes<'_>, found: &Applicable, parameter: Option<&Value>) -> Vec<String> {
        let (changed, failures) = {
            let mut scope =
                Review::new(&self.0, request, &found.wanted, &found.own, parameter, found.list("variables"));
            match scope.conditions(found.list("matchConditions")) {
                Ok(true) => {}
                Ok(false) => return Vec::new(),
                Err(why) => return vec![why],
            }
            let Some(object) = request.object.clone() else { return Vec::new() };
            mutated(&mut scope, request, found, object)
        };
        request.object = Some(changed);
        failures
    }
}

/// The object after all mutations of a policy, each of which sees what the ones before made, and why some failed.
fn mutated(
    scope: &mut Review<'_>,
    request: &Attributes<'_>,
    found: &Applicable,
    object: Value,
) -> (Value, Vec<String>) {
    let (mut object, mut failures) = (object, Vec::new());
    for mutation in found.list("mutations") {
        match changed(scope, request, found, mutation, &object) {
            Err(why) => failures.push(why),
            Ok(changed) => {
                object = changed;
                scope.set_object(&review::in_version(&object, &found.wanted));
            }
        }
    }
    (object, failures)
}

/// The object after one mutation.
fn changed(
    scope: &Review<'_>,
    request: &Attributes<'_>,
    found: &Applicable,
    mutation: &Value,
    object: &Value,
) -> Result<Value, String> {
    let seen = review::in_version(object, &found.wanted);
    let changed = if text(mutation, "/patchType") == "JSONPatch" {
        let patch = scope.outcome(text(mutation, "/jsonPatch/expression"))?.to_json();
        patched(&seen, &patch).map_err(|why| format!("JSONPath: {why}"))?
    } else {
        let config = scope.outcome(text(mutation, "/applyConfiguration/expression"))?;
        applied(request, found, &seen, &config).map_err(|why| format!("error applying patch: {why}"))?
    };
    patching::settle(changed, object, &found.own).map_err(|status| status.message.to_string())
}

/// A patch of which a test does not hold changes nothing.
fn patched(object: &Value, patch: &Value) -> Result<Value, String> {
    match patching::apply(object, patch) {
        Err(why) if why.starts_with("testing value") => Ok(object.clone()),
        outcome => outcome,
    }
}

/// Merges a configuration into the object as server-side apply would, without anybody coming to own it.
fn applied(request: &Attributes<'_>, found: &Applicable, object: &Value, config: &Val) -> Result<Value, String> {
    let mut config = config.to_json();
    if !config.is_object() {
        return Err("the configuration to apply is not an object".to_owned());
    }
    config["apiVersion"] = meta::api_version(object).into();
    config["kind"] = meta::kind(object).into();
    let nothing = FieldSet::default();
    let schema = match &found.wanted.served {
        Some(served) => Schema::Custom(served.schema.root()),
        None => found.wanted.resource.object_type().map_or(Schema::Deduced, Schema::Struct),
    };
    ssa::check(&config, schema).map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let atomics = ssa::atomics(&config, schema);
    if !atomics.is_empty() {
        let paths = atomics.join(", ");
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {paths}"));
    }
    let write = Write {
        schema,
        manager: "mutating-admission-policy",
        api_version: meta::api_version(object),
        subresource: request.subresource,
        ignored: &nothing,
        now: request.now,
    };
    let owners = meta::metadata(object).and_then(|metadata| metadata.get("managedFields")).cloned();
    let mut live = object.clone();
    meta::remove_field(&mut live, "managedFields");
    let mut merged = ssa::apply(Some(&live), &config, &write, true).map_err(|status| status.message.to_string())?;
    match owners {
        Some(owners) => meta::set(&mut merged, "managedFields", owners),
        None => drop(meta::remove_field(&mut merged, "managedFields")),
    }
    Ok(merged)
}
