//! A pod's volumes.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;

use super::volume_sources::{self, SOURCES};
use super::{At, Errors};

/// The list `volumes`.
pub(crate) fn volumes(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for volume in list.items() {
        source(&volume, errors);
        let name = volume.get("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            let texts = names::is_dns1123_label(name.str());
            let valid = texts.is_empty();
            errors.each(&name, texts);
            if valid && !seen.insert(name.str()) {
                errors.duplicate(&name);
            }
        }
    }
}

/// One source at the most; without one the volume has been defaulted to emptyDir.
fn source(volume: &At<'_>, errors: &mut Errors) {
    let present: Vec<&str> = SOURCES.iter().copied().filter(|name| volume.opt(name).is_some()).collect();
    for (index, name) in present.iter().enumerate() {
        let at = volume.get(name);
        if index > 0 {
            errors.forbidden(&at, "may not specify more than 1 volume type");
        } else {
            volume_sources::source(name, &at, errors);
        }
    }
}

/// A path inside a volume: relative, not upwards, not starting like a data directory.
pub(crate) fn local_path(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    descending_path(at, errors);
    if at.str().starts_with("..") && !at.str().starts_with("../") && at.str() != ".." {
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
