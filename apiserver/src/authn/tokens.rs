//! Service-account tokens: what their claims say, and whether what they are bound to is still there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mainstay_api::field::go_quote;
use serde_json::Value;

use crate::pki::ServiceAccountKey;
use crate::strategy::Reader;
use crate::user::UserInfo;

/// Issuer of the cluster's tokens, and the audience of its API.
pub const ISSUER: &str = "https://kubernetes.default.svc";

/// A token outlives the deletion mark of what it is bound to by this much, so that a stopping pod can finish, in seconds.
const LEEWAY_AFTER_DELETION: i64 = 60;

/// How far clocks may be apart, in seconds.
const CLOCK_LEEWAY: i64 = 60;

/// Why a token is not accepted, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not one of ours.
    #[error("invalid bearer token")]
    Invalid,
    /// One of ours, but not for this use.
    #[error("[invalid bearer token, {0}]")]
    Refused(String),
}

fn refused(why: impl Into<String>) -> TokenError {
    TokenError::Refused(why.into())
}

/// Who holds the token and for which of the audiences it is good.
pub(super) fn verify(
    key: &ServiceAccountKey,
    reader: &dyn Reader,
    token: &str,
    audiences: &[&str],
    now: Timestamp,
) -> Result<(UserInfo, Vec<String>), TokenError> {
    let claims = key.verify(token).filter(|claims| claims["iss"] == ISSUER).ok_or(TokenError::Invalid)?;
    let granted = audience(&claims, audiences)?;
    check_times(&claims, now)?;
    let bound = &claims["kubernetes.io"];
    let namespace = text(&bound["namespace"]);
    let account = &bound["serviceaccount"];
    check_account(reader, namespace, account, now)?;
    check_live(reader, "secret", namespace, &bound["secret"], now)?;
    check_live(reader, "pod", namespace, &bound["pod"], now)?;
    if bound["pod"].is_null() {
        check_live(reader, "node", "", &bound["node"], now)?;
    }
    Ok((user(&claims, namespace, account), granted))
}

fn audience(claims: &Value, audiences: &[&str]) -> Result<Vec<String>, TokenError> {
    let own: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one],
        list => list.as_array().map(|l| l.iter().filter_map(Value::as_str).collect()).unwrap_or_default(),
    };
    let granted: Vec<String> = audiences.iter().filter(|a| own.contains(a)).map(ToString::to_string).collect();
    if granted.is_empty() {
        let (own, wanted) = (listed(&own), listed(audiences));
        return Err(refused(format!("token audiences {own} is invalid for the target audiences {wanted}")));
    }
    Ok(granted)
}

/// A list of strings as Go prints it.
pub(super) fn listed<T: AsRef<str>>(texts: &[T]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| go_quote(text.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

fn check_times(claims: &Value, now: Timestamp) -> Result<(), TokenError> {
    let now = now.as_second();
    let is_ahead = |claim: &str| claims[claim].as_i64().is_some_and(|start| now + CLOCK_LEEWAY < start);
    if is_ahead("nbf") {
        return Err(refused("service account token is not valid yet"));
    }
    if claims["exp"].as_i64().is_none_or(|end| now - CLOCK_LEEWAY > end) {
        return Err(refused("service account token has expired"));
    }
    if is_ahead("iat") {
        return Err(refused("service account token is issued in the future"));
    }
    Ok(())
}

/// The account exists, is the same, and is not long deleted.
fn check_account(reader: &dyn Reader, namespace: &str, claimed: &Value, now: Timestamp) -> Result<(), TokenError> {
    let name = text(&claimed["name"]);
    let account = reader
        .get("", "serviceaccounts", namespace, name)
        .ok_or_else(|| refused(format!("serviceaccounts {name:?} not found")))?;
    let (found, wanted) = (text(&account["metadata"]["uid"]), text(&claimed["uid"]));
    if found != wanted {
        return Err(refused(format!("service account UID ({found}) does not match claim ({wanted})")));
    }
    if long_deleted(&account, now) {
        return Err(refused(format!("service account {namespace}/{name} has been deleted")));
    }
    Ok(())
}

/// What else the token is bound to exists, is the same, and is not long deleted.
fn check_live(
    reader: &dyn Reader,
    kind: &str,
    namespace: &str,
    bound: &Value,
    now: Timestamp,
) -> Result<(), TokenError> {
    if bound.is_null() {
        return Ok(());
    }
    let gone = || refused("service account token has been invalidated");
    let object = reader.get("", &format!("{kind}s"), namespace, text(&bound["name"])).ok_or_else(gone)?;
    let (found, wanted) = (text(&object["metadata"]["uid"]), text(&bound["uid"]));
    if found != wanted {
        let why = format!("{kind} UID ({found}) does not match service account {kind} ref claim ({wanted})");
        return Err(refused(why));
    }
    if long_deleted(&object, now) { Err(gone()) } else { Ok(()) }
}

fn long_deleted(object: &Value, now: Timestamp) -> bool {
    let deleted = object["metadata"]["deletionTimestamp"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    deleted.is_some_and(|at| now.as_second() > at.as_second() + LEEWAY_AFTER_DELETION)
}

fn user(claims: &Value, namespace: &str, account: &Value) -> UserInfo {
    let bound = &claims["kubernetes.io"];
    let mut extra = BTreeMap::new();
    let mut add = |key: &str, value: &Value| {
        if let Some(value) = value.as_str() {
            extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value.to_owned()]);
        }
    };
    if let Some(id) = claims["jti"].as_str() {
        add("credential-id", &Value::String(format!("JTI={id}")));
    }
    for (object, name, uid) in [("node", "node-name", "node-uid"), ("pod", "pod-name", "pod-uid")] {
        add(name, &bound[object]["name"]);
        add(uid, &bound[object]["uid"]);
    }
    UserInfo {
        name: format!("system:serviceaccount:{namespace}:{}", text(&account["name"])),
        uid: text(&account["uid"]).to_owned(),
        groups: vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")],
        extra,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clocks_may_be_a_little_apart() {
        let claims = json!({"nbf": 1000, "iat": 1000, "exp": 2000});
        let at = |second| check_times(&claims, Timestamp::from_second(second).unwrap());
        assert_eq!((at(940), at(2060)), (Ok(()), Ok(())));
        assert_eq!(at(939), Err(refused("service account token is not valid yet")));
        assert_eq!(at(2061), Err(refused("service account token has expired")));
    }

    #[test]
    fn audiences_are_told_as_go_lists_them() {
        let claims = json!({"aud": ["vault", "x"]});
        assert_eq!(audience(&claims, &["y", "x"]), Ok(vec!["x".to_owned()]));
        let refused = audience(&claims, &["a", "b"]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "[invalid bearer token, token audiences [\"vault\" \"x\"] is invalid for the target audiences [\"a\" \"b\"]]"
        );
    }
}
