//! Reading what a webhook answered: which object it is, before anybody looks into it.

use mainstay_api::{decode, json};
use serde_json::Value;

use super::text;

/// Where Kubernetes makes the scheme that webhooks' answers are read with; its errors say so.
const SCHEME: &str = "pkg/util/webhook/client.go:69";

/// The object that an answer holds.
///
/// # Errors
/// That it is empty or neither JSON nor YAML, in Kubernetes' words.
pub(super) fn parse(code: u16, content_type: &str, body: &[u8]) -> Result<Value, String> {
    if body.is_empty() {
        return Err(format!("0-length response with status code: {code} and content type: {content_type}"));
    }
    let unread = |why: String| format!("couldn't get version/kind; json parse error: {why}");
    let value = if body.trim_ascii_start().starts_with(b"{") {
        json::parse(body).map_err(unread)?
    } else {
        // What does not begin as an object is taken for YAML.
        let text = String::from_utf8_lossy(body);
        mainstay_api::yaml::parse(&text, mainstay_api::yaml::Duplicates::LastWins).map_err(|error| error.to_string())?
    };
    decode::unidentified(&value).map_or(Ok(value), |why| Err(unread(why)))
}

/// Whether an answer is the review that was asked for, as far as it says what it is.
///
/// # Errors
/// That it is another kind or version, in Kubernetes' words.
pub(super) fn check_kind(answer: &Value, group: &str, version: &str, kind: &str) -> Result<(), String> {
    let wanted = format!("{group}/{version}");
    let (found, named) = (text(answer, "/apiVersion"), text(answer, "/kind"));
    let found = if found.is_empty() { wanted.as_str() } else { found };
    let named = if named.is_empty() { kind } else { named };
    if (found, named) == (wanted.as_str(), kind) {
        return Ok(());
    }
    let known = match found.strip_prefix(group).and_then(|rest| rest.strip_prefix('/')) {
        Some(other) => named == kind && matches!(other, "v1" | "v1beta1"),
        None => (found, named) == ("v1", "Status"),
    };
    if known {
        let other = found.rsplit('/').next().unwrap_or_default();
        return Err(format!("converting ({other}.{named}) to ({version}.{kind}): unknown conversion"));
    }
    Err(format!("no kind \"{named}\" is registered for version \"{found}\" in scheme \"{SCHEME}\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_an_object() {
        let why = |body: &str| parse(200, "application/json", body.as_bytes()).unwrap_err();
        assert_eq!(why(""), "0-length response with status code: 200 and content type: application/json");
        for (body, kind) in [("hello", "string"), ("[]", "array"), ("5", "number")] {
            let start = format!("couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go");
            assert!(why(body).starts_with(&start), "{}", why(body));
        }
        let cut = "couldn't get version/kind; json parse error: unexpected end of JSON input";
        assert_eq!(why("{\"kind\":"), cut);
        assert_eq!(parse(200, "", b" {\"kind\": \"A\"}").unwrap(), json!({"kind": "A"}));
        assert!(parse(200, "", b"kind: A").is_ok());
    }

    #[test]
    fn an_answer_is_the_review_that_was_asked_for() {
        let of = |answer: Value| check_kind(&answer, "admission.k8s.io", "v1", "AdmissionReview");
        let answer = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind});
        assert!(of(answer("admission.k8s.io/v1", "AdmissionReview")).is_ok());
        assert!(of(json!({})).is_ok());
        let converting = |found: &str| format!("converting ({found}) to (v1.AdmissionReview): unknown conversion");
        assert_eq!(
            of(answer("admission.k8s.io/v1beta1", "AdmissionReview")).unwrap_err(),
            converting("v1beta1.AdmissionReview")
        );
        assert_eq!(of(answer("v1", "Status")).unwrap_err(), converting("v1.Status"));
        assert_eq!(
            of(answer("admission.k8s.io/v1", "Other")).unwrap_err(),
            "no kind \"Other\" is registered for version \"admission.k8s.io/v1\" in scheme \
             \"pkg/util/webhook/client.go:69\""
        );
    }
}
