//! Changes that webhooks and policies make to an object.

use mainstay_api::field::{Error, Path};
use mainstay_api::patch::{self, PatchRefused};
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::{decode, meta};
use serde_json::Value;

use super::review;
use crate::engine::{unknown_conversion, unread, unregistered};
use crate::registry::Row;

/// Who has made a change.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Author {
    /// A webhook: fields that the object does not know are dropped.
    Webhook,
    /// A policy: they are refused.
    Policy,
}

/// An object after operations of a JSON patch. One that no longer says what it is goes on being that, unless it is
/// custom: those are nothing but what they say.
///
/// # Errors
/// The first operation that does not apply; that nothing is left that could be an object.
pub(super) fn patched(seen: &Value, operations: &[Value], row: &Row) -> Result<Value, PatchRefused> {
    let mut changed = patch::amend(seen, operations)?;
    let Some(map) = changed.as_object_mut() else {
        return Err(PatchRefused::Failed("replace operation hit impossible case".to_owned()));
    };
    if is_custom(row, seen) {
        return Ok(changed);
    }
    for field in ["apiVersion", "kind"] {
        let says_so = map.get(field).is_some_and(|said| !said.is_null() && said != "");
        if let Some(own) = seen.get(field).filter(|_| !says_so) {
            map.insert(field.to_owned(), own.clone());
        }
    }
    Ok(changed)
}

/// Whether an object is of a row's definition; what comes through subresources may be of kinds that all know.
fn is_custom(row: &Row, object: &Value) -> bool {
    row.served.is_some() && meta::kind(object) == row.resource.kind
}

/// A changed object, read again as a request would be: checked for types and defaulted, in the stored version.
///
/// # Errors
/// 500 if the change has made something that is no such object or does not say what it is; 422 if a custom one is of
/// another kind.
pub(super) fn settle(changed: Value, before: &Value, row: &Row, author: Author) -> ApiResult<Value> {
    if let Some(why) = unread(&changed, is_custom(row, before)) {
        return Err(Status::internal(why));
    }
    if let Some(served) = row.served.as_ref().filter(|_| is_custom(row, before)) {
        let mut changed = changed;
        served.decode(&mut changed).map_err(Status::internal)?;
        check_custom(&changed, before, |version| served.schemas.contains_key(version), author)?;
        // It may have been seen in another version.
        changed["apiVersion"] = meta::api_version(before).into();
        return Ok(changed);
    }
    let settled = review::in_stored(read(changed, before, author)?, before);
    if are_alike(&settled, before) {
        return Ok(settled);
    }
    let ((_, version), (group, _)) = (group_version(&settled), group_version(before));
    Err(unconverted(unknown_conversion(group, meta::kind(before), version, meta::kind(&settled)), author))
}

/// An object in the version that it says it is of; only what can be read can be converted.
fn read(changed: Value, before: &Value, author: Author) -> ApiResult<Value> {
    let kind = meta::kind(&changed);
    let (group, version) = group_version(&changed);
    let Some(of) = mainstay_api::types::type_of(group, version, kind) else {
        // The options of connections have no type here.
        if are_alike(&changed, before) {
            return Ok(changed);
        }
        return Err(Status::internal(unregistered(meta::api_version(&changed), kind)));
    };
    let decoded = decode::strict(of, &changed);
    if let Some(why) = decoded.errors.first() {
        return Err(Status::internal(why));
    }
    if author == Author::Policy && !decoded.unknown.is_empty() {
        return Err(Status::internal(format!("strict decoding error: {}", decoded.unknown.join(", "))));
    }
    let mut value = decoded.value;
    mainstay_api::defaults::apply(group, version, kind, &mut value);
    Ok(value)
}

/// A custom object stays of its definition; its kind is judged with the rest of it.
fn check_custom(changed: &Value, before: &Value, known: impl Fn(&str) -> bool, author: Author) -> ApiResult<()> {
    let (found, kind, wanted) = (meta::api_version(changed), meta::kind(changed), meta::kind(before));
    let ((group, version), (own, _)) = (group_version(changed), group_version(before));
    if group != own {
        let target = meta::api_version(before);
        let why = format!(
            "{group}/{version}, Kind={kind} is unstructured and is not suitable for converting to \"{target}\""
        );
        return Err(unconverted(why, author));
    }
    if !known(found) {
        let why = format!("request to convert CR from an invalid group/version: {found}");
        return Err(unconverted(why, author));
    }
    if kind != wanted {
        let error = Error::invalid(&Path::new("kind"), kind, format!("must be {wanted}"));
        return Err(Status::invalid(group, kind, meta::name(changed), vec![error]));
    }
    Ok(())
}

/// Whether two objects are of one kind and version.
fn are_alike(one: &Value, other: &Value) -> bool {
    meta::kind(one) == meta::kind(other) && meta::api_version(one) == meta::api_version(other)
}

fn group_version(object: &Value) -> (&str, &str) {
    let api_version = meta::api_version(object);
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// What comes of a change that no object of the kind can hold.
fn unconverted(why: String, author: Author) -> Status {
    match author {
        Author::Webhook => Status::plain(why),
        Author::Policy => Status::internal(format!("failed to convert object: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::registry::Registry;
    use crate::registry::testing::custom_row;

    #[test]
    fn an_object_does_not_become_another() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        let before = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}});
        let settled = |operation: Value, author: Author| {
            let changed = patched(&before, &[operation], &row).map_err(Status::internal)?;
            settle(changed, &before, &row, author)
        };
        let replacing = |field: &str, value: Value| json!({"op": "replace", "path": field, "value": value});
        let same = settled(replacing("/kind", json!(null)), Author::Webhook).unwrap();
        assert_eq!(same["kind"], "ConfigMap");
        let refused = |author: Author, field: &str, value: Value| {
            settled(replacing(field, value), author).unwrap_err().message.into_owned()
        };
        let why = "converting (v1.Secret) to (core.ConfigMap): unknown conversion";
        assert_eq!(refused(Author::Webhook, "/kind", json!("Secret")), why);
        assert_eq!(
            refused(Author::Policy, "/kind", json!("Secret")),
            format!("Internal error occurred: failed to convert object: {why}")
        );
        assert_eq!(
            refused(Author::Webhook, "/apiVersion", json!("v9")),
            "Internal error occurred: no kind \"ConfigMap\" is registered for version \"v9\" in scheme \
             \"pkg/api/legacyscheme/scheme.go:30\""
        );
        assert_eq!(
            refused(Author::Webhook, "/kind", json!(5)),
            "Internal error occurred: couldn't get version/kind; json parse error: json: cannot unmarshal number into \
             Go struct field .kind of type string"
        );
        for nothing in [json!(null), json!(1), json!([])] {
            let operation = json!({"op": "replace", "path": "", "value": nothing});
            assert!(settled(operation, Author::Webhook).is_err(), "{nothing}");
        }
    }

    #[test]
    fn a_custom_object_stays_of_its_definition() {
        let before = json!({"apiVersion": "g.io/v1", "kind": "A", "metadata": {"name": "a"}});
        let checked = |version: &str, kind: &str| {
            let changed = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}});
            let known = |version: &str| matches!(version, "g.io/v1" | "g.io/v2");
            check_custom(&changed, &before, known, Author::Webhook)
                .map_err(|status| (status.code, status.message.into_owned()))
        };
        assert_eq!(checked("g.io/v2", "A"), Ok(()));
        let told = |code: u16, why: &str| Err((code, why.to_owned()));
        assert_eq!(
            checked("h.io/v1", "A"),
            told(500, "h.io/v1, Kind=A is unstructured and is not suitable for converting to \"g.io/v1\"")
        );
        assert_eq!(checked("g.io/v3", "A"), told(500, "request to convert CR from an invalid group/version: g.io/v3"));
        assert_eq!(
            checked("g.io/v1", "B"),
            told(422, "B.g.io \"a\" is invalid: kind: Invalid value: \"B\": must be A")
        );
    }

    #[test]
    fn a_custom_object_has_to_say_what_it_is() {
        let row = custom_row(&Value::Null);
        let before = json!({"apiVersion": "g.io/v1", "kind": "A", "metadata": {"name": "a"}});
        let refused = |author: Author, operation: Value| {
            let changed = patched(&before, &[operation], &row).unwrap();
            settle(changed, &before, &row, author).unwrap_err().message.into_owned()
        };
        let removing = |path: &str| json!({"op": "remove", "path": path});
        let nameless = "Internal error occurred: Object 'Kind' is missing in \
                        '{\"apiVersion\":\"g.io/v1\",\"metadata\":{\"name\":\"a\"}}'";
        assert_eq!(refused(Author::Webhook, removing("/kind")), nameless);
        assert_eq!(refused(Author::Policy, removing("/kind")), nameless);
        let why = "/, Kind=A is unstructured and is not suitable for converting to \"g.io/v1\"";
        assert_eq!(refused(Author::Webhook, removing("/apiVersion")), why);
        let told = format!("Internal error occurred: failed to convert object: {why}");
        assert_eq!(refused(Author::Policy, removing("/apiVersion")), told);
        let odd = json!({"op": "replace", "path": "/apiVersion", "value": "a/b/c"});
        let why = "Internal error occurred: unexpected GroupVersion string: a/b/c";
        assert_eq!(refused(Author::Webhook, odd), why);
        let changed = patched(&before, &[json!({"op": "add", "path": "/x", "value": 1})], &row).unwrap();
        assert_eq!(settle(changed, &before, &row, Author::Webhook).unwrap()["x"], 1);
    }

    #[test]
    fn an_object_is_read_in_the_version_that_it_was_changed_in() {
        let row = Registry::builtin().find("autoscaling", "v2", "horizontalpodautoscalers").unwrap();
        let kind = "HorizontalPodAutoscaler";
        let before = json!({"apiVersion": "autoscaling/v2", "kind": kind, "metadata": {"name": "h"}});
        let settled = |spec: Value| {
            let changed =
                json!({"apiVersion": "autoscaling/v1", "kind": kind, "metadata": {"name": "h"}, "spec": spec});
            settle(changed, &before, &row, Author::Webhook)
        };
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
        let spec = json!({"scaleTargetRef": target, "maxReplicas": 3, "targetCPUUtilizationPercentage": 50});
        let read = settled(spec).unwrap();
        assert_eq!(read["apiVersion"], "autoscaling/v2");
        assert_eq!(read["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"], 50);
        assert_eq!(settled(json!(5)).unwrap_err().code, 500);
    }

    #[test]
    fn an_object_keeps_its_kind() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        let seen = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}});
        let gone = |path: &str| patched(&seen, &[json!({"op": "remove", "path": path})], &row).unwrap();
        assert_eq!(gone("/kind"), seen);
        assert_eq!(gone("/data/a"), json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {}}));
        let replaced = patched(&seen, &[json!({"op": "replace", "path": "", "value": {}})], &row).unwrap();
        assert_eq!(replaced, json!({"apiVersion": "v1", "kind": "ConfigMap"}));
    }
}
