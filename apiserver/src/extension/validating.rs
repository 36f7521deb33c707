//! ValidatingAdmissionPolicies.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::cel::Val;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Cause, Status};
use serde_json::Value;

use super::policy::{Applicable, applicable, parameter_row, parameters};
use super::scope::{Fault, Review};
use super::{Shared, is_beyond_policies, list, text};
use crate::admission::{Attributes, Plugin};
use crate::registry::Row;

const LONGEST_MESSAGE: usize = 5 << 10;

/// `ValidatingAdmissionPolicy`.
pub(super) struct ValidatingPolicies(pub Arc<Shared>);

/// Why a policy refuses.
struct Refusal {
    message: String,
    reason: String,
    /// Whatever the binding does with refusals.
    denies: bool,
}

impl Refusal {
    /// Something is wrong with the policy itself.
    fn fault(message: String, denies: bool) -> Self {
        Self { message, reason: "Invalid".to_owned(), denies }
    }
}

#[async_trait]
impl Plugin for ValidatingPolicies {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_beyond_policies(request) {
            return Ok(());
        }
        let mut denied = None;
        for found in applicable(&self.0, request, "validatingadmissionpolicies", "validatingadmissionpolicybindings") {
            match parameter_row(&self.0, &found.policy) {
                Ok(row) => {
                    for binding in &found.bindings {
                        for refusal in refusals(&self.0, request, &found, row.as_deref(), binding) {
                            act(request, &found, binding, refusal, &mut denied);
                        }
                    }
                }
                Err(_) if found.ignores_failure() => {}
                Err(why) => {
                    denied.get_or_insert_with(|| denial(request, &found, None, &Refusal::fault(why, true)));
                }
            }
        }
        denied.map_or(Ok(()), Err)
    }
}

/// What a binding does with a refusal: denies, warns, or leaves it to the audit log.
fn act(
    request: &mut Attributes<'_>,
    found: &Applicable,
    binding: &Value,
    refusal: Refusal,
    denied: &mut Option<Status>,
) {
    let (policy, bound) = (found.name(), meta::name(binding));
    if refusal.denies {
        denied.get_or_insert_with(|| denial(request, found, Some(bound), &refusal));
        return;
    }
    for action in list(binding, "/spec/validationActions").iter().filter_map(Value::as_str) {
        match action {
            "Deny" if denied.is_none() => *denied = Some(denial(request, found, Some(bound), &refusal)),
            "Warn" => request.warnings.push(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{bound}': {}",
                refusal.message
            )),
            "Audit" => tracing::info!(policy, binding = bound, message = refusal.message, "a policy is not met"),
            _ => {}
        }
    }
}

/// The answer to who is refused; a policy that cannot be set up is so under every binding.
fn denial(request: &Attributes<'_>, found: &Applicable, binding: Option<&str>, refusal: &Refusal) -> Status {
    let under = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
    let message = format!("ValidatingAdmissionPolicy '{}'{under} denied request: {}", found.name(), refusal.message);
    let mut status = request.forbidden(&message);
    status.code = match refusal.reason.as_str() {
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "RequestEntityTooLarge" => 413,
        _ => 422,
    };
    status.reason = refusal.reason.clone().into();
    if let Some(details) = &mut status.details {
        details.causes.push(Cause { message, ..Cause::default() });
    }
    status
}

fn refusals(
    shared: &Shared,
    request: &Attributes<'_>,
    found: &Applicable,
    row: Option<&Row>,
    binding: &Value,
) -> Vec<Refusal> {
    match parameters(request, row, binding) {
        Ok(parameters) => {
            let all = parameters.into_iter();
            all.flat_map(|parameter| refusals_with(shared, request, found, parameter.as_deref())).collect()
        }
        Err(_) if found.ignores_failure() => Vec::new(),
        Err(why) => vec![Refusal::fault(why, true)],
    }
}

fn refusals_with(
    shared: &Shared,
    request: &Attributes<'_>,
    found: &Applicable,
    parameter: Option<&Value>,
) -> Vec<Refusal> {
    let fault = |why: &Fault, denies: bool| {
        if found.ignores_failure() { Vec::new() } else { vec![Refusal::fault(why.to_string(), denies)] }
    };
    let scope = Review::new(shared, request, &found.wanted, &found.own, parameter, found.list("variables"));
    match scope.conditions(found.list("matchConditions")) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(why) => return fault(&why, false),
    }
    let validations = found.list("validations");
    let judged: Result<Vec<_>, Fault> = validations.iter().map(|validation| judge(&scope, found, validation)).collect();
    let mut out: Vec<Refusal> = match judged {
        Ok(all) => all.into_iter().flatten().collect(),
        Err(why) => return fault(&why, false),
    };
    scope.renew_budget();
    for audit in found.list("auditAnnotations") {
        match scope.outcome(text(audit, "/valueExpression")) {
            Ok(_) => {}
            Err(Fault::Exhausted) => return fault(&Fault::Exhausted, false),
            Err(why) => out.extend(fault(&why, true)),
        }
    }
    out
}

/// Whether a validation refuses.
///
/// # Errors
/// That what all validations may cost is used up.
fn judge(scope: &Review<'_>, found: &Applicable, validation: &Value) -> Result<Option<Refusal>, Fault> {
    let expression = text(validation, "/expression");
    let reason = Some(text(validation, "/reason")).filter(|reason| !reason.is_empty()).unwrap_or("Invalid");
    let message = match scope.outcome(expression) {
        Ok(Val::Bool(true)) => return Ok(None),
        Ok(_) => message(scope, validation),
        Err(Fault::Exhausted) => return Err(Fault::Exhausted),
        Err(_) if found.ignores_failure() => return Ok(None),
        Err(why) => return Ok(Some(Refusal::fault(why.to_string(), false))),
    };
    Ok(Some(Refusal { message, reason: reason.to_owned(), denies: false }))
}

fn message(scope: &Review<'_>, validation: &Value) -> String {
    let expression = text(validation, "/messageExpression");
    if !expression.is_empty()
        && let Ok(Val::Text(made)) = scope.eval(expression)
    {
        let made = made.trim();
        if !made.is_empty() && !made.contains('\n') && made.len() <= LONGEST_MESSAGE {
            return made.to_owned();
        }
    }
    match text(validation, "/message") {
        "" => format!("failed expression: {}", text(validation, "/expression").trim()),
        message => message.trim().to_owned(),
    }
}
