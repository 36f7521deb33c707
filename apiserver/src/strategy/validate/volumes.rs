//! A pod's volumes.

use std::collections::HashSet;

use mainstay_api::names;

use super::volume_mounts::Volumes;
use super::volume_sources::{self, SOURCES};
use super::{At, Errors, Owner, network_volumes};

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
            errors.invalid(&name, network_volumes::ISCSI_TOO_LONG);
        }
        ("ephemeral", Owner::Pod(pod)) if !pod.is_empty() && !name.str().is_empty() => {
            let claim = format!("{pod}-{}", name.str());
            for text in names::is_dns1123_subdomain(&claim) {
                errors.invalid(&name, format!("PVC name \"{claim}\": {text}"));
            }
        }
        ("image", _) => {
            // A template may leave the image to whoever makes pods of it.
            if owner != Owner::Template {
                errors.needed(&at.get("reference"));
            }
            errors.one_of_if_set(&at.get("pullPolicy"), &["Always", "IfNotPresent", "Never"]);
        }
        _ => {}
    }
}
