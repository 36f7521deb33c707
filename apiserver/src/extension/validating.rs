//! ValidatingAdmissionPolicies.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::cel::Val;
use mainstay_api::field::go_json;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Cause, Status};
use serde_json::Value;

use super::policy::{Applicable, applicable, parameter_row, parameters};
use super::scope::{Fault, Review};
use super::{Shared, is_beyond_policies, list, text};
use crate::admission::{Attributes, Plugin};
use crate::registry::Row;

const LONGEST_MESSAGE: usize = 5 << 10;
/// Bytes of what the audit log is told under one binding.
const LONGEST_NOTE: usize = 10 << 10;
/// Under this key the audit log is told of a refusal.
const FAILURE: &str = "validation.policy.admission.k8s.io/validation_failure";

/// `ValidatingAdmissionPolicy`.
pub(super) struct ValidatingPolicies(pub Arc<Shared>);

/// Why a policy refuses.
struct Refusal {
    message: String,
    reason: String,
    /// Whatever the binding does with refusals.
    denies: bool,
    /// Which of the validations it is of.
    index: usize,
}

/// What a policy says under one binding.
#[derive(Default)]
struct Judged {
    refusals: Vec<Refusal>,
    /// Keys and values for the audit log.
    notes: Vec<(String, String)>,
}

impl From<Vec<Refusal>> for Judged {
    fn from(refusals: Vec<Refusal>) -> Self {
        Self { refusals, notes: Vec::new() }
    }
}

impl Refusal {
    /// Something is wrong with the policy itself.
    fn fault(message: String, denies: bool) -> Self {
        Self { message, reason: "Invalid".to_owned(), denies, index: 0 }
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
                    let mut notes = Vec::new();
                    for binding in &found.bindings {
                        let judged = judged(&self.0, request, &found, row.as_deref(), binding);
                        for refusal in judged.refusals {
                            act(request, &found, binding, refusal, &mut denied);
                        }
                        notes.extend(judged.notes);
                    }
                    note(request, &found, &notes);
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
            "Audit" => request.notes.add(FAILURE, failure(policy, binding, &refusal)),
            _ => {}
        }
    }
}

/// Tells the audit log what the policy wants it to know: what bindings say alike once, other values one after the other.
fn note(request: &mut Attributes<'_>, found: &Applicable, notes: &[(String, String)]) {
    let mut said = HashSet::new();
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (key, value) in notes {
        if said.insert((key, value)) {
            all.entry(key).or_default().push(value);
        }
    }
    for (key, values) in all {
        request.notes.add(format!("{}/{key}", found.name()), values.join(", "));
    }
}

/// A refusal as the audit log shows it.
fn failure(policy: &str, binding: &Value, refusal: &Refusal) -> String {
    let text = |value: &str| go_json(&Value::from(value));
    let (message, policy, bound) = (text(&refusal.message), text(policy), text(meta::name(binding)));
    let actions = Value::from(list(binding, "/spec/validationActions"));
    let index = refusal.index;
    format!(
        r#"[{{"message":{message},"policy":{policy},"binding":{bound},"expressionIndex":{index},"validationActions":{actions}}}]"#
    )
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

fn judged(shared: &Shared, request: &Attributes<'_>, found: &Applicable, row: Option<&Row>, binding: &Value) -> Judged {
    match parameters(request, row, binding) {
        Ok(parameters) => {
            let mut all = Judged::default();
            for parameter in parameters {
                let one = judged_with(shared, request, found, parameter.as_deref());
                all.refusals.extend(one.refusals);
                all.notes.extend(one.notes);
            }
            all
        }
        Err(_) if found.ignores_failure() => Judged::default(),
        Err(why) => vec![Refusal::fault(why, true)].into(),
    }
}

fn judged_with(shared: &Shared, request: &Attributes<'_>, found: &Applicable, parameter: Option<&Value>) -> Judged {
    let fault = |why: &Fault, denies: bool| {
        if found.ignores_failure() { Vec::new() } else { vec![Refusal::fault(why.to_string(), denies)] }
    };
    let scope = Review::new(shared, request, &found.wanted, &found.own, parameter, found.list("variables"));
    match scope.conditions(found.list("matchConditions")) {
        Ok(true) => {}
        Ok(false) => return Judged::default(),
        Err(why) => return fault(&why, false).into(),
    }
    let validations = found.list("validations").iter().enumerate();
    let all: Result<Vec<_>, Fault> = validations.map(|(index, one)| judge(&scope, found, one, index)).collect();
    let mut out: Judged = match all {
        Ok(all) => all.into_iter().flatten().collect::<Vec<_>>().into(),
        Err(why) => return fault(&why, false).into(),
    };
    scope.renew_budget();
    for audit in found.list("auditAnnotations") {
        match scope.outcome(text(audit, "/valueExpression")) {
            Ok(value) => out.notes.extend(annotation(text(audit, "/key"), &value)),
            Err(Fault::Exhausted) => return fault(&Fault::Exhausted, false).into(),
            Err(why) => out.refusals.extend(fault(&why, true)),
        }
    }
    out
}

/// What the audit log is told, if it is anything.
fn annotation(key: &str, value: &Val) -> Option<(String, String)> {
    let Val::Text(value) = value else { return None };
    let value = value.trim();
    let mut end = value.len().min(LONGEST_NOTE);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    (!value.is_empty()).then(|| (key.to_owned(), value[..end].to_owned()))
}

/// Whether a validation refuses.
///
/// # Errors
/// That what all validations may cost is used up.
fn judge(scope: &Review<'_>, found: &Applicable, validation: &Value, index: usize) -> Result<Option<Refusal>, Fault> {
    let expression = text(validation, "/expression");
    let reason = Some(text(validation, "/reason")).filter(|reason| !reason.is_empty()).unwrap_or("Invalid");
    let message = match scope.outcome(expression) {
        Ok(Val::Bool(true)) => return Ok(None),
        Ok(_) => message(scope, validation),
        Err(Fault::Exhausted) => return Err(Fault::Exhausted),
        Err(_) if found.ignores_failure() => return Ok(None),
        Err(why) => return Ok(Some(Refusal { index, ..Refusal::fault(why.to_string(), false) })),
    };
    Ok(Some(Refusal { message, reason: reason.to_owned(), denies: false, index }))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_audit_log_is_told_of_refusals() {
        let binding = json!({"metadata": {"name": "b"}, "spec": {"validationActions": ["Audit"]}});
        let refusal = Refusal { message: "no \"<\"".into(), reason: "Invalid".into(), denies: false, index: 1 };
        let shown = r#"[{"message":"no \"\u003c\"","policy":"p","binding":"b","expressionIndex":1,"validationActions":["Audit"]}]"#;
        assert_eq!(failure("p", &binding, &refusal), shown);
    }

    #[test]
    fn the_audit_log_is_told_what_is_not_empty() {
        assert_eq!(annotation("k", &Val::text(" v ")), Some(("k".to_owned(), "v".to_owned())));
        assert_eq!(annotation("k", &Val::text(" ")), None);
        assert_eq!(annotation("k", &Val::Null), None);
        let long = "a".to_owned() + &"ü".repeat(LONGEST_NOTE);
        let (_, shown) = annotation("k", &Val::text(&long)).unwrap();
        assert_eq!(shown.len(), LONGEST_NOTE - 1, "a character is cut in two or more is cut than has to be");
    }
}
