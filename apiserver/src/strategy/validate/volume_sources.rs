//! The sources of volumes, of pods and of persistent volumes.

use std::collections::HashSet;

use mainstay_api::field::{Error, Path};
use mainstay_api::{meta, names};

use super::{At, Errors, env, network_volumes, paths, selectors};

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
    "flexVolume",
    "configMap",
    "azureFile",
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

/// How errors call a source that may not be there beside another.
pub(crate) fn refused_as(name: &str) -> &str {
    match name {
        "cephfs" => "cephFS",
        // So it is written in Kubernetes.
        "downwardAPI" => "downwarAPI",
        name => name,
    }
}

/// The rules of one source, of a pod's volume or of a persistent volume.
pub(crate) fn source(name: &str, at: &At<'_>, errors: &mut Errors) {
    let needed = NEEDED.iter().find(|(source, _)| *source == name).map_or(&[][..], |(_, fields)| fields);
    let renamed = match name {
        "gcePersistentDisk" => At::new(at.value, Path::new(&at.path.to_string().replace(name, "persistentDisk"))),
        _ => at.clone(),
    };
    needed.iter().for_each(|field| errors.needed(&renamed.get(field)));
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
        // Who owns the volume decides.
        "image" => {}
        "gitRepo" => paths::descending_path(&at.get("directory"), errors),
        _ => network_volumes::source(name, &renamed, errors),
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
    let path = at.get("path");
    if path.str().is_empty() {
        errors.required(&path, "");
        return;
    }
    paths::no_backsteps(&path, errors);
    errors.one_of_if_set(&at.get("type"), TYPES);
}

/// A network file system's server and path.
pub(crate) fn nfs(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("server"));
    let path = at.get("path");
    errors.needed(&path);
    if !path.str().starts_with('/') {
        errors.each(&path, vec!["must be an absolute path".to_owned()]);
    }
}

fn keyed(at: &At<'_>, name: &str, errors: &mut Errors) {
    errors.needed(&at.get(name));
    paths::file_mode(&at.get("defaultMode"), errors);
    items(at, errors);
}

fn items(at: &At<'_>, errors: &mut Errors) {
    for item in at.get("items").items() {
        errors.needed(&item.get("key"));
        paths::local_path(&item.get("path"), errors);
        paths::file_mode(&item.get("mode"), errors);
    }
}

fn downward(at: &At<'_>, errors: &mut Errors) {
    paths::file_mode(&at.get("defaultMode"), errors);
    at.get("items").items().for_each(|file| env::downward_file(&file, at, errors));
}

fn projected(at: &At<'_>, errors: &mut Errors) {
    const KINDS: &[&str] =
        &["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"];
    paths::file_mode(&at.get("defaultMode"), errors);
    let mut paths = HashSet::new();
    for source in at.get("sources").items() {
        let present = source.present(KINDS);
        for kind in &present {
            projected_source(kind, &source.get(kind), at, &mut paths, errors);
        }
        if present.len() > 1 {
            errors.forbidden(&source, "may not specify more than 1 volume type per source");
        }
    }
}

fn projected_source<'a>(kind: &str, part: &At<'a>, volume: &At<'_>, paths: &mut HashSet<&'a str>, errors: &mut Errors) {
    let taken = |shown: &str, errors: &mut Errors| {
        errors.0.push(Error::invalid(&volume.path, shown, "conflicting duplicate paths"));
    };
    match kind {
        "secret" | "configMap" => {
            errors.needed(&part.get("name"));
            items(part, errors);
            let files = part.get("items");
            for path in files.items().map(|item| item.get("path").str()).filter(|path| !path.is_empty()) {
                if !paths.insert(path) {
                    taken(part.get("name").str(), errors);
                }
            }
        }
        "downwardAPI" => {
            for file in part.get("items").items() {
                env::downward_file(&file, part, errors);
                let path = file.get("path").str();
                if !path.is_empty() && !paths.insert(path) {
                    taken(path, errors);
                }
            }
        }
        "serviceAccountToken" => token(part, volume, errors),
        "clusterTrustBundle" => {
            network_volumes::trust_bundle(part, errors);
            let path = part.get("path").str();
            if !paths.insert(path) {
                taken(path, errors);
            }
        }
        _ => paths::local_path(&part.get("path"), errors),
    }
}

fn token(part: &At<'_>, volume: &At<'_>, errors: &mut Errors) {
    let seconds = part.get("expirationSeconds");
    if seconds.int() < 600 {
        errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
    } else if seconds.int() > 1 << 32 {
        errors.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
    }
    // The path is called after the volume, not after the source.
    paths::local_path(&At::new(part.get("path").value, volume.path.child("path")), errors);
}

fn csi(at: &At<'_>, errors: &mut Errors) {
    csi_driver_name(&at.get("driver"), errors);
    if let Some(reference) = at.opt("nodePublishSecretRef") {
        let name = reference.get("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else {
            errors.each(&At::new(name.value, at.path.child("name")), names::is_dns1123_subdomain(name.str()));
        }
    }
}

/// The name of a CSI driver: a domain of at most 63 characters, in any case.
pub(crate) fn csi_driver_name(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if at.str().len() > 63 {
        errors.0.push(Error::too_long(&at.path, 63));
    }
    errors.each(at, names::is_dns1123_subdomain(&at.str().to_lowercase()));
}

fn ephemeral(at: &At<'_>, errors: &mut Errors) {
    let Some(template) = at.opt("volumeClaimTemplate") else {
        errors.required(&at.get("volumeClaimTemplate"), "");
        return;
    };
    template_metadata(&template.get("metadata"), errors);
    claim_spec(&template.get("spec"), errors);
}

/// What a template cannot say of the metadata, spelled as errors about it are.
const NOT_IN_TEMPLATES: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uID",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
    "finalizers",
    "managedFields",
];

/// The metadata of what is made from a template: labels and annotations alone.
pub(crate) fn template_metadata(at: &At<'_>, errors: &mut Errors) {
    let (labels, annotations) = (at.get("labels"), at.get("annotations"));
    errors.extend(meta::validate_annotations(annotations.value.as_object(), &annotations.path));
    selectors::labels(&labels, errors);
    for &field in NOT_IN_TEMPLATES {
        let said = at.get(if field == "uID" { "uid" } else { field });
        if !said.is_empty() && (field != "generation" || said.int() != 0) {
            errors.forbidden(&At::new(said.value, at.path.child(field)), "cannot be set");
        }
    }
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
    two_sources(spec, errors);
    if spec.opt("volumeAttributesClassName").is_some() {
        errors.name_if_set(&spec.get("volumeAttributesClassName"), names::is_dns1123_subdomain);
    }
}

/// Both ways to name what a claim is made from name the same, in its own namespace.
fn two_sources(spec: &At<'_>, errors: &mut Errors) {
    let (Some(source), Some(reference)) = (spec.opt("dataSource"), spec.opt("dataSourceRef")) else { return };
    let differ = |field: &str| source.get(field).value != reference.get(field).value;
    let why = if !reference.get("namespace").is_empty() {
        "may not be specified when dataSourceRef.namespace is specified"
    } else if ["apiGroup", "kind", "name"].into_iter().any(differ) {
        "must match dataSourceRef"
    } else {
        return;
    };
    errors.0.push(Error::invalid_text(&spec.path, "{}", why));
}

fn data_source(at: &At<'_>, errors: &mut Errors) {
    errors.needed(&at.get("name"));
    errors.needed(&at.get("kind"));
    let (group, kind) = (at.get("apiGroup"), at.get("kind").str());
    if group.str().is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.0.push(Error::invalid(&at.path, kind, detail));
    }
    errors.name_if_set(&group, names::is_dns1123_subdomain);
    errors.name_if_set(&at.get("namespace"), names::is_dns1123_label);
}

/// Known modes, the exclusive one alone.
pub(crate) fn access_modes(modes: &At<'_>, errors: &mut Errors) {
    for mode in modes.items() {
        if !ACCESS_MODES.contains(&mode.str()) {
            errors.unsupported(&At::new(mode.value, modes.path.clone()), ACCESS_MODES);
        }
    }
    let others = modes.strings().any(|mode| mode != "ReadWriteOncePod" && ACCESS_MODES.contains(&mode));
    if others && modes.strings().any(|mode| mode == "ReadWriteOncePod") {
        errors.forbidden(modes, "may not use ReadWriteOncePod with other access modes");
    }
}

/// More than zero.
pub(crate) fn positive(at: &At<'_>, errors: &mut Errors) {
    let quantity = at.quantity();
    if quantity.is_negative() || quantity.is_zero() {
        errors.0.push(Error::invalid(&at.path, quantity.to_string(), "must be greater than zero"));
    }
}
