//! May somebody do something?

use std::collections::BTreeMap;

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value, json};

use super::{Review, answered, selectors};
use crate::authz::AuthzAttributes;
use crate::user::UserInfo;

const GROUP: &str = "authorization.k8s.io";

pub(super) fn check_subject(object: &Value) -> ApiResult<()> {
    let mut errors = attribute_errors(&object["spec"]);
    errors.extend(user_errors(&object["spec"]));
    errors.extend(selector_errors(&object["spec"]));
    errors.extend(metadata_errors(object, "must be empty"));
    refuse_if(errors)
}

pub(super) fn subject(object: &Value, review: &Review<'_>) -> Value {
    let status = decide(&object["spec"], &named_user(&object["spec"]), review);
    answered(object, kept(object), object["spec"].clone(), status)
}

pub(super) fn check_own(object: &Value) -> ApiResult<()> {
    let mut errors = attribute_errors(&object["spec"]);
    errors.extend(selector_errors(&object["spec"]));
    errors.extend(metadata_errors(object, "must be empty"));
    refuse_if(errors)
}

pub(super) fn own(object: &Value, review: &Review<'_>) -> Value {
    let status = decide(&object["spec"], review.user, review);
    answered(object, kept(object), object["spec"].clone(), status)
}

/// What of a question's metadata is in the answer: who has written it.
fn kept(object: &Value) -> Value {
    let fields = object.pointer("/metadata/managedFields");
    fields.map_or_else(|| json!({}), |fields| json!({"managedFields": fields}))
}

/// A question has no name, no labels, nothing; all that was said is shown.
fn metadata_errors(object: &Value, why: &str) -> ErrorList {
    let nothing = |(name, value): (&String, &Value)| {
        matches!(name.as_str(), "managedFields" | "namespace" | "creationTimestamp")
            || value.is_null()
            || value.as_str() == Some("")
    };
    let metadata = object["metadata"].as_object();
    let Some(of) = mainstay_api::types::by_name("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta") else {
        return ErrorList::new();
    };
    match metadata.filter(|metadata| !metadata.iter().all(nothing)) {
        Some(_) => {
            let shown = mainstay_api::types::go_order::compact(of, &object["metadata"]);
            vec![Error::invalid_text(&Path::new("metadata"), shown, why)]
        }
        None => ErrorList::new(),
    }
}

pub(super) fn check_local(object: &Value, namespace: &str) -> ApiResult<()> {
    let spec = &object["spec"];
    let path = Path::new("spec");
    let mut errors = attribute_errors(spec);
    errors.extend(user_errors(spec));
    errors.extend(selector_errors(spec));
    errors.extend(metadata_errors(object, "must be empty except for namespace"));
    let asked = spec["resourceAttributes"]["namespace"].as_str().unwrap_or_default();
    if spec["resourceAttributes"].is_object() && asked != namespace {
        let at = path.child("resourceAttributes").child("namespace");
        errors.push(Error::invalid(&at, asked, "must match metadata.namespace"));
    }
    if spec["nonResourceAttributes"].is_object() {
        let shown = shown_path(&spec["nonResourceAttributes"]);
        let at = path.child("nonResourceAttributes");
        errors.push(Error::invalid(&at, shown, "disallowed on this kind of request"));
    }
    refuse_if(errors)
}

pub(super) fn local(object: &Value, review: &Review<'_>) -> Value {
    let spec = &object["spec"];
    let status = decide(spec, &named_user(spec), review);
    let mut metadata = kept(object);
    metadata["namespace"] = review.namespace.into();
    answered(object, metadata, spec.clone(), status)
}

fn refuse_if(errors: ErrorList) -> ApiResult<()> {
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(GROUP, "", "", errors)) }
}

fn attribute_errors(spec: &Value) -> ErrorList {
    let path = Path::new("spec");
    match (spec["resourceAttributes"].is_object(), spec["nonResourceAttributes"].is_object()) {
        (true, true) => {
            let at = path.child("nonResourceAttributes");
            let shown = shown_path(&spec["nonResourceAttributes"]);
            vec![Error::invalid(&at, shown, "cannot be specified in combination with resourceAttributes")]
        }
        (false, false) => {
            let words = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
            vec![Error::invalid(&path.child("resourceAttributes"), Value::Null, words)]
        }
        _ => ErrorList::new(),
    }
}

/// What somebody wants to list may be narrowed by text or by requirements; operators that are unknown here may be known
/// to who asks.
fn selector_errors(spec: &Value) -> ErrorList {
    let attributes = Path::new("spec").child("resourceAttributes");
    let mut errors = ErrorList::new();
    for field in ["fieldSelector", "labelSelector"] {
        let Some(selector) = spec["resourceAttributes"].get(field).filter(|selector| !selector.is_null()) else {
            continue;
        };
        let path = attributes.child(field);
        let raw = selector["rawSelector"].as_str().unwrap_or_default();
        let requirements = selector["requirements"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !raw.is_empty() && !requirements.is_empty() {
            let why = "may not specified at the same time as requirements";
            errors.push(Error::invalid(&path.child("rawSelector"), raw, why));
        }
        if raw.is_empty() && requirements.is_empty() {
            let why = format!("when {path} is specified, requirements or rawSelector is required");
            errors.push(Error::required(&path.child("requirements"), why));
        }
        for (index, requirement) in requirements.iter().enumerate() {
            errors.extend(requirement_errors(requirement, field, &path.child("requirements").index(index)));
        }
    }
    errors
}

fn requirement_errors(requirement: &Value, of: &str, path: &Path) -> ErrorList {
    let (key, values) = (requirement["key"].as_str().unwrap_or_default(), path.child("values"));
    let empty = requirement["values"].as_array().is_none_or(Vec::is_empty);
    let mut errors = ErrorList::new();
    if of == "fieldSelector" && key.is_empty() {
        errors.push(Error::required(&path.child("key"), "must be specified"));
    }
    match requirement["operator"].as_str().unwrap_or_default() {
        "In" | "NotIn" if empty => {
            errors.push(Error::required(&values, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !empty => {
            let why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            errors.push(Error::forbidden(&values, why));
        }
        _ => {}
    }
    if of == "labelSelector" {
        errors.extend(mainstay_api::meta::validate_label_name(key, &path.child("key")));
    }
    errors
}

fn user_errors(spec: &Value) -> ErrorList {
    let named = spec["user"].as_str().is_some_and(|user| !user.is_empty());
    let grouped = spec["groups"].as_array().is_some_and(|groups| !groups.is_empty());
    if named || grouped {
        return ErrorList::new();
    }
    vec![Error::invalid(&Path::new("spec").child("user"), "", "at least one of user or group must be specified")]
}

/// The path attributes as Go prints their internal struct.
fn shown_path(attributes: &Value) -> Value {
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    json!({"Path": text("path"), "Verb": text("verb")})
}

fn named_user(spec: &Value) -> UserInfo {
    let text = |field: &str| spec[field].as_str().unwrap_or_default().to_owned();
    UserInfo { name: text("user"), uid: text("uid"), groups: strings(&spec["groups"]), extra: extra(&spec["extra"]) }
}

fn extra(value: &Value) -> BTreeMap<String, Vec<String>> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(key, values)| (key.to_ascii_lowercase(), strings(values))).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().map(|l| l.iter().filter_map(Value::as_str).map(str::to_owned).collect()).unwrap_or_default()
}

fn decide(spec: &Value, user: &UserInfo, review: &Review<'_>) -> Value {
    let resource = &spec["resourceAttributes"];
    let path = &spec["nonResourceAttributes"];
    let field = |from: &'_ Value, name: &str| from[name].as_str().unwrap_or_default().to_owned();
    let (verb, group, plural) = (field(resource, "verb"), field(resource, "group"), field(resource, "resource"));
    let (sub, namespace, name) =
        (field(resource, "subresource"), field(resource, "namespace"), field(resource, "name"));
    let (path_verb, url) = (field(path, "verb"), field(path, "path"));
    let (fields, labels) =
        (selectors::fields(&resource["fieldSelector"]), selectors::labels(&resource["labelSelector"]));
    let asked = if resource.is_object() {
        let plain = AuthzAttributes::resource(user, &verb, &group, &plural, &namespace, &name).with_subresource(&sub);
        AuthzAttributes { field_selector: &fields.understood, ..plain }
    } else {
        AuthzAttributes::path(user, &path_verb, &url)
    };
    let verdict = review.authorizer.explain(&asked);
    let mut status = Map::from_iter([("allowed".to_owned(), Value::Bool(verdict.allowed))]);
    let faults: Vec<String> = [("fieldSelector", &fields), ("labelSelector", &labels)]
        .into_iter()
        .filter_map(|(field, read)| read.fault(field))
        .collect();
    for (field, text) in [("reason", verdict.reason), ("evaluationError", faults.join("; "))] {
        if !text.is_empty() {
            status.insert(field.to_owned(), Value::String(text));
        }
    }
    Value::Object(status)
}
