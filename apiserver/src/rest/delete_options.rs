//! The options of a deletion, from the request's body or its query.

use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::{protobuf, types, yaml};
use serde_json::{Map, Value, json};
use tonic::body::Body;

use super::negotiate::{self, Media};
use super::query::Query;
use crate::engine::DeleteOptions;

const KIND: &str = "DeleteOptions";
/// Where Kubernetes' scheme of such options is made, which its errors name.
const SCHEME: &str = "pkg/apis/meta/internalversion/scheme/register.go:27";
/// What else that scheme knows.
const OTHERS: [&str; 7] =
    ["APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "CreateOptions", "Status", "UpdateOptions"];

/// The delete options of a body, or of the query if there is none.
pub(super) async fn read(query: &Query, content_type: Option<&str>, body: Body) -> ApiResult<DeleteOptions> {
    let bytes = super::body::read(body).await?;
    if bytes.is_empty() {
        return DeleteOptions::parse(options_from_query(query)?);
    }
    // Kubernetes has no words of its own for what it cannot decode here.
    let value = match negotiate::body_media(content_type, false)? {
        Media::Json => interpret(mainstay_api::json::parse(&bytes).map_err(|why| unparsed(&why))?)?,
        Media::Yaml => {
            let text = String::from_utf8_lossy(&bytes);
            interpret(
                yaml::parse(&text, yaml::Duplicates::LastWins).map_err(|error| Status::plain(error.to_string()))?,
            )?
        }
        Media::Protobuf => protobuf::decode(&bytes).map_err(|error| Status::plain(error.to_string()))?,
    };
    DeleteOptions::parse(value)
}

fn unparsed(why: &str) -> Status {
    Status::plain(format!("couldn't get version/kind; json parse error: {why}"))
}

/// Refuses what are no delete options; null is as good as none.
fn interpret(value: Value) -> ApiResult<Value> {
    let value = if value.is_null() { Value::Object(Map::new()) } else { value };
    if let Some(why) = mainstay_api::decode::unidentified(&value) {
        return Err(unparsed(&why));
    }
    let (version, kind) = (meta::api_version(&value), meta::kind(&value));
    if version.matches('/').count() > 1 {
        return Err(Status::plain(format!("unexpected GroupVersion string: {version}")));
    }
    if !matches!(kind, "" | KIND) {
        let version = if version.is_empty() { "meta.k8s.io/v1" } else { version };
        return Err(Status::plain(if OTHERS.contains(&kind) {
            format!("converting (v1.{kind}) to (v1.{KIND}): unknown conversion")
        } else {
            format!("no kind \"{kind}\" is registered for version \"{version}\" in scheme \"{SCHEME}\"")
        }));
    }
    let known = types::by_name("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    match known.and_then(|known| mainstay_api::decode::strict(known, &value).errors.first().map(str::to_owned)) {
        Some(why) => Err(Status::plain(why)),
        None => Ok(value),
    }
}

fn options_from_query(query: &Query) -> ApiResult<Value> {
    let mut value = json!({"apiVersion": "meta.k8s.io/v1", "kind": "DeleteOptions"});
    let dry_run = query.all("dryRun");
    if !dry_run.is_empty() {
        value["dryRun"] = json!(dry_run);
    }
    if let Some(seconds) = query.int("gracePeriodSeconds")? {
        value["gracePeriodSeconds"] = seconds.into();
    }
    if let Some(policy) = query.get("propagationPolicy") {
        value["propagationPolicy"] = policy.into();
    }
    for precondition in ["uid", "resourceVersion"] {
        if let Some(text) = query.get(precondition).filter(|text| !text.is_empty()) {
            value["preconditions"][precondition] = text.into();
        }
    }
    for flag in ["orphanDependents", "ignoreStoreReadErrorWithClusterBreakingPotential"] {
        if query.get(flag).is_some() {
            value[flag] = query.flag(flag).into();
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_are_no_delete_options_is_refused() {
        let message = |value: Value| interpret(value).unwrap_err().message.into_owned();
        assert_eq!(
            message(json!({"gracePeriodSeconds": "x"})),
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
        );
        assert_eq!(
            message(json!({"apiVersion": "v1", "kind": "Pod"})),
            "no kind \"Pod\" is registered for version \"v1\" in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\""
        );
        assert_eq!(
            message(json!({"kind": "Status"})),
            "converting (v1.Status) to (v1.DeleteOptions): unknown conversion"
        );
        assert!(
            message(json!([])).starts_with("couldn't get version/kind; json parse error: json: cannot unmarshal array")
        );
        assert!(interpret(Value::Null).is_ok());
        assert!(
            interpret(json!({"apiVersion": "apps/v1", "kind": "DeleteOptions", "preconditions": {"uid": ""}})).is_ok()
        );
    }
}
