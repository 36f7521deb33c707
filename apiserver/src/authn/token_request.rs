//! `serviceaccounts/token`: a token for an account, bound to a pod, a secret or a node if asked for.

use std::sync::Arc;

use jiff::Timestamp;
use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value, json};

use super::tokens::ISSUER;
use crate::pki::ServiceAccountKey;
use crate::strategy::Reader;

const GROUP: &str = "authentication.k8s.io";
const DEFAULT_SECONDS: i64 = 3600;
/// What the kubelet's projected tokens ask for; such a token lives on for a year, for programs that never read it again.
const PROJECTED_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// A TokenRequest for the account `namespace/name` as it is validated: it says whose it is, and which audiences are meant.
///
/// # Errors
/// As Kubernetes: the account is missing or another, or the duration is out of bounds.
pub fn prepare(reader: &dyn Reader, namespace: &str, name: &str, mut body: Value, now: Timestamp) -> ApiResult<Value> {
    check_name(name, &body)?;
    let account = account(reader, namespace, name)?;
    check_uid(name, &body, &account)?;
    let spec = Spec::read(&body["spec"]);
    spec.validate()?;
    body["metadata"] = metadata(&body, &account, time(now.as_second()));
    body["spec"]["audiences"] = json!(spec.audiences);
    body["status"] = json!({"token": "", "expirationTimestamp": null});
    Ok(body)
}

/// Answers a prepared TokenRequest for the account `namespace/name`.
///
/// # Errors
/// As Kubernetes: the account or the bound object is missing or another.
pub fn create(
    key: &ServiceAccountKey,
    reader: &dyn Reader,
    namespace: &str,
    name: &str,
    body: &Value,
    now: Timestamp,
) -> ApiResult<Value> {
    let account = account(reader, namespace, name)?;
    let spec = Spec::read(&body["spec"]);
    let bound = bound_object(reader, namespace, name, &spec.bound)?;
    let expires = now.as_second().saturating_add(spec.seconds);
    let token = key.sign(&spec.claims(namespace, &account, bound, now)).map_err(Status::internal)?;
    Ok(json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": body["metadata"],
        "spec": {"audiences": spec.audiences, "expirationSeconds": spec.seconds, "boundObjectRef": spec.bound},
        "status": {"token": token, "expirationTimestamp": time(expires)},
    }))
}

fn account(reader: &dyn Reader, namespace: &str, name: &str) -> ApiResult<Arc<Value>> {
    reader.get("", "serviceaccounts", namespace, name).ok_or_else(|| Status::not_found("", "serviceaccounts", name))
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

/// A request need not name its account, but must not name another.
fn check_name(name: &str, body: &Value) -> ApiResult<()> {
    let named = mainstay_api::meta::name(body);
    if named.is_empty() || named == name {
        return Ok(());
    }
    let path = Path::new("metadata").child("name");
    let error = Error::invalid(&path, named, "must match the service account name if specified");
    Err(Status::invalid(GROUP, "TokenRequest", name, vec![error]))
}

/// A request need not say the account's uid, but must not say another.
fn check_uid(name: &str, body: &Value, account: &Value) -> ApiResult<()> {
    let (asked, found) = (mainstay_api::meta::uid(body), mainstay_api::meta::uid(account));
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let why = format!("the UID in the token request ({asked}) does not match the UID of the service account ({found})");
    Err(Status::conflict_because(GROUP, "TokenRequest", name, why))
}

/// What the request says of itself, and whose it is.
fn metadata(body: &Value, account: &Value, created: String) -> Value {
    let mut metadata = body["metadata"].as_object().cloned().unwrap_or_default();
    for field in ["name", "namespace", "uid"] {
        metadata.insert(field.to_owned(), account["metadata"][field].clone());
    }
    metadata.insert("creationTimestamp".to_owned(), created.into());
    Value::Object(metadata)
}

struct Spec {
    audiences: Vec<String>,
    seconds: i64,
    bound: Value,
}

impl Spec {
    fn read(spec: &Value) -> Self {
        let listed =
            spec["audiences"].as_array().map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let audiences = listed.filter(|l: &Vec<String>| !l.is_empty()).unwrap_or_else(|| vec![ISSUER.to_owned()]);
        let seconds = spec["expirationSeconds"].as_i64().unwrap_or(DEFAULT_SECONDS);
        Self { audiences, seconds, bound: spec["boundObjectRef"].clone() }
    }

    fn validate(&self) -> ApiResult<()> {
        let path = Path::new("spec").child("expirationSeconds");
        let mut errors = ErrorList::new();
        if self.seconds < 600 {
            errors.push(Error::invalid(&path, self.seconds, "may not specify a duration less than 10 minutes"));
        }
        if self.seconds > 1 << 32 {
            errors.push(Error::invalid(&path, self.seconds, "may not specify a duration larger than 2^32 seconds"));
        }
        if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, "TokenRequest", "", errors)) }
    }

    fn claims(&self, namespace: &str, account: &Value, bound: Map<String, Value>, now: Timestamp) -> Value {
        let now = now.as_second();
        let mut kubernetes = json!({
            "namespace": namespace,
            "serviceaccount": {"name": account["metadata"]["name"], "uid": account["metadata"]["uid"]},
        });
        let extend = self.seconds == PROJECTED_SECONDS
            && bound.contains_key("pod")
            && self.audiences.iter().all(|a| a == ISSUER);
        let lifetime = if extend { EXTENDED_SECONDS } else { self.seconds };
        if extend {
            kubernetes["warnafter"] = json!(now + self.seconds);
        }
        for (kind, reference) in bound {
            kubernetes[kind] = reference;
        }
        json!({
            "aud": self.audiences,
            "exp": now.saturating_add(lifetime),
            "iat": now,
            "iss": ISSUER,
            "jti": uuid::Uuid::new_v4().to_string(),
            "kubernetes.io": kubernetes,
            "nbf": now,
            "sub": format!("system:serviceaccount:{namespace}:{}", account["metadata"]["name"].as_str().unwrap_or_default()),
        })
    }
}

/// The claims about what the token is bound to: the object itself, and the node of a pod.
fn bound_object(
    reader: &dyn Reader,
    namespace: &str,
    account: &str,
    reference: &Value,
) -> ApiResult<Map<String, Value>> {
    let mut claims = Map::new();
    if reference.is_null() {
        return Ok(claims);
    }
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let kind = text("kind");
    let (group, version) = group_and_version(text("apiVersion"));
    let object = match (group, kind) {
        ("", "Pod") => fetch(reader, "pods", namespace, reference)?,
        ("", "Secret") => fetch(reader, "secrets", namespace, reference)?,
        ("", "Node") => fetch(reader, "nodes", "", reference)?,
        _ => {
            let why = format!("cannot bind token to object of type {group}/{version}, Kind={kind}");
            return Err(Status::bad_request(why));
        }
    };
    if kind == "Pod" {
        check_runs_as(&object, account)?;
        claims.extend(node_of(reader, &object).map(|node| ("node".to_owned(), node)));
    }
    check_same(reference, group, &object)?;
    claims.insert(kind.to_ascii_lowercase(), name_and_uid(&object));
    Ok(claims)
}

/// Of what has more parts than two, nothing is known.
fn group_and_version(api_version: &str) -> (&str, &str) {
    match api_version.split_once('/') {
        None => ("", api_version),
        Some((_, version)) if version.contains('/') => ("", ""),
        Some(both) => both,
    }
}

fn check_runs_as(pod: &Value, account: &str) -> ApiResult<()> {
    if pod["spec"]["serviceAccountName"].as_str().unwrap_or_default() == account {
        return Ok(());
    }
    let why =
        format!("cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name.");
    Err(Status::bad_request(why))
}

fn fetch(reader: &dyn Reader, resource: &str, namespace: &str, reference: &Value) -> ApiResult<Arc<Value>> {
    let name = reference["name"].as_str().unwrap_or_default();
    if let Some(why) = mainstay_api::names::key_error(name) {
        return Err(Status::bad_request(why));
    }
    reader.get("", resource, namespace, name).ok_or_else(|| Status::not_found("", resource, name))
}

fn check_same(reference: &Value, group: &str, object: &Value) -> ApiResult<()> {
    let text = |field: &str| reference[field].as_str().unwrap_or_default();
    let wanted = text("uid");
    if wanted.is_empty() || wanted == mainstay_api::meta::uid(object) {
        return Ok(());
    }
    let why = format!(
        "the UID in the bound object reference ({wanted}) does not match the UID in record. \
         The object might have been deleted and then recreated"
    );
    Err(Status::conflict_because(group, text("kind"), text("name"), why))
}

fn node_of(reader: &dyn Reader, pod: &Value) -> Option<Value> {
    let name = pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty())?;
    let node = reader.get("", "nodes", "", name);
    Some(node.map_or_else(|| json!({"name": name}), |node| name_and_uid(&node)))
}

fn name_and_uid(object: &Value) -> Value {
    json!({"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_for_the_api_alone_live_on() {
        let lifetime = |audiences: &[&str]| {
            let spec = Spec::read(&json!({"audiences": audiences, "expirationSeconds": PROJECTED_SECONDS}));
            let pod = Map::from_iter([("pod".to_owned(), json!({"name": "p"}))]);
            let claims = spec.claims("ns", &json!({"metadata": {"name": "a"}}), pod, Timestamp::UNIX_EPOCH);
            claims["exp"].as_i64()
        };
        assert_eq!(lifetime(&[ISSUER]), Some(EXTENDED_SECONDS));
        assert_eq!(lifetime(&[ISSUER, "vault"]), Some(PROJECTED_SECONDS));
    }

    #[test]
    fn a_request_names_its_account_or_none() {
        let check = |body: Value| check_name("a", &body).map_err(|status| status.message.into_owned());
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(json!({"metadata": {"name": "a"}})), Ok(()));
        let why = check(json!({"metadata": {"name": "b"}})).unwrap_err();
        let end = "metadata.name: Invalid value: \"b\": must match the service account name if specified";
        assert!(why.ends_with(end), "{why}");
    }

    #[test]
    fn a_request_says_the_uid_of_its_account_or_none() {
        let account = json!({"metadata": {"name": "a", "namespace": "ns", "uid": "1"}});
        assert_eq!(check_uid("a", &json!({"metadata": {"uid": "1"}}), &account), Ok(()));
        let refused = check_uid("a", &json!({"metadata": {"uid": "2"}}), &account).unwrap_err();
        assert_eq!(
            refused.message,
            "Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"a\": the UID in the token request (2) \
             does not match the UID of the service account (1)"
        );
        let kept = metadata(&json!({"metadata": {"labels": {"x": "y"}}}), &account, "now".to_owned());
        let whole =
            json!({"labels": {"x": "y"}, "name": "a", "namespace": "ns", "uid": "1", "creationTimestamp": "now"});
        assert_eq!(kept, whole);
    }

    #[test]
    fn the_group_of_a_reference_counts_and_not_its_version() {
        assert_eq!(group_and_version("v2"), ("", "v2"));
        assert_eq!(group_and_version("apps/v1"), ("apps", "v1"));
        assert_eq!(group_and_version("a/b/c"), ("", ""));
    }
}
