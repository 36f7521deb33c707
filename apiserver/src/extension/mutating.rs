//! MutatingAdmissionPolicies.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::patch::PatchRefused;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::{ApiResult, Cause, Status};
use mainstay_api::{cel, meta};
use serde_json::Value;

use super::patching::{self, Author};
use super::policy::{Applicable, applicable, parameter_row, parameters};
use super::scope::{Fault, Review};
use super::{Shared, is_beyond_policies, review, text};
use crate::admission::{Attributes, Operation, Plugin};
use crate::registry::Row;

const NAME: &str = "MutatingAdmissionPolicy";

/// `MutatingAdmissionPolicy`.
pub(super) struct MutatingPolicies(pub Arc<Shared>);

#[async_trait]
impl Plugin for MutatingPolicies {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_beyond_policies(request) || request.operation == Operation::Delete || request.subresource == "scale" {
            return Ok(());
        }
        let all = applicable(&self.0, request, "mutatingadmissionpolicies", "mutatingadmissionpolicybindings");
        if all.is_empty() {
            return Ok(());
        }
        request.rounds.begin(NAME, request.object.as_ref());
        let mut failures = Failures::default();
        for found in &all {
            self.policy(request, found, &mut failures)?;
        }
        request.rounds.end(NAME, request.object.as_ref());
        failures.refuse(request)
    }
}

/// Why a mutation has not changed the object.
enum Unchanged {
    /// The policy is at fault.
    Fault(String),
    /// What it makes is no such object, whatever the policy says of failures.
    Refused(Status),
}

impl From<Fault> for Unchanged {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault.to_string())
    }
}

/// What went wrong with policies that do not ignore that.
#[derive(Default)]
struct Failures {
    /// With policies and bindings.
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

/// What is said of a failure, unless the policy ignores it.
fn told(found: &Applicable, why: String) -> Option<String> {
    if found.ignores_failure() {
        tracing::warn!(why, "a policy failed and is ignored");
        return None;
    }
    Some(why)
}

impl MutatingPolicies {
    fn policy(&self, request: &mut Attributes<'_>, found: &Applicable, failures: &mut Failures) -> ApiResult<()> {
        let policy = found.name();
        let row = match parameter_row(&self.0, &found.policy) {
            Ok(row) => row,
            Err(why) => {
                let why = format!("policy \"{policy}\" denied request: {why}");
                failures.configuration.extend(told(found, why));
                return Ok(());
            }
        };
        for binding in &found.bindings {
            let bound = meta::name(binding);
            let failed = |why: String| format!("policy '{policy}' with binding '{bound}' denied request: {why}");
            match parameters(request, row.as_deref(), binding) {
                Err(why) => failures.configuration.extend(told(found, failed(why))),
                Ok(all) => {
                    for parameter in all {
                        let whys = self.invoke(request, found, bound, parameter.as_deref())?;
                        failures.evaluation.extend(whys.into_iter().filter_map(|why| told(found, failed(why))));
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets the policy change the object; gives why it could not.
    fn invoke(
        &self,
        request: &mut Attributes<'_>,
        found: &Applicable,
        binding: &str,
        parameter: Option<&Value>,
    ) -> ApiResult<Vec<String>> {
        let Some(object) = request.object.clone() else { return Ok(Vec::new()) };
        let of = parameter.map(|of| format!("{}/{}", meta::namespace(of), meta::name(of))).unwrap_or_default();
        let key = format!("{}/{binding}/{of}", found.name());
        let mut scope = Review::new(&self.0, request, &found.wanted, &found.own, parameter, found.list("variables"));
        match scope.conditions(found.list("matchConditions")) {
            Ok(true) if request.rounds.calls(NAME, &key) => {}
            Ok(_) => return Ok(Vec::new()),
            Err(why) => return Ok(vec![why.to_string()]),
        }
        let (changed, failures) = mutated(&mut scope, request, found, object)?;
        drop(scope);
        let is_changed = request.object.as_ref() != Some(&changed);
        request.object = Some(changed);
        request.rounds.called(NAME, key, is_changed, text(&found.policy, "/spec/reinvocationPolicy") == "IfNeeded");
        if failures.len() < found.list("mutations").len() {
            // Kubernetes looks at everything again even if what was made is what was there.
            request.rounds.changed(NAME);
        }
        Ok(failures)
    }
}

/// The object after all mutations of a policy, each of which sees what the ones before made, and why some failed.
fn mutated(
    scope: &mut Review<'_>,
    request: &Attributes<'_>,
    found: &Applicable,
    object: Value,
) -> ApiResult<(Value, Vec<String>)> {
    let (mut object, mut failures) = (object, Vec::new());
    for mutation in found.list("mutations") {
        scope.renew_budget();
        match changed(scope, request, found, mutation, &object) {
            Err(Unchanged::Fault(why)) => failures.push(why),
            Err(Unchanged::Refused(status)) => return Err(status),
            Ok(changed) => {
                object = changed;
                scope.set_object(&review::in_version(&object, &found.wanted));
            }
        }
    }
    Ok((object, failures))
}

/// The object after one mutation.
fn changed(
    scope: &Review<'_>,
    request: &Attributes<'_>,
    found: &Applicable,
    mutation: &Value,
    object: &Value,
) -> Result<Value, Unchanged> {
    let seen = review::in_version(object, &found.wanted);
    let changed = if text(mutation, "/patchType") == "JSONPatch" {
        let operations = scope.change(text(mutation, "/jsonPatch/expression"), cel::operations)?;
        patched(&seen, &operations, &found.own)?
    } else {
        let config = scope.change(text(mutation, "/applyConfiguration/expression"), cel::configuration)?;
        let failed = |why: String| Unchanged::Fault(format!("error applying patch: {why}"));
        applied(request, found, &seen, config).map_err(failed)?
    };
    patching::settle(changed, object, &found.own, Author::Policy).map_err(Unchanged::Refused)
}

/// A patch of which a test does not hold changes nothing.
fn patched(object: &Value, operations: &[Value], row: &Row) -> Result<Value, Unchanged> {
    match patching::patched(object, operations, row) {
        Ok(changed) => Ok(changed),
        Err(PatchRefused::Test(_)) => Ok(object.clone()),
        Err(why) => Err(Unchanged::Fault(format!("JSONPath: {why}"))),
    }
}

/// Merges a configuration into the object as server-side apply would, without anybody coming to own it.
fn applied(request: &Attributes<'_>, found: &Applicable, object: &Value, mut config: Value) -> Result<Value, String> {
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
