//! Where a container sees the pod's volumes.

use std::collections::{HashMap, HashSet};

use mainstay_api::field::Error;

use super::{At, Errors, paths};

/// The pod's volumes by name.
pub(crate) type Volumes<'a> = HashMap<&'a str, At<'a>>;

/// `volumeMounts` of a container.
pub(crate) fn mounts(container: &At<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let list = container.get("volumeMounts");
    let devices: HashMap<&str, &str> =
        container.get("volumeDevices").items().map(|at| (at.get("name").str(), at.get("devicePath").str())).collect();
    let device_paths: HashSet<&str> = devices.values().copied().collect();
    let mut paths = HashSet::new();
    for mount in list.items() {
        let (name, path) = (mount.get("name"), mount.get("mountPath"));
        errors.needed(&name);
        if !volumes.contains_key(name.str()) {
            errors.0.push(Error::not_found(&name.path, name.str()));
        }
        errors.needed(&path);
        if !paths.insert(path.str()) {
            errors.0.push(Error::invalid(&path.path, path.str(), "must be unique"));
        }
        if devices.contains_key(name.str()) {
            errors.invalid(&name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(path.str()) {
            errors.invalid(&path, "must not already exist as a path in volumeDevices");
        }
        sub_path(&mount, &list, errors);
        propagation(&mount, container, &list, errors);
        recursive(&mount, &list, errors);
    }
}

/// Where in the volume; bad paths are called after the list, not after the mount.
fn sub_path(mount: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let (path, expr) = (mount.get("subPath"), mount.get("subPathExpr"));
    if !path.str().is_empty() {
        paths::descending_path(&At::new(path.value, list.path.child("subPath")), errors);
    }
    if !expr.str().is_empty() {
        if !path.str().is_empty() {
            errors.invalid(&expr, "subPathExpr and subPath are mutually exclusive");
        }
        paths::descending_path(&At::new(expr.value, list.path.child("subPathExpr")), errors);
    }
}

fn propagation(mount: &At<'_>, container: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let Some(mode) = mount.opt("mountPropagation") else { return };
    let at = At::new(mode.value, list.path.child("mountPropagation"));
    match mode.str() {
        "None" | "HostToContainer" => {}
        "Bidirectional" if container.get("securityContext").get("privileged").bool() => {}
        "Bidirectional" => {
            errors.forbidden(&at, "Bidirectional mount propagation is available only to privileged containers");
        }
        _ => errors.unsupported(&at, &["Bidirectional", "HostToContainer", "None"]),
    }
}

fn recursive(mount: &At<'_>, list: &At<'_>, errors: &mut Errors) {
    let Some(mode) = mount.opt("recursiveReadOnly") else { return };
    let at = At::new(mode.value, list.path.child("recursiveReadOnly"));
    match mode.str() {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if !mount.get("readOnly").bool() {
                errors.forbidden(&at, "may only be specified when readOnly is true");
            }
            if !matches!(mount.get("mountPropagation").str(), "" | "None") {
                errors.forbidden(&at, "may only be specified when mountPropagation is None or not specified");
            }
        }
        _ => errors.unsupported(&at, &["Disabled", "Enabled", "IfPossible"]),
    }
}

/// `volumeDevices` of a container.
pub(crate) fn devices(container: &At<'_>, volumes: &Volumes<'_>, errors: &mut Errors) {
    let mounted: HashMap<&str, &str> =
        container.get("volumeMounts").items().map(|at| (at.get("name").str(), at.get("mountPath").str())).collect();
    let mount_paths: HashSet<&str> = mounted.values().copied().collect();
    let (mut paths, mut names) = (HashSet::new(), HashSet::new());
    for device in container.get("volumeDevices").items() {
        let (name, path) = (device.get("name"), device.get("devicePath"));
        errors.needed(&name);
        if !name.str().is_empty() && !names.insert(name.str()) {
            errors.invalid(&name, "must be unique");
        }
        match volumes.get(name.str()) {
            Some(volume) if volume.opt("persistentVolumeClaim").is_none() && volume.opt("ephemeral").is_none() => {
                errors.invalid(
                    &name,
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                );
            }
            None => errors.0.push(Error::not_found(&name.path, name.str())),
            _ => {}
        }
        errors.needed(&path);
        if paths.contains(path.str()) {
            errors.0.push(Error::invalid(&path.path, path.str(), "must be unique"));
        }
        if path.str().split('/').any(|part| part == "..") {
            errors.invalid(&path, "can not contain backsteps ('..')");
        } else {
            paths.insert(path.str());
        }
        if mounted.contains_key(name.str()) {
            errors.invalid(&name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(path.str()) {
            errors.invalid(&path, "must not already exist as a path in volumeMounts");
        }
    }
}
