//! The review kinds: questions that are asked by creating an object and answered in its status; nothing is stored.

mod access;
mod rules;
mod selectors;
mod subject;
mod token;

use super::Authorizer;
use crate::authn::Authenticator;
use crate::user::UserInfo;
use jiff::Timestamp;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

/// What a review may look at.
pub struct Review<'a> {
    /// Decides.
    pub authorizer: &'a Authorizer,
    /// Knows tokens.
    pub authenticator: &'a Authenticator,
    /// Who asks.
    pub user: &'a UserInfo,
    /// The namespace of the request, for local reviews.
    pub namespace: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// Whether creating this kind is a review.
#[must_use]
pub fn is_review(group: &str, kind: &str) -> bool {
    match group {
        "authorization.k8s.io" => matches!(
            kind,
            "SubjectAccessReview" | "SelfSubjectAccessReview" | "LocalSubjectAccessReview" | "SelfSubjectRulesReview"
        ),
        "authentication.k8s.io" => matches!(kind, "TokenReview" | "SelfSubjectReview"),
        _ => false,
    }
}

/// Whether a question makes sense; validating admission sees only those that do. `namespace` is the request's.
///
/// # Errors
/// What Kubernetes finds invalid about it.
pub fn check(kind: &str, object: &Value, namespace: &str) -> ApiResult<()> {
    match kind {
        "SubjectAccessReview" => access::check_subject(object),
        "LocalSubjectAccessReview" => access::check_local(object, namespace),
        "SelfSubjectAccessReview" => access::check_own(object),
        "SelfSubjectRulesReview" => rules::check(object),
        "TokenReview" => token::check(object),
        _ => Ok(()),
    }
}

/// Answers a question that makes sense: the object as created, with its status.
///
/// # Errors
/// 500 if this is no kind of question.
pub fn answer(kind: &str, object: &Value, review: &Review<'_>) -> ApiResult<Value> {
    match kind {
        "SubjectAccessReview" => Ok(access::subject(object, review)),
        "LocalSubjectAccessReview" => Ok(access::local(object, review)),
        "SelfSubjectAccessReview" => Ok(access::own(object, review)),
        "SelfSubjectRulesReview" => Ok(rules::own(object, review)),
        "SelfSubjectReview" => Ok(subject::own(review)),
        "TokenReview" => Ok(token::review(object, review)),
        _ => Err(Status::internal(format!("{kind} is not a review"))),
    }
}

/// An answer: kind and spec of the question, metadata without what the server does not keep, and the status.
fn answered(question: &Value, metadata: Value, spec: Value, status: Value) -> Value {
    serde_json::json!({
        "apiVersion": question["apiVersion"],
        "kind": question["kind"],
        "metadata": metadata,
        "spec": spec,
        "status": status,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_judged_before_anybody_answers_it() {
        let refused = |kind: &str, spec: Value| {
            let status = check(kind, &json!({"spec": spec}), "here").unwrap_err();
            (status.code(), status.message.into_owned())
        };
        assert_eq!(refused("TokenReview", json!({})).0, 400);
        assert_eq!(refused("SelfSubjectRulesReview", json!({})), (400, "no namespace on request".to_owned()));
        let resource = json!({"resourceAttributes": {"verb": "get", "namespace": "there"}, "user": "u"});
        for kind in ["SubjectAccessReview", "SelfSubjectAccessReview"] {
            assert_eq!(refused(kind, json!({"user": "u"})).0, 422, "{kind}");
            assert_eq!(check(kind, &json!({"spec": resource.clone()}), ""), Ok(()), "{kind}");
        }
        let (code, why) = refused("LocalSubjectAccessReview", resource);
        assert!(code == 422 && why.contains("must match metadata.namespace"), "{why}");
        assert_eq!(check("SelfSubjectReview", &json!({}), ""), Ok(()));
    }
}
