//! Who am I?

use super::Review;
use crate::user::UserInfo;
use serde_json::{Map, Value, json};

pub(super) fn own(review: &Review<'_>) -> Value {
    let created = jiff::Timestamp::from_second(review.now.as_second()).unwrap_or(review.now).to_string();
    json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "SelfSubjectReview",
        "metadata": {"creationTimestamp": created},
        "status": {"userInfo": user_info(review.user)},
    })
}

/// A user as the API shows one.
pub(super) fn user_info(user: &UserInfo) -> Value {
    let mut info = Map::new();
    let mut add = |key: &str, value: Value, empty: bool| {
        if !empty {
            info.insert(key.to_owned(), value);
        }
    };
    add("username", json!(user.name), user.name.is_empty());
    add("uid", json!(user.uid), user.uid.is_empty());
    add("groups", json!(user.groups), user.groups.is_empty());
    add("extra", json!(user.extra), user.extra.is_empty());
    Value::Object(info)
}
