//! Environment variables and references to fields.

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{At, Errors, paths};

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
const ENV_RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const SOURCES: &[&str] = &["fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"];

/// The list `env`.
pub(crate) fn variables(list: &At<'_>, errors: &mut Errors) {
    for variable in list.items() {
        errors.name(&variable.get("name"), names::is_env_var_name);
        if let Some(source) = variable.opt("valueFrom") {
            value_from(&source, !variable.get("value").is_empty(), errors);
        }
    }
}

fn value_from(source: &At<'_>, has_value: bool, errors: &mut Errors) {
    let invalid = |errors: &mut Errors, detail: &str| errors.0.push(Error::invalid(&source.path, "", detail));
    let sources = source.present(SOURCES);
    for name in &sources {
        let at = source.get(name);
        match *name {
            "fieldRef" => field_ref(&at, ENV_FIELDS, errors),
            "resourceFieldRef" => resource_ref(&at, false, errors),
            "fileKeyRef" => file_ref(&at, errors),
            _ => key_ref(&at, errors),
        }
    }
    match sources.len() {
        0 => {
            let listed = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            invalid(errors, listed);
        }
        _ if has_value => invalid(errors, "may not be specified when `value` is not empty"),
        1 => {}
        _ => invalid(errors, "may not have more than one field specified at a time"),
    }
}

fn key_ref(at: &At<'_>, errors: &mut Errors) {
    errors.each(&at.get("name"), names::is_dns1123_subdomain(at.get("name").str()));
    errors.name(&at.get("key"), names::is_config_map_key);
}

fn file_ref(at: &At<'_>, errors: &mut Errors) {
    errors.name(&at.get("key"), names::is_env_var_name);
    errors.name(&at.get("volumeName"), names::is_dns1123_label);
    errors.needed(&at.get("path"));
    paths::no_backsteps(&at.get("path"), errors);
}

/// A reference to one of these fields of the pod, or to one label or annotation.
pub(crate) fn field_ref(at: &At<'_>, supported: &[&str], errors: &mut Errors) {
    for field in ["apiVersion", "fieldPath"] {
        if at.get(field).str().is_empty() {
            errors.required(&at.get(field), "");
            return;
        }
    }
    let path = at.get("fieldPath");
    if at.get("apiVersion").str() != "v1" {
        let version = at.get("apiVersion");
        errors.invalid(&path, format!("error converting fieldPath: unsupported pod version: {}", version.str()));
        return;
    }
    let Some((field, key)) = subscript(path.str()) else {
        // This is what it was called once.
        let known = if path.str() == "spec.host" { "spec.nodeName" } else { path.str() };
        if !known_field(known) {
            errors.invalid(&path, format!("error converting fieldPath: field label not supported: {}", path.str()));
        } else if !supported.contains(&known) {
            errors.0.push(Error::not_supported(&path.path, known, supported));
        }
        return;
    };
    let lower = key.to_lowercase();
    let key = match field {
        "metadata.annotations" => lower.as_str(),
        "metadata.labels" => key,
        _ => {
            let why = format!("error converting fieldPath: field label does not support subscript: {}", path.str());
            errors.invalid(&path, why);
            return;
        }
    };
    for text in names::is_qualified_name(key) {
        errors.0.push(Error::invalid(&at.path, key, text));
    }
}

/// `metadata.labels['x']` as field and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (field, rest) = path.strip_suffix("']")?.split_once("['")?;
    (!field.is_empty()).then_some((field, rest))
}

fn known_field(path: &str) -> bool {
    const MORE: &[&str] =
        &["metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase"];
    ENV_FIELDS.contains(&path) || MORE.contains(&path)
}

/// A reference to a request or limit of a container.
pub(crate) fn resource_ref(at: &At<'_>, in_volume: bool, errors: &mut Errors) {
    let resource = at.get("resource");
    let name = resource.str();
    let huge = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if in_volume && at.get("containerName").str().is_empty() {
        errors.required(&at.get("containerName"), "");
    } else if name.is_empty() {
        errors.required(&resource, "");
    } else if !huge && !ENV_RESOURCES.contains(&name) {
        errors.unsupported(&resource, ENV_RESOURCES);
    }
    divisor(at, name, errors);
}

fn divisor(at: &At<'_>, resource: &str, errors: &mut Errors) {
    const BYTES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (allowed, what) = match resource.split_once('.').map_or("", |(_, name)| name) {
        "cpu" => {
            let text = at.get("divisor").quantity().to_string();
            if !matches!(text.as_str(), "0" | "1m" | "1") {
                let why = "only divisor's values 1m and 1 are supported with the cpu resource";
                errors.0.push(Error::invalid(&at.get("divisor").path, resource, why));
            }
            return;
        }
        "memory" => (BYTES, "memory"),
        "ephemeral-storage" => (BYTES, "local ephemeral storage"),
        name if name.starts_with("hugepages-") => (BYTES, "hugepages"),
        _ => return,
    };
    let text = at.get("divisor").quantity().to_string();
    if text != "0" && !allowed.contains(&text.as_str()) {
        let why = format!("only divisor's values {} are supported with the {what} resource", allowed.join(", "));
        errors.0.push(Error::invalid(&at.get("divisor").path, resource, why));
    }
}

/// The list `envFrom`.
pub(crate) fn sources(list: &At<'_>, errors: &mut Errors) {
    for source in list.items() {
        errors.name_if_set(&source.get("prefix"), names::is_env_var_name);
        let present = source.present(&["configMapRef", "secretRef"]);
        for name in &present {
            errors.name(&source.get(name).get("name"), source_name);
        }
        match present.len() {
            0 => errors.0.push(Error::invalid(&list.path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.0.push(Error::invalid(&list.path, "", "may not have more than one field specified at a time")),
        }
    }
}

/// A name of which Kubernetes only looks at how it begins: it may end in a dash.
fn source_name(name: &str) -> Vec<String> {
    names::is_dns1123_subdomain(&names::mask_trailing_dash(name))
}

/// A file of a downward API volume.
pub(crate) fn downward_file(file: &At<'_>, volume: &At<'_>, errors: &mut Errors) {
    const FIELDS: &[&str] =
        &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
    paths::local_path(&At::new(file.get("path").value, volume.path.child("path")), errors);
    let (field, resource) = (file.opt("fieldRef"), file.opt("resourceFieldRef"));
    match (&field, &resource) {
        (Some(field), other) => {
            field_ref(&At::new(field.value, volume.path.child("fieldRef")), FIELDS, errors);
            if other.is_some() {
                let why = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.0.push(Error::invalid(&volume.path, "resource", why));
            }
        }
        (None, Some(resource)) => {
            resource_ref(&At::new(resource.value, volume.path.child("resourceFieldRef")), true, errors)
        }
        (None, None) => errors.required(volume, "one of fieldRef and resourceFieldRef is required"),
    }
    if let Some(mode) = file.opt("mode") {
        paths::file_mode(&At::new(mode.value, volume.path.child("mode")), errors);
    }
}
