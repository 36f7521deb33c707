//! What webhooks answer.

use base64::Engine;
use mainstay_api::status::Status;
use serde_json::Value;

use super::{list, text};

/// What a webhook answered.
pub(super) struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    status: Value,
    /// The operations of its patch.
    pub patch: Vec<Value>,
    /// Texts for Warning headers.
    pub warnings: Vec<String>,
    /// What the audit log is told.
    pub notes: Vec<(String, String)>,
}

/// Reads the answer to the review with this uid and of this version.
///
/// # Errors
/// In Kubernetes' words, if it is none, or not to that review.
pub(super) fn verdict(answer: &Value, version: &str, uid: &str, mutating: bool) -> Result<Verdict, String> {
    const KIND: &str = "AdmissionReview";
    let (found, kind) = (text(answer, "/apiVersion"), text(answer, "/kind"));
    let wanted = format!("admission.k8s.io/{version}");
    // What an answer does not say is taken for granted when it is read, not when it is judged.
    super::answer::check_kind(answer, "admission.k8s.io", version, KIND)
        .map_err(|why| format!("failed to call webhook: {why}"))?;
    let invalid = |why: String| format!("received invalid webhook response: {why}");
    let Some(response) = answer.get("response").filter(|response| !response.is_null()) else {
        return Err(invalid("webhook response was absent".to_owned()));
    };
    if let Some(why) = undecodable(response, version) {
        return Err(format!("failed to call webhook: {why}"));
    }
    if version == "v1" {
        let own = text(response, "/uid");
        if own != uid {
            return Err(invalid(format!("expected response.uid=\"{uid}\", got \"{own}\"")));
        }
        if found.is_empty() || kind.is_empty() {
            let found = if found.is_empty() { "/" } else { found };
            return Err(invalid(format!(
                "expected webhook response of {wanted}, Kind={KIND}, got {found}, Kind={kind}"
            )));
        }
        well_formed(response, mutating).map_err(|why| invalid(why.to_owned()))?;
    }
    let allowed = response["allowed"] == true;
    // Nobody looks at what a refusal would have changed.
    let patch = if allowed && mutating { patch_of(response, version)? } else { Vec::new() };
    Ok(Verdict {
        allowed,
        status: response.get("status").cloned().unwrap_or_default(),
        patch,
        warnings: list(response, "/warnings").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        notes: response["auditAnnotations"].as_object().into_iter().flatten().filter_map(note).collect(),
    })
}

fn note((key, value): (&String, &Value)) -> Option<(String, String)> {
    Some((key.clone(), value.as_str()?.to_owned()))
}

/// Whether a value is of the type that a member is to have.
type Fits = fn(&Value) -> bool;

/// Why an answer cannot be read, in Go's words.
fn undecodable(response: &Value, version: &str) -> Option<String> {
    let odd = |value: &Value, at: &str, of: &str| {
        let kind = mainstay_api::json::type_name(value);
        Some(format!("json: cannot unmarshal {kind} into Go struct field {at} of type {of}"))
    };
    if !response.is_object() {
        return odd(response, "AdmissionReview.response", &format!("{version}.AdmissionResponse"));
    }
    let patch_type = format!("{version}.PatchType");
    let members: [(&str, &str, Fits); 7] = [
        ("uid", "types.UID", Value::is_string),
        ("allowed", "bool", Value::is_boolean),
        ("status", "v1.Status", Value::is_object),
        ("patch", "[]uint8", Value::is_string),
        ("patchType", &patch_type, Value::is_string),
        ("auditAnnotations", "map[string]string", Value::is_object),
        ("warnings", "[]string", Value::is_array),
    ];
    for (name, of, fits) in members {
        let found = response.get(name).filter(|value| !value.is_null());
        if let Some(value) = found.filter(|value| !fits(value)) {
            return odd(value, &format!("AdmissionResponse.response.{name}"), of);
        }
    }
    mainstay_api::decode::base64(text(response, "/patch")).err()
}

/// A patch comes with its type, and only from those that are asked for one.
fn well_formed(response: &Value, mutating: bool) -> Result<(), &'static str> {
    let (patch, kind) = (!text(response, "/patch").is_empty(), response.get("patchType").and_then(Value::as_str));
    Err(match (mutating, patch, kind) {
        (true, true, None) => "webhook returned response.patch but not response.patchType",
        (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (false, true, _) => "validating webhook may not return response.patch",
        (false, false, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    })
}

/// The operations of a patch.
fn patch_of(response: &Value, version: &str) -> Result<Vec<Value>, String> {
    let encoded = text(response, "/patch");
    if encoded.is_empty() {
        return Ok(Vec::new());
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    let unread = |why: String| format!("received undecodable patch in webhook response: {why}");
    let odd = |value: &Value, wanted: &str| {
        let kind = mainstay_api::json::type_name(value);
        Err(unread(format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.{wanted}")))
    };
    let operations = match mainstay_api::json::parse(&bytes).map_err(unread)? {
        Value::Array(operations) => operations,
        Value::Null => Vec::new(),
        other => return odd(&other, "Patch"),
    };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object() && !operation.is_null()) {
        return odd(other, "Operation");
    }
    match text(response, "/patchType") {
        "JSONPatch" => Ok(operations),
        _ if version == "v1beta1" || operations.is_empty() => Ok(operations),
        other => Err(format!("unsupported patch type {}", mainstay_api::field::go_quote(other))),
    }
}

/// The refusal that a webhook asked for, as it asked for it, but that it is one.
pub(super) fn denied(hook: &Value, verdict: &Verdict) -> Status {
    let (name, status) = (text(hook, "/name"), &verdict.status);
    let own = match (text(status, "/message"), text(status, "/reason")) {
        ("", "") => format!("admission webhook \"{name}\" denied the request without explanation"),
        ("", reason) => format!("admission webhook \"{name}\" denied the request: {reason}"),
        (message, _) => format!("admission webhook \"{name}\" denied the request: {message}"),
    };
    let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| *code >= 400).unwrap_or(400);
    let mut refusal = Status::failure(code, text(status, "/reason").to_owned(), own);
    if let Ok(asked) = serde_json::from_value::<Status>(status.clone()) {
        if asked.is_failure() && !asked.status.is_empty() {
            refusal.status = asked.status;
        }
        (refusal.metadata, refusal.details) = (asked.metadata, asked.details);
    }
    refusal
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(response: &Value) -> Result<Verdict, String> {
        verdict(
            &json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}),
            "v1",
            "u",
            true,
        )
    }

    #[test]
    fn an_answer_must_be_to_this_request() {
        let why = answer(&json!({"uid": "x", "allowed": true})).err().unwrap();
        assert_eq!(why, "received invalid webhook response: expected response.uid=\"u\", got \"x\"");
        assert!(answer(&json!({"uid": "u", "allowed": true})).unwrap().allowed);
    }

    #[test]
    fn a_patch_is_a_list_in_base64() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let response = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": encode("[]")});
        assert!(answer(&response).unwrap().patch.is_empty());
        let response = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": encode("{}")});
        assert!(
            answer(&response).err().unwrap().contains("cannot unmarshal object into Go value of type jsonpatch.Patch")
        );
    }

    #[test]
    fn a_patch_comes_with_its_type_and_from_who_may_change() {
        let with = |mutating: bool, response: Value| well_formed(&response, mutating).err().unwrap_or_default();
        assert_eq!(with(true, json!({"patchType": "JSONPatch", "patch": "W10="})), "");
        assert!(with(true, json!({"patch": "W10="})).contains("not response.patchType"));
        assert!(with(true, json!({"patchType": "JSONPatch"})).contains("not response.patch"));
        assert!(with(false, json!({"patchType": "JSONPatch", "patch": "W10="})).contains("may not return"));
        let refusal = json!({"uid": "u", "allowed": false, "patchType": "Odd", "patch": "e30="});
        assert!(!answer(&refusal).unwrap().allowed);
    }

    #[test]
    fn an_answer_is_of_the_right_types() {
        let why = |response: Value| answer(&response).err().unwrap_or_default();
        let field = "failed to call webhook: json: cannot unmarshal string into Go struct field";
        assert_eq!(
            why(json!({"uid": "u", "allowed": "yes"})),
            format!("{field} AdmissionResponse.response.allowed of type bool")
        );
        assert_eq!(why(json!("no")), format!("{field} AdmissionReview.response of type v1.AdmissionResponse"));
        assert_eq!(
            why(json!({"uid": "u", "allowed": true, "patch": "!"})),
            "failed to call webhook: illegal base64 data at input byte 0"
        );
    }

    #[test]
    fn a_denial_says_who_and_why() {
        let hook = json!({"name": "h.example.com"});
        let verdict = answer(&json!({"uid": "u", "allowed": false, "status": {"message": "no", "code": 403}})).unwrap();
        let status = denied(&hook, &verdict);
        assert_eq!(
            (status.code(), &*status.message),
            (403, "admission webhook \"h.example.com\" denied the request: no")
        );
    }

    #[test]
    fn an_older_review_is_not_looked_at_closely() {
        let of = |version: &str, answer: Value| verdict(&answer, version, "u", true).map(|verdict| verdict.allowed);
        let response = json!({"uid": "x", "allowed": true, "patch": "W10="});
        assert_eq!(of("v1beta1", json!({"response": response})), Ok(true));
        let response = json!({"uid": "u", "allowed": true});
        let why = "received invalid webhook response: expected webhook response of admission.k8s.io/v1, \
                   Kind=AdmissionReview, got /, Kind=";
        assert_eq!(of("v1", json!({"response": response})), Err(why.to_owned()));
    }

    #[test]
    fn a_denial_brings_its_details() {
        let details = json!({"name": "n", "kind": "k", "causes": [{"field": "spec.x", "message": "m", "reason": "r"}]});
        let status = json!({"message": "no", "code": 200, "status": "Success", "details": details});
        let refused = answer(&json!({"uid": "u", "allowed": false, "status": status})).unwrap();
        let status = denied(&json!({"name": "h.example.com"}), &refused);
        assert_eq!((status.code(), &*status.status), (400, "Failure"));
        assert_eq!(serde_json::to_value(&status).unwrap()["details"], details);
    }
}
