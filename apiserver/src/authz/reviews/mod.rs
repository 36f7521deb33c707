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

/// Answers a review: the object as created, with its status.
///
/// # Errors
/// What Kubernetes finds invalid about the question.
pub fn create(kind: &str, object: Value, review: &Review<'_>) -> ApiResult<Value> {
    match kind {
        "SubjectAccessReview" => access::subject(object, review),
        "LocalSubjectAccessReview" => access::local(object, review),
        "SelfSubjectAccessReview" => access::own(object, review),
        "SelfSubjectRulesReview" => rules::own(object, review),
        "SelfSubjectReview" => Ok(subject::own(review)),
        "TokenReview" => token::review(object, review),
        _ => Err(Status::internal(format!("{kind} is not a review"))),
    }
}

/// An answer: kind and spec of the question, metadata without what the server does not keep, and the status.
fn answer(question: &Value, metadata: Value, spec: Value, status: Value) -> Value {
    serde_json::json!({
        "apiVersion": question["apiVersion"],
        "kind": question["kind"],
        "metadata": metadata,
        "spec": spec,
        "status": status,
    })
}
