//! Whose token is this?

use super::subject::user_info;
use super::{Review, answered};
use crate::authn::ISSUER;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};

pub(super) fn check(object: &Value) -> ApiResult<()> {
    if token(object).is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    Ok(())
}

fn token(object: &Value) -> &str {
    object["spec"]["token"].as_str().unwrap_or_default()
}

pub(super) fn review(object: &Value, review: &Review<'_>) -> Value {
    let listed: Vec<&str> =
        object["spec"]["audiences"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let audiences = if listed.is_empty() { vec![ISSUER] } else { listed };
    // It is looked at as if it came in a header: a space ends it, and one before it hides it.
    let sent = token(object).trim_end().split(' ').next().unwrap_or_default();
    let status = match sent {
        "" => json!({"user": {}}),
        sent => match review.authenticator.review_any(sent, &audiences, review.now) {
            Ok((user, granted)) => json!({"authenticated": true, "user": user_info(&user), "audiences": granted}),
            Err(error) => json!({"user": {}, "error": error.to_string()}),
        },
    };
    let metadata = object.get("metadata").filter(|metadata| metadata.is_object()).cloned().unwrap_or_else(|| json!({}));
    answered(object, metadata, object["spec"].clone(), status)
}
