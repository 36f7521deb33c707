//! MutatingAdmissionPolicies.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::cel::Val;
use mainstay_api::meta;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::{ApiResult, Status};
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
        for (index, found) in all.iter().enumerate() {
            self.policy(request, found)?;
            if text(&found.policy, "/spec/reinvocationPolicy") == "IfNeeded" {
                again.push((index, request.object.clone()));
            }
        }
        for (index, seen) in again {
            if seen != request.object {
                self.policy(request, &all[index])?;
            }
        }
        Ok(())
    }
}

impl MutatingPolicies {
    fn policy(&self, request: &mut Attributes<'_>, found: &Applicable) -> ApiResult<()> {
        for binding in &found.bindings {
            match self.binding(request, found, binding) {
                Ok(()) => {}
                Err(why) if found.ignores_failure() => {
                    tracing::warn!(policy = found.name(), why, "a policy failed and is ignored");
                }
                Err(why) => return Err(refused(request, found, binding, &why)),
            }
        }
        Ok(())
    }

    fn binding(&self, request: &mut Attributes<'_>, found: &Applicable, binding: &Value) -> Result<(), String> {
        for parameter in parameters(&self.0, request, &found.policy, binding)? {
            let changed = {
                let variables = found.list("variables");
                let mut scope =
                    Review::new(&self.0, request, &found.wanted, &found.own, parameter.as_deref(), variables);
                if !scope.conditions(found.list("matchConditions"))? {
                    continue;
                }
                let Some(object) = request.object.clone() else { continue };
                mutated(&mut scope, request, found, object)?
            };
            request.object = Some(changed);
        }
        Ok(())
    }
}

fn refused(request: &Attributes<'_>, found: &Applicable, binding: &Value, why: &str) -> Status {
    let (policy, bound) = (found.name(), meta::name(binding));
    let mut status = request.forbidden(format!("policy '{policy}' with binding '{bound}' denied request: {why}"));
    status.code = 422;
    status.reason = "Invalid".into();
    status
}

/// The object after all mutations of a policy, each of which sees what the ones before made.
fn mutated(
    scope: &mut Review<'_>,
    request: &Attributes<'_>,
    found: &Applicable,
    object: Value,
) -> Result<Value, String> {
    let mut object = object;
    for mutation in found.list("mutations") {
        let seen = review::in_version(&object, &found.wanted);
        let changed = match text(mutation, "/patchType") {
            "JSONPatch" => {
                let patch = scope.eval(text(mutation, "/jsonPatch/expression"))?.to_json();
                patched(&seen, &patch)?
            }
            _ => {
                let config = scope.eval(text(mutation, "/applyConfiguration/expression"))?;
                applied(request, found, &seen, &config)?
            }
        };
        let settled = patching::settle(changed, &object, &found.own);
        object = settled.map_err(|status| status.message.to_string())?;
        scope.set_object(&review::in_version(&object, &found.wanted));
    }
    Ok(object)
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
