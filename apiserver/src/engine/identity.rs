//! Whether a body is of the kind and version that a request expects, in the words of Kubernetes' scheme.

use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::types;
use serde_json::{Value, json};

use super::Target;
use super::expected::Expected;

/// Where Kubernetes' scheme is made, which its errors name.
const SCHEME: &str = "pkg/api/legacyscheme/scheme.go:30";
/// Versions that Kubernetes still knows though it serves them no more.
const RETIRED: &[(&str, &[&str])] = &[
    ("admissionregistration.k8s.io", &["v1beta1", "v1alpha1"]),
    ("apiextensions.k8s.io", &["v1beta1"]),
    ("apiregistration.k8s.io", &["v1beta1"]),
    ("apps", &["v1beta1", "v1beta2"]),
    ("authentication.k8s.io", &["v1beta1", "v1alpha1"]),
    ("authorization.k8s.io", &["v1beta1"]),
    ("autoscaling", &["v2beta1", "v2beta2"]),
    ("batch", &["v1beta1"]),
    ("certificates.k8s.io", &["v1beta1", "v1alpha1"]),
    ("coordination.k8s.io", &["v1beta1"]),
    ("discovery.k8s.io", &["v1beta1"]),
    ("events.k8s.io", &["v1beta1"]),
    ("extensions", &["v1beta1"]),
    ("flowcontrol.apiserver.k8s.io", &["v1beta1", "v1beta2", "v1beta3"]),
    ("networking.k8s.io", &["v1beta1"]),
    ("node.k8s.io", &["v1beta1", "v1alpha1"]),
    ("policy", &["v1beta1"]),
    ("rbac.authorization.k8s.io", &["v1beta1", "v1alpha1"]),
    ("resource.k8s.io", &["v1beta1", "v1beta2", "v1alpha3"]),
    ("scheduling.k8s.io", &["v1beta1", "v1alpha1"]),
    ("storage.k8s.io", &["v1beta1", "v1alpha1"]),
];
/// Kinds that such a version never had, or has no more, though the group has them.
const ABSENT: &[(&str, &str, &[&str])] = &[
    ("admissionregistration.k8s.io", "v1alpha1", &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
    ("apps", "v1beta1", &["DaemonSet", "ReplicaSet"]),
    ("authentication.k8s.io", "v1alpha1", &["TokenReview"]),
    ("batch", "v1beta1", &["Job"]),
    ("certificates.k8s.io", "v1alpha1", &["CertificateSigningRequest"]),
    ("networking.k8s.io", "v1beta1", &["NetworkPolicy"]),
    ("resource.k8s.io", "v1alpha3", &["DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice"]),
    ("storage.k8s.io", "v1alpha1", &["CSIDriver", "CSINode", "StorageClass"]),
];
/// Kinds that once were in this group and are in others now.
const EXTENSIONS: [&str; 6] = ["DaemonSet", "Deployment", "Ingress", "NetworkPolicy", "ReplicaSet", "Scale"];

/// Fills in a missing kind and version. What is of another kind comes back with the reason.
///
/// The kind of custom objects is judged with the rest of them.
pub(super) fn identify(expected: &Expected, mut value: Value, custom: bool) -> Result<Value, (Value, String)> {
    let wanted = expected.api_version();
    let Some(map) = value.as_object_mut() else { return Err((value, "not an object".to_owned())) };
    for (field, default) in [("apiVersion", wanted.as_str()), ("kind", expected.kind.as_str())] {
        if map.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            map.insert(field.to_owned(), json!(default));
        }
    }
    // Evictions are taken in their old version as well.
    if expected.kind == "Eviction" && meta::api_version(&value) == "policy/v1beta1" {
        value["apiVersion"] = json!(wanted);
    }
    match strange(expected, &value).filter(|_| !custom) {
        Some(why) => Err((value, why)),
        None => Ok(value),
    }
}

/// Why a body cannot become the expected kind; other versions of it are told apart later.
fn strange(expected: &Expected, value: &Value) -> Option<String> {
    let (found, kind) = (meta::api_version(value), meta::kind(value));
    if found == expected.api_version() && kind == expected.kind {
        return None;
    }
    let (group, version) = meta::split_api_version(found).unwrap_or_default();
    let known = types::type_of(group, version, kind);
    let retired = kind == expected.kind && was_served(&expected.group, group, version, kind);
    if known.is_none() && !retired {
        return Some(unregistered(found, kind));
    }
    if let Some(error) =
        known.and_then(|known| mainstay_api::decode::strict(known, value).errors.first().map(str::to_owned))
    {
        return Some(error);
    }
    if kind == expected.kind && (group == expected.group || retired || is_events(group, &expected.group)) {
        return None;
    }
    Some(unknown_conversion(&expected.group, &expected.kind, version, kind))
}

/// Whether a kind was once served in this group and version that is in the group `now`.
fn was_served(now: &str, group: &str, version: &str, kind: &str) -> bool {
    let retired = RETIRED.iter().any(|(own, versions)| *own == group && versions.contains(&version));
    let absent = ABSENT.iter().any(|(own, of, kinds)| (*own, *of) == (group, version) && kinds.contains(&kind));
    let same = match group {
        "extensions" => EXTENSIONS.contains(&kind),
        "apps" => now == group || kind == "Scale",
        _ => now == group || is_events(now, group),
    };
    retired && !absent && same
}

/// Events are one kind in two groups.
fn is_events(a: &str, b: &str) -> bool {
    let groups = ["", "events.k8s.io"];
    groups.contains(&a) && groups.contains(&b)
}

/// What is said of a kind that there is not in a version.
pub(crate) fn unregistered(api_version: &str, kind: &str) -> String {
    format!("no kind \"{kind}\" is registered for version \"{api_version}\" in scheme \"{SCHEME}\"")
}

/// What is said of an object of another kind than the one wanted, of this group.
pub(crate) fn unknown_conversion(group: &str, wanted: &str, version: &str, kind: &str) -> String {
    let package = group.split('.').next().filter(|first| !first.is_empty()).unwrap_or("core");
    format!("converting ({version}.{kind}) to ({package}.{wanted}): unknown conversion")
}

/// The name in a body must be the URL's.
pub(crate) fn check_name(target: &Target, object: &Value) -> ApiResult<()> {
    let name = meta::name(object);
    if name.is_empty() {
        let url = &target.name;
        return Err(Status::bad_request(format!(
            "the name of the object ({url} based on URL) was undeterminable: name must be provided"
        )));
    }
    if name != target.name {
        let url = &target.name;
        return Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({url})"
        )));
    }
    Ok(())
}

/// Another version of the right kind is refused by name.
pub(super) fn check_version(expected: &Expected, value: &Value) -> ApiResult<()> {
    let (found, wanted) = (meta::api_version(value), expected.api_version());
    if found == wanted {
        return Ok(());
    }
    Err(Status::bad_request(format!(
        "the API version in the data ({found}) does not match the expected API version ({wanted})"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(group: &str, kind: &str, said: &str) -> Option<String> {
        let expected = Expected { group: group.into(), version: "v1".into(), kind: kind.into(), object_type: None };
        strange(&expected, &json!({"apiVersion": said, "kind": kind}))
    }

    #[test]
    fn versions_that_are_served_no_more_are_known_with_their_kinds() {
        for (group, kind, said) in [
            ("apps", "Deployment", "apps/v1beta1"),
            ("apps", "DaemonSet", "apps/v1beta2"),
            ("networking.k8s.io", "NetworkPolicy", "extensions/v1beta1"),
            ("autoscaling", "Scale", "apps/v1beta1"),
            ("", "Event", "events.k8s.io/v1beta1"),
        ] {
            assert_eq!(judged(group, kind, said), None, "{said} {kind}");
        }
        for (group, kind, said) in [
            ("apps", "DaemonSet", "apps/v1beta1"),
            ("batch", "Job", "batch/v1beta1"),
            ("networking.k8s.io", "NetworkPolicy", "networking.k8s.io/v1beta1"),
            ("", "ConfigMap", "batch/v1beta1"),
            ("", "Pod", "extensions/v1beta1"),
        ] {
            assert_eq!(judged(group, kind, said), Some(unregistered(said, kind)));
        }
    }
}
