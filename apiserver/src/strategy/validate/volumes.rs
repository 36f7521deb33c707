//! A pod's volumes.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;

use super::pod_spec::Owner;
use super::volume_mounts::Volumes;
use super::volume_sources::{self, SOURCES};
use super::{At, Errors};

/// The list `volumes`; returns those that are in order, for only they can be mounted.
pub(crate) fn volumes<'a>(list: &At<'a>, owner: Owner<'_>, errors: &mut Errors) -> Volumes<'a> {
    let created = created_claims(list, owner);
    let mut good = Volumes::new();
    for volume in list.items() {
        let mut found = Errors::default();
        source(&volume, owner, &mut found);
        let name = volume.get("name");
        if name.str().is_empty() {
            found.required(&name, "");
        } else {
            found.each(&name, names::is_dns1123_label(name.str()));
        }
        if good.contains_key(name.str()) {
            found.duplicate(&name);
        }
        if found.0.is_empty() {
            good.insert(name.str(), volume.clone());
        }
        errors.extend(found.0);
        let claim = volume.get("persistentVolumeClaim").get("claimName");
        if created.contains(claim.str()) {
            errors.invalid(&claim, "must not reference a PVC that gets created for an ephemeral volume");
        }
    }
    good
}

/// The names of the claims that the pod's own volumes bring about.
fn created_claims(list: &At<'_>, owner: Owner<'_>) -> HashSet<String> {
    let Owner::Pod(pod) = owner else { return HashSet::new() };
    let ephemeral = list.items().filter(|volume| !pod.is_empty() && volume.opt("ephemeral").is_some());
    ephemeral.map(|volume| format!("{pod}-{}", volume.get("name").str())).collect()
}

/// One source at the most; without one the volume has been defaulted to emptyDir.
fn source(volume: &At<'_>, owner: Owner<'_>, errors: &mut Errors) {
    let present = volume.present(SOURCES);
    for (index, name) in present.iter().enumerate() {
        let at = volume.get(name);
        if index > 0 {
            let shown = At::new(at.value, volume.path.child(volume_sources::refused_as(name)));
            errors.forbidden(&shown, "may not specify more than 1 volume type");
        } else {
            volume_sources::source(name, &at, errors);
            with_volume(name, &at, volume, owner, errors);
        }
    }
    if present.is_empty() {
        errors.required(volume, "must specify a volume type");
    }
}

/// The rules that need to know the volume's name, or the pod's.
fn with_volume(source: &str, at: &At<'_>, volume: &At<'_>, owner: Owner<'_>, errors: &mut Errors) {
    let name = volume.get("name");
    match (source, owner) {
        ("iscsi", _)
            if at.opt("initiatorName").is_some() && name.str().len() + 1 + at.get("targetPortal").str().len() > 64 =>
        {
            errors.invalid(&name, volume_sources::ISCSI_TOO_LONG);
        }
        ("ephemeral", Owner::Pod(pod)) if !pod.is_empty() && !name.str().is_empty() => {
            let claim = format!("{pod}-{}", name.str());
            for text in names::is_dns1123_subdomain(&claim) {
                errors.invalid(&name, format!("PVC name \"{claim}\": {text}"));
            }
        }
        // A template may leave the image to whoever makes pods of it.
        ("image", Owner::Pod(_)) => errors.needed(&at.get("reference")),
        _ => {}
    }
}

/// A path inside a volume: relative, not upwards, not starting like a data directory.
pub(crate) fn local_path(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    descending_path(at, errors);
    if at.str().starts_with("..") && !at.str().starts_with("../") {
        errors.invalid(at, "must not start with '..'");
    }
}

/// A relative path without a step upwards.
pub(crate) fn descending_path(at: &At<'_>, errors: &mut Errors) {
    if at.str().starts_with('/') {
        errors.invalid(at, "must be a relative path");
    }
    no_backsteps(at, errors);
}

/// No `..` in a path.
pub(crate) fn no_backsteps(at: &At<'_>, errors: &mut Errors) {
    if at.str().split('/').any(|part| part == "..") {
        errors.invalid(at, "must not contain '..'");
    }
}

/// Permission bits.
pub(crate) fn file_mode(at: &At<'_>, errors: &mut Errors) {
    if !at.is_null() && !(0..=0o777).contains(&at.int()) {
        errors.0.push(Error::invalid(
            &at.path,
            at.int(),
            "must be a number between 0 and 0777 (octal), both inclusive",
        ));
    }
}
