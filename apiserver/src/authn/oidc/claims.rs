//! What a token's claims say, in Kubernetes' words where they do not do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::OidcConfig;
use crate::user::UserInfo;

/// How far `nbf` may lie ahead, for clocks that differ, in seconds.
const EARLY: i64 = 300;

/// Checks times, audience and required claims.
pub(super) fn check(
    claims: &Value,
    audiences: &[String],
    required: &BTreeMap<String, String>,
    now: Timestamp,
) -> Result<(), String> {
    let own: Vec<&str> = match &claims["aud"] {
        Value::String(one) => vec![one],
        list => list.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    if !audiences.iter().any(|audience| own.contains(&audience.as_str())) {
        return Err(format!("oidc: verify token: oidc: expected audience in {audiences:?} got {own:?}"));
    }
    let seconds = |name: &str| claims[name].as_i64().or_else(|| claims[name].as_f64().map(|value| value as i64));
    match seconds("exp") {
        Some(end) if now.as_second() < end => {}
        _ => return Err("oidc: verify token: oidc: token is expired".to_owned()),
    }
    if seconds("nbf").is_some_and(|start| now.as_second() + EARLY < start) {
        return Err("oidc: verify token: oidc: current time before the nbf (not before) time".to_owned());
    }
    for (name, value) in required {
        match claims[name].as_str() {
            Some(found) if found == value => {}
            Some(found) => {
                return Err(format!("oidc: required claim {name} value does not match. Got = {found}, want = {value}"));
            }
            None => return Err(format!("oidc: required claim {name} not present in ID token")),
        }
    }
    Ok(())
}

/// The user that the claims name.
pub(super) fn user(claims: &Value, config: &OidcConfig) -> Result<UserInfo, String> {
    let claim = &config.username_claim;
    let name = match &claims[claim] {
        Value::Null => return Err(format!("oidc: parse username claims {claim:?}: claim not present")),
        Value::String(name) => name,
        _ => return Err(format!("oidc: parse username claims {claim:?}: it is not a string")),
    };
    if claim == "email" && !claims["email_verified"].is_null() && claims["email_verified"] != true {
        return Err("oidc: email not verified".to_owned());
    }
    if name.is_empty() {
        return Err(format!("oidc: parse username claims {claim:?}: claim is empty"));
    }
    let mut groups = groups(claims, config)?;
    groups.push("system:authenticated".to_owned());
    let id = claims["jti"].as_str().filter(|id| !id.is_empty()).map(|id| vec![format!("JTI={id}")]);
    let extra = id.map(|id| ("authentication.kubernetes.io/credential-id".to_owned(), id)).into_iter().collect();
    let uid = if config.uid_claim.is_empty() { "" } else { claims[&config.uid_claim].as_str().unwrap_or_default() };
    Ok(UserInfo { name: format!("{}{name}", config.username_prefix), uid: uid.to_owned(), groups, extra })
}

fn groups(claims: &Value, config: &OidcConfig) -> Result<Vec<String>, String> {
    let named = if config.groups_claim.is_empty() { &Value::Null } else { &claims[&config.groups_claim] };
    let wrong =
        || format!("oidc: parse groups claim {:?}: it is neither a string nor a list of strings", config.groups_claim);
    let names: Vec<&str> = match named {
        Value::Null => Vec::new(),
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().map(|one| one.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?,
        _ => return Err(wrong()),
    };
    Ok(names.into_iter().map(|name| format!("{}{name}", config.groups_prefix)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(username_claim: &str) -> OidcConfig {
        OidcConfig {
            issuer_url: "https://i".into(),
            discovery_url: None,
            audiences: vec!["me".into()],
            username_claim: username_claim.into(),
            username_prefix: "u:".into(),
            groups_claim: "groups".into(),
            groups_prefix: "g:".into(),
            uid_claim: "sub".into(),
            ca_pem: None,
            required_claims: BTreeMap::new(),
            signing_algs: Vec::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn users_and_groups_are_prefixed() {
        let found = user(&json!({"sub": "a", "groups": ["x", "y"], "jti": "7"}), &config("sub")).unwrap();
        assert_eq!((found.name.as_str(), found.uid.as_str()), ("u:a", "a"));
        assert_eq!(found.groups, ["g:x", "g:y", "system:authenticated"]);
        assert_eq!(found.extra["authentication.kubernetes.io/credential-id"], ["JTI=7"]);
        assert_eq!(user(&json!({"sub": "a", "groups": "x"}), &config("sub")).unwrap().groups[0], "g:x");
        assert!(user(&json!({"sub": "a", "groups": [1]}), &config("sub")).is_err());
        assert!(user(&json!({"groups": []}), &config("sub")).is_err());
        assert!(user(&json!({"sub": ""}), &config("sub")).is_err());
    }

    #[test]
    fn an_address_counts_only_if_it_is_verified() {
        let address = |verified: Value| user(&json!({"email": "a@b", "email_verified": verified}), &config("email"));
        assert!(address(json!(true)).is_ok());
        assert!(address(Value::Null).is_ok(), "the issuer does not say");
        assert!(address(json!(false)).is_err());
        assert!(address(json!("true")).is_err());
    }

    #[test]
    fn times_audience_and_required_claims_are_checked() {
        let me = ["me".to_owned()];
        let required = BTreeMap::from([("hd".to_owned(), "b".to_owned())]);
        let good = json!({"aud": ["you", "me"], "exp": 100, "nbf": 50, "hd": "b"});
        assert_eq!(check(&good, &me, &required, at(99)), Ok(()));
        assert!(check(&good, &me, &required, at(-251)).unwrap_err().contains("nbf"));
        assert!(check(&good, &me, &required, at(100)).unwrap_err().contains("expired"));
        assert!(check(&good, &["other".to_owned()], &required, at(99)).unwrap_err().contains("audience"));
        let without = json!({"aud": "me", "exp": 100});
        assert!(check(&without, &me, &required, at(1)).unwrap_err().contains("not present"));
        assert!(check(&json!({"aud": "me"}), &me, &BTreeMap::new(), at(1)).is_err(), "a token without an end");
    }
}
