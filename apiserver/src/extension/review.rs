//! A request as webhooks and expressions see it.

use std::sync::Arc;

use mainstay_api::meta;
use serde_json::{Map, Value, json};

use super::matching;
use crate::admission::{Attributes, Operation};
use crate::engine::{Target, scale_of};
use crate::registry::Row;

/// An object in the version that a configuration asks for.
pub(super) fn in_version(object: &Value, row: &Row) -> Value {
    let wanted = row.api_version();
    if meta::api_version(object) == wanted {
        return object.clone();
    }
    if row.custom {
        let mut object = object.clone();
        object["apiVersion"] = wanted.into();
        return object;
    }
    let (group, version, kind) = (&row.resource.group, &row.resource.version, meta::kind(object));
    mainstay_api::convert::to_version(object.clone(), group, version, kind).unwrap_or_else(|_| object.clone())
}

/// An object as a configuration sees it: through `scale` it is a `Scale`.
pub(super) fn seen(request: &Attributes<'_>, object: &Value, wanted: &Row, own: &Arc<Row>) -> Value {
    if request.subresource != "scale" {
        return in_version(object, wanted);
    }
    let target = Target {
        row: own.clone(),
        namespace: request.namespace.to_owned(),
        name: request.name.to_owned(),
        subresource: "scale".to_owned(),
    };
    scale_of(&target, object).unwrap_or_else(|_| object.clone())
}

/// The same object in the version that it is stored in.
pub(super) fn in_stored(object: Value, like: &Value) -> Value {
    let wanted = meta::api_version(like);
    if meta::api_version(&object) == wanted {
        return object;
    }
    let (group, version) = wanted.split_once('/').unwrap_or(("", wanted));
    let kind = meta::kind(&object).to_owned();
    let fallback = object.clone();
    mainstay_api::convert::to_version(object, group, version, &kind).unwrap_or(fallback)
}

fn kind_of(request: &Attributes<'_>, row: &Row) -> Value {
    let (mut group, mut version, mut kind) =
        (row.resource.group.as_str(), row.resource.version.as_str(), row.resource.kind.as_str());
    if let Some(sub) = row.resource.subresource(request.subresource).filter(|sub| !sub.kind.is_empty()) {
        kind = &sub.kind;
        if !sub.version.is_empty() {
            (group, version) = (&sub.group, &sub.version);
        }
    }
    json!({"group": group, "version": version, "kind": kind})
}

fn resource_of(row: &Row) -> Value {
    json!({"group": row.resource.group, "version": row.resource.version, "resource": row.resource.resource})
}

/// Who asks, as JSON.
fn user(request: &Attributes<'_>) -> Value {
    let mut user = Map::new();
    user.insert("username".into(), request.user.name.clone().into());
    if !request.user.uid.is_empty() {
        user.insert("uid".into(), request.user.uid.clone().into());
    }
    user.insert("groups".into(), json!(request.user.groups));
    if !request.user.extra.is_empty() {
        user.insert("extra".into(), json!(request.user.extra));
    }
    Value::Object(user)
}

/// The options of a request, always of the same version.
fn options(request: &Attributes<'_>) -> Value {
    let mut options = request.options.clone();
    if request.operation == Operation::Delete && options.is_object() {
        options["apiVersion"] = "meta.k8s.io/v1".into();
        options["kind"] = "DeleteOptions".into();
    }
    options
}

/// The `AdmissionRequest` without its objects; `wanted` is the row that the configuration matched, `own` the request's.
pub(super) fn request(request: &Attributes<'_>, wanted: &Row, own: &Row) -> Value {
    let mut out = json!({
        "kind": kind_of(request, wanted),
        "resource": resource_of(wanted),
        "requestKind": kind_of(request, own),
        "requestResource": resource_of(own),
        "operation": matching::operation(request),
        "userInfo": user(request),
        "dryRun": request.dry_run,
        "options": options(request),
    });
    for (field, value) in [
        ("name", matching::name(request)),
        ("namespace", matching::stated_namespace(request)),
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
    ] {
        if !value.is_empty() {
            out[field] = value.into();
        }
    }
    out
}

/// The `AdmissionReview` to send.
pub(super) fn review(attributes: &Attributes<'_>, wanted: &Row, own: &Arc<Row>, version: &str, uid: &str) -> Value {
    let mut body = request(attributes, wanted, own);
    body["uid"] = uid.into();
    let shown =
        |object: &Option<Value>| object.as_ref().map_or(Value::Null, |object| seen(attributes, object, wanted, own));
    body["object"] = shown(&attributes.object);
    body["oldObject"] = shown(&attributes.old_object);
    json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": body})
}
