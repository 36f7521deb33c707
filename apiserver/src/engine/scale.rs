//! The `scale` subresource: an autoscaling/v1 `Scale` seen through the object's replicas.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::selector::LabelSelector;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::{meta, names};
use serde_json::{Map, Value, json};

use super::Target;
use crate::strategy::base;

/// What a write sees as the replicas of a custom object that has none, so that it has to say how many there are to be.
const UNSET: i64 = i32::MIN as i64;

/// The `Scale` of an object.
pub(crate) fn of(target: &Target, object: &Value) -> ApiResult<Value> {
    let places = Places::of(target);
    if target.row.custom && places.replicas(object).is_none() {
        let path = places.path();
        return Err(Status::internal(format!("the spec replicas field \"{path}\" does not exist")));
    }
    seen(target, object, 0)
}

/// The `Scale` that a write changes.
pub(crate) fn to_change(target: &Target, object: &Value) -> ApiResult<Value> {
    seen(target, object, if target.row.custom { UNSET } else { 0 })
}

/// The `Scale` that admission sees.
pub(crate) fn to_admit(target: &Target, object: &Value) -> ApiResult<Value> {
    seen(target, object, 0)
}

fn seen(target: &Target, object: &Value, otherwise: i64) -> ApiResult<Value> {
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object.pointer(&format!("/metadata/{field}")) {
            metadata.insert(field.into(), value.clone());
        }
    }
    let mut spec = Map::new();
    let places = Places::of(target);
    let replicas = places.replicas(object).unwrap_or(otherwise);
    if replicas != 0 {
        spec.insert("replicas".into(), replicas.into());
    }
    let mut status = json!({"replicas": object.pointer(&places.status).and_then(Value::as_i64).unwrap_or(0)});
    let selector = selector_text(target, object)?;
    if !selector.is_empty() {
        status["selector"] = Value::String(selector);
    }
    Ok(json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status}))
}

/// The JSON pointer to an object's replicas.
pub(crate) fn place(target: &Target) -> String {
    Places::of(target).spec
}

/// JSON pointers of what a scale shows.
struct Places {
    spec: String,
    status: String,
}

impl Places {
    fn of(target: &Target) -> Self {
        let pointer = |path: &str| path.replace('.', "/");
        match target.row.served.as_ref().and_then(|served| served.scale.as_ref()) {
            Some(scale) => Self { spec: pointer(&scale.spec), status: pointer(&scale.status) },
            None => Self { spec: "/spec/replicas".into(), status: "/status/replicas".into() },
        }
    }

    fn replicas(&self, object: &Value) -> Option<i64> {
        object.pointer(&self.spec).and_then(Value::as_i64)
    }

    /// Where the replicas are, as a definition says it.
    fn path(&self) -> String {
        self.spec.replace('/', ".")
    }
}

fn selector_text(target: &Target, object: &Value) -> ApiResult<String> {
    if let Some(served) = &target.row.served {
        let path = served.scale.as_ref().map(|scale| scale.selector.replace('.', "/")).unwrap_or_default();
        let found = Some(path).filter(|path| !path.is_empty()).and_then(|path| object.pointer(&path));
        return Ok(found.and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    let Some(selector) = object.pointer("/spec/selector") else { return Ok(String::new()) };
    let selector = match (target.resource(), selector.as_object()) {
        ("replicationcontrollers", Some(labels)) => LabelSelector::from_map(labels),
        _ => LabelSelector::from_object(selector).map_err(Status::internal)?,
    };
    Ok(selector.to_string())
}

/// The object with the replicas of a changed `Scale`.
///
/// # Errors
/// 422 for fewer replicas than none or odd metadata, 409 if the `Scale` is another object's, 400 if it does not say how
/// many of a custom object that has none yet.
pub(crate) fn take(target: &Target, live: &Value, scale: &Value) -> ApiResult<Value> {
    let replicas = scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
    let places = Places::of(target);
    if !target.row.custom {
        check(target, live, scale, replicas)?;
    } else if replicas == UNSET {
        let path = places.path();
        return Err(Status::bad_request(format!("the spec replicas field \"{path}\" cannot be empty")));
    }
    let mut object = live.clone();
    base::set(&mut object, &places.spec, replicas.into());
    match meta::resource_version(scale) {
        "" if target.row.custom => {}
        "" => {
            meta::remove_field(&mut object, "resourceVersion");
        }
        asked => meta::set(&mut object, "resourceVersion", asked),
    }
    Ok(object)
}

fn check(target: &Target, live: &Value, scale: &Value, replicas: i64) -> ApiResult<()> {
    let errors = flaws(scale, replicas);
    if !errors.is_empty() {
        return Err(Status::invalid("autoscaling", "Scale", &target.name, errors));
    }
    let (asked, found) = (meta::uid(scale), meta::uid(live));
    if asked.is_empty() || asked == found {
        return Ok(());
    }
    let why = format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {found}");
    let resource = format!("{}/scale", target.resource());
    Err(Status::conflict_because(target.group(), &resource, &target.name, why))
}

/// What is wrong with a `Scale` for itself.
fn flaws(scale: &Value, replicas: i64) -> ErrorList {
    let rule = |name: &str, prefix: bool| {
        if prefix {
            names::is_dns1123_subdomain(&names::mask_trailing_dash(name))
        } else {
            names::is_dns1123_subdomain(name)
        }
    };
    // Who leaves out the namespace means that of the request.
    let namespaced = !meta::namespace(scale).is_empty();
    let mut errors = meta::validate_object_meta(scale, namespaced, &rule, &Path::new("metadata"));
    errors.extend(base::finalizer_errors(scale));
    if replicas < 0 {
        let path = Path::new("spec").child("replicas");
        errors.push(Error::invalid(&path, replicas, "must be greater than or equal to 0"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::registry::testing::custom_row;

    fn target() -> Target {
        let row = Registry::builtin().find("apps", "v1", "deployments").unwrap();
        Target { row, namespace: "n".into(), name: "a".into(), subresource: "scale".into() }
    }

    fn live() -> Value {
        json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}, "spec": {"replicas": 2}})
    }

    #[test]
    fn a_scale_brings_its_replicas_and_its_revision() {
        let scale = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "6"}, "spec": {"replicas": 3}});
        let taken = take(&target(), &live(), &scale).unwrap();
        assert_eq!(taken["spec"]["replicas"], 3);
        assert_eq!((meta::resource_version(&taken), meta::uid(&taken)), ("6", "u"));
        let taken = take(&target(), &live(), &json!({"metadata": {"name": "a"}, "spec": {}})).unwrap();
        assert_eq!((meta::resource_version(&taken), meta::uid(&taken)), ("", "u"));
    }

    #[test]
    fn the_scale_of_another_object_is_refused() {
        let refused = |scale: Value| take(&target(), &live(), &scale).unwrap_err();
        let other = refused(json!({"metadata": {"name": "a", "uid": "x"}, "spec": {"replicas": 3}}));
        assert_eq!(
            other.message,
            "Operation cannot be fulfilled on deployments/scale.apps \"a\": Precondition failed: UID in precondition: x, UID in object meta: u"
        );
        assert_eq!(refused(json!({"metadata": {"name": "a", "uid": "x"}, "spec": {"replicas": -1}})).code(), 422);
    }

    #[test]
    fn the_metadata_of_a_scale_is_judged_before_its_replicas() {
        let metadata = json!({"name": "a", "namespace": "n", "labels": {"k": "a b"}, "finalizers": ["x"]});
        let scale = json!({"metadata": metadata, "spec": {"replicas": -1}});
        let fields: Vec<String> = flaws(&scale, -1).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["metadata.labels", "metadata.finalizers[0]", "spec.replicas"]);
        assert!(flaws(&json!({"metadata": {"name": "a"}}), 0).is_empty());
    }

    #[test]
    fn a_custom_object_without_replicas_has_to_be_given_some() {
        let scale = json!({"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"});
        let target = Target { row: custom_row(&json!({"scale": scale})), ..target() };
        let bare = json!({"metadata": {"name": "a", "resourceVersion": "7"}});
        let missing = of(&target, &bare).unwrap_err();
        assert_eq!(
            (missing.code(), &*missing.message),
            (500, "Internal error occurred: the spec replicas field \".spec.replicas\" does not exist")
        );
        assert!(to_admit(&target, &bare).unwrap()["spec"].get("replicas").is_none());
        let refused = take(&target, &bare, &to_change(&target, &bare).unwrap()).unwrap_err();
        assert_eq!(
            (refused.code(), &*refused.message),
            (400, "the spec replicas field \".spec.replicas\" cannot be empty")
        );
        let taken = take(&target, &bare, &json!({"spec": {"replicas": 3}})).unwrap();
        assert_eq!((taken["spec"]["replicas"].as_i64(), meta::resource_version(&taken)), (Some(3), "7"));
    }
}
