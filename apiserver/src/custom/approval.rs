//! The approval that definitions in the groups of Kubernetes need.

use serde_json::Value;

/// Says who approved a definition.
pub(super) const ANNOTATION: &str = "api-approved.kubernetes.io";
const POLICY: &str = "see https://github.com/kubernetes/enhancements/pull/1111";

/// What a definition in a protected group says of its approval.
pub(super) enum Approval {
    /// By a review at this address.
    Approved(String),
    /// It says that it is not.
    Bypassed(String),
    /// It says something else.
    Invalid(String),
    /// It says nothing.
    Missing(String),
}

/// The approval of a definition; `None` if its group needs none.
pub(super) fn approval(definition: &Value) -> Option<Approval> {
    let group = definition.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
    let protected = ["k8s.io", "kubernetes.io"];
    if !protected.iter().any(|own| group == *own || group.ends_with(&format!(".{own}"))) {
        return None;
    }
    let annotation =
        definition.pointer("/metadata/annotations").and_then(|all| all.get(ANNOTATION)).and_then(Value::as_str);
    Some(match annotation.unwrap_or_default() {
        "" => Approval::Missing(format!("protected groups must have approval annotation \"{ANNOTATION}\", {POLICY}")),
        text if text.starts_with("unapproved") => Approval::Bypassed(text.to_owned()),
        text if is_url(text) => Approval::Approved(text.to_owned()),
        _ => Approval::Invalid(format!(
            "protected groups must have approval annotation \"{ANNOTATION}\" with either a URL or a reason starting with \"unapproved\", {POLICY}"
        )),
    })
}

fn is_url(text: &str) -> bool {
    mainstay_api::url::parse_request(text).is_ok_and(|url| !url.scheme.is_empty() && !url.host.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn approved_is_what_has_an_address() {
        let approved = |text: &str| {
            let found =
                approval(&json!({"metadata": {"annotations": {ANNOTATION: text}}, "spec": {"group": "a.k8s.io"}}));
            matches!(found, Some(Approval::Approved(_)))
        };
        assert!(approved("https://github.com/kubernetes/kubernetes/pull/1"));
        assert!(!approved("/pull/1") && !approved("mailto:a@b.example") && !approved("https:///pull/1"));
        assert!(!approved("soon at https://github.com/a"), "a scheme has no spaces");
    }
}
