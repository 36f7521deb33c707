//! The sources of volumes, of pods and of persistent volumes.

use mainstay_api::names;

use super::{At, Errors, env, selectors, volumes};

/// The sources that a pod's volume can have, in the order in which they are looked at.
pub(crate) const SOURCES: &[&str] = &[
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "configMap",
    "azureFile",
    "flexVolume",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
];

/// What a source must have, by its name.
const NEEDED: &[(&str, &[&str])] = &[
    ("gitRepo", &["repository"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("persistentVolumeClaim", &["claimName"]),
    ("rbd", &["monitors", "image"]),
    ("cinder", &["volumeID"]),
    ("cephfs", &["monitors"]),
    ("azureFile", &["secretName", "shareName"]),
    ("flexVolume", &["driver"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
];

/// The rules of one source.
pub(crate) fn source(name: &str, at: &At<'_>, errors: &mut Errors) {
    match name {
        "emptyDir" => empty_dir(at, errors),
        "hostPath" => host_path(at, errors),
        "secret" => keyed(at, "secretName", errors),
        "configMap" => keyed(at, "name", errors),
        "nfs" => nfs(at, errors),
        "downwardAPI" => downward(at, errors),
        "projected" => projected(at, errors),
        "csi" => csi(at, errors),
        "ephemeral" => ephemeral(at, errors),
        "image" => errors.needed(&at.get("reference")),
        "iscsi" => iscsi(at, errors),
        _ => {
            let needed = NEEDED.iter().find(|(source, _)| *source == name).map_or(&[][..], |(_, fields)| fields);
            needed.iter().for_each(|field| errors.needed(&at.get(field)));
        }
    }
}

fn empty_dir(at: &At<'_>, errors: &mut Errors) {
    let limit = at.get("sizeLimit");
    if limit.quantity().is_negative() {
        errors.forbidden(&limit, "SizeLimit field must be a valid resource quantity");
    }
}

/// A host's path, with what must be there.
pub(crate) fn host_path(at: &At<'_>, errors: &mut Errors) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    const TYPE_NAMES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    let path = at.get("path");
    if path.str().is_empty() {
        errors.required(&path, "");
        return;
    }
    volumes::no_backsteps(&path, errors);
    let kind = at.get("type");
    if !kind.is_null() && !TYPES.contains(&kind.str()) {
        errors.unsupported(&kind, TYPE_NAMES);
    }
}

/// A network file system's server and path.
pub(crate) fn nfs(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("server"));
    let path = at.get("path");
    errors.needed(&path);
    if !path.str().starts_with('/') {
        errors.invalid(&path, "must be an absolute path");
    }
}

fn iscsi(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("targetPortal"));
    errors.needed(&at.get("iqn"));
    if !(0..=255).contains(&at.get("lun").int()) {
        errors.invalid(&at.get("lun"), "must be between 0 and 255, inclusive");
    }
}

fn keyed(at: &At<'_>, name: &str, errors: &mut Errors) {
    errors.needed(&at.get(name));
    volumes::file_mode(&at.get("defaultMode"), errors);
    items(at, errors);
}

fn items(at: &At<'_>, errors: &mut Errors) {
    for item in at.get("items").items() {
        errors.needed(&item.get("key"));
        volumes::local_path(&item.get("path"), errors);
        volumes::file_mode(&item.get("mode"), errors);
    }
}

fn downward(at: &At<'_>, errors: &mut Errors) {
    volumes::file_mode(&at.get("defaultMode"), errors);
    at.get("items").items().for_each(|file| env::downward_file(&file, at, errors));
}

fn projected(at: &At<'_>, errors: &mut Errors) {
    const KINDS: &[&str] =
        &["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
    volumes::file_mode(&at.get("defaultMode"), errors);
    for source in at.get("sources").items() {
        let present = source.present(KINDS);
        for (index, kind) in present.iter().enumerate() {
            let part = source.get(kind);
            if index > 0 {
                errors.forbidden(&At::new(part.value, source.path.clone()), "may not specify more than 1 volume type");
                continue;
            }
            projected_source(kind, &part, at, errors);
        }
    }
}

fn projected_source(kind: &str, part: &At<'_>, volume: &At<'_>, errors: &mut Errors) {
    match kind {
        "secret" | "configMap" => {
            errors.needed(&part.get("name"));
            items(part, errors);
        }
        "downwardAPI" => {
            part.get("items").items().for_each(|file| env::downward_file(&file, volume, errors));
        }
        "serviceAccountToken" => {
            let seconds = part.get("expirationSeconds");
            if seconds.int() < 600 {
                errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
            } else if seconds.int() > 1 << 32 {
                errors.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
            if part.get("path").str().is_empty() {
                errors.required(&At::new(part.value, volume.path.child("path")), "");
            } else {
                volumes::local_path(&part.get("path"), errors);
            }
        }
        _ => volumes::local_path(&part.get("path"), errors),
    }
}

fn csi(at: &At<'_>, errors: &mut Errors) {
    csi_driver_name(&at.get("driver"), errors);
    if let Some(reference) = at.opt("nodePublishSecretRef") {
        errors.needed(&reference.get("name"));
    }
}

/// The name of a CSI driver: a domain of at most 63 characters, in any case.
pub(crate) fn csi_driver_name(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if at.str().len() > 63 {
        errors.0.push(mainstay_api::field::Error::too_long(&at.path, 63));
    }
    errors.each(at, names::is_dns1123_subdomain(&at.str().to_lowercase()));
}

fn ephemeral(at: &At<'_>, errors: &mut Errors) {
    let Some(template) = at.opt("volumeClaimTemplate") else {
        errors.required(&at.get("volumeClaimTemplate"), "");
        return;
    };
    claim_spec(&template.get("spec"), errors);
}

/// The modes of access that there are.
pub(crate) const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// The `spec` of a claim.
pub(crate) fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        errors.required(&modes, "at least 1 access mode is required");
    }
    selectors::label_selector(&spec.get("selector"), errors);
    access_modes(&modes, errors);
    let requests = spec.get("resources").get("requests");
    match requests.opt("storage") {
        None => errors.required(&At::new(requests.value, spec.get("resources").path.key("storage")), ""),
        Some(storage) => positive(&At::new(storage.value, spec.get("resources").path.key("storage")), errors),
    }
    errors.name_if_set(&spec.get("storageClassName"), names::is_dns1123_subdomain);
    if let Some(mode) = spec.opt("volumeMode") {
        errors.one_of_if_set(&mode, &["Block", "Filesystem"]);
    }
    for source in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.opt(source) {
            data_source(&source, errors);
        }
    }
    let (source, reference) = (spec.get("dataSource"), spec.get("dataSourceRef"));
    if !source.is_null() && !reference.is_null() && source.value != reference.value {
        errors.0.push(mainstay_api::field::Error::invalid_text(&spec.path, "{}", "must match dataSourceRef"));
    }
    if spec.opt("volumeAttributesClassName").is_some() {
        errors.name_if_set(&spec.get("volumeAttributesClassName"), names::is_dns1123_subdomain);
    }
}

fn data_source(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("name"));
    errors.needed(&at.get("kind"));
    let kind = at.get("kind").str();
    if at.get("apiGroup").str().is_empty() && !kind.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.0.push(mainstay_api::field::Error::invalid(&at.path, kind, detail));
    }
}

/// Known modes, the exclusive one alone.
pub(crate) fn access_modes(modes: &At<'_>, errors: &mut Errors) {
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.str()) {
            errors.unsupported(&At::new(mode.value, modes.path.clone()), ACCESS_MODES);
        }
    }
    if modes.len() > 1 && modes.strings().any(|mode| mode == "ReadWriteOncePod") {
        errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

/// More than zero.
pub(crate) fn positive(at: &At<'_>, errors: &mut Errors) {
    let quantity = at.quantity();
    if quantity.is_negative() || quantity.is_zero() {
        errors.0.push(mainstay_api::field::Error::invalid(&at.path, quantity.to_string(), "must be greater than zero"));
    }
}
