//! ValidatingAdmissionPolicies.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::cel::Val;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Cause, Status};
use serde_json::Value;

use super::policy::{Applicable, applicable, parameters};
use super::scope::Review;
use super::{Shared, is_exempt, list, text};
use crate::admission::{Attributes, Plugin};

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
        if is_exempt(request) {
            return Ok(());
        }
        let mut denied = None;
        for found in applicable(&self.0, request, "validatingadmissionpolicies", "validatingadmissionpolicybindings") {
            for binding in &found.bindings {
                for refusal in refusals(&self.0, request, &found, binding) {
                    act(request, &found, binding, refusal, &mut denied);
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
        if denied.is_none() {
            *denied = Some(denial(request, policy, bound, &refusal));
        }
        return;
    }
    for action in list(binding, "/spec/validationActions").iter().filter_map(Value::as_str) {
        match action {
            "Deny" if denied.is_none() => *denied = Some(denial(request, policy, bound, &refusal)),
            "Warn" => request.warnings.push(format!(
                "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{bound}': {}",
                refusal.message
            )),
            "Audit" => tracing::info!(policy, binding = bound, message = refusal.message, "a policy is not met"),
            _ => {}
        }
    }
}

fn denial(request: &Attributes<'_>, policy: &str, binding: &str, refusal: &Refusal) -> Status {
    // A policy that cannot be set up is so under every binding.
    let under = if refusal.message.starts_with("failed to configure policy") {
        String::new()
    } else {
        format!(" with binding '{binding}'")
    };
    let message = format!("ValidatingAdmissionPolicy '{policy}'{under} denied request: {}", refusal.message);
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

fn refusals(shared: &Shared, request: &Attributes<'_>, found: &Applicable, binding: &Value) -> Vec<Refusal> {
    let parameters = match parameters(shared, request, &found.policy, binding) {
        Ok(parameters) => parameters,
        Err(_) if found.ignores_failure() => return Vec::new(),
        Err(why) => return vec![Refusal::fault(why, true)],
    };
    let mut out = Vec::new();
    for parameter in parameters {
        let variables = found.list("variables");
        let scope = Review::new(shared, request, &found.wanted, &found.own, parameter.as_deref(), variables);
        match scope.conditions(found.list("matchConditions")) {
            Ok(false) => continue,
            Ok(true) => {}
            Err(_) if found.ignores_failure() => continue,
            Err(why) => {
                out.push(Refusal::fault(why, false));
                continue;
            }
        }
        out.extend(found.list("validations").iter().filter_map(|validation| judge(&scope, found, validation)));
        if !found.ignores_failure() {
            let values = found.list("auditAnnotations").iter().map(|audit| text(audit, "/valueExpression"));
            let failures = values.filter_map(|expression| scope.outcome(expression).err());
            out.extend(failures.map(|why| Refusal::fault(why, true)));
        }
    }
    out
}

fn judge(scope: &Review<'_>, found: &Applicable, validation: &Value) -> Option<Refusal> {
    let expression = text(validation, "/expression");
    let reason = Some(text(validation, "/reason")).filter(|reason| !reason.is_empty()).unwrap_or("Invalid");
    let message = match scope.outcome(expression) {
        Ok(Val::Bool(true)) => return None,
        Ok(_) => message(scope, validation),
        Err(_) if found.ignores_failure() => return None,
        Err(why) => return Some(Refusal::fault(why, false)),
    };
    Some(Refusal { message, reason: reason.to_owned(), denies: false })
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
