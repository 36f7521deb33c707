//! The sources of volumes that some other system serves.

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{At, Errors, paths, selectors};

/// What is said of a volume name and a portal that together are too long.
pub(crate) const ISCSI_TOO_LONG: &str = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";

/// The rules of one source beside what it must have.
pub(crate) fn source(name: &str, at: &At<'_>, errors: &mut Errors) {
    match name {
        "gcePersistentDisk" | "awsElasticBlockStore" => partition(&at.get("partition"), errors),
        "iscsi" => iscsi(at, "must be valid format starting with iqn, eui, or naa", errors),
        "fc" => fibre_channel(at, errors),
        "quobyte" => quobyte(at, errors),
        "flocker" => flocker(at, errors),
        "cinder" => secret_name(at, errors),
        "storageos" => storage_os(at, errors),
        "flexVolume" => flex(at, errors),
        "azureDisk" => azure_disk(at, errors),
        _ => {}
    }
}

/// The rules that only a persistent volume's source has: it says in which namespace its secret is.
pub(crate) fn persistent(name: &str, at: &At<'_>, volume: &str, errors: &mut Errors) {
    let secret = at.get("secretRef");
    match name {
        "cinder" | "storageos" if !secret.is_null() => errors.needed(&secret.get("namespace")),
        "azureFile" if at.opt("secretNamespace").is_some() => errors.needed(&at.get("secretNamespace")),
        "glusterfs" => {
            if let Some(namespace) = at.opt("endpointsNamespace") {
                if namespace.str().is_empty() {
                    errors.invalid(&namespace, "if the endpointnamespace is set, it must be a valid namespace name");
                } else {
                    errors.each(&namespace, names::is_dns1123_label(namespace.str()));
                }
            }
        }
        "iscsi" if at.opt("initiatorName").is_some() => {
            let portal = at.get("targetPortal").str();
            if volume.len() + 1 + portal.len() > 64 {
                let path = at.path.child("targetportal");
                errors.0.push(Error::invalid(&path, portal, ISCSI_TOO_LONG));
            }
        }
        "csi" => {
            for field in [
                "controllerPublishSecretRef",
                "controllerExpandSecretRef",
                "nodePublishSecretRef",
                "nodeExpandSecretRef",
            ] {
                if let Some(reference) = at.opt(field) {
                    errors.name(&reference.get("name"), names::is_dns1123_subdomain);
                    errors.name(&reference.get("namespace"), names::is_dns1123_label);
                }
            }
        }
        _ => {}
    }
}

fn partition(at: &At<'_>, errors: &mut Errors) {
    if !(0..=255).contains(&at.int()) {
        errors.invalid(at, "must be between 1 and 255, inclusive");
    }
}

/// An iSCSI disk; `odd` is what is said of a name of no known scheme.
pub(crate) fn iscsi(at: &At<'_>, odd: &str, errors: &mut Errors) {
    errors.needed(&at.get("targetPortal"));
    let name = at.get("iqn");
    if name.str().is_empty() {
        errors.required(&name, "");
    } else {
        initiator(&name, odd, errors);
    }
    errors.in_range(&at.get("lun"), 0, 255);
    let secret = at.get("secretRef");
    if (at.get("chapAuthDiscovery").bool() || at.get("chapAuthSession").bool()) && secret.is_null() {
        errors.required(&secret, "");
    }
    if let Some(name) = at.opt("initiatorName") {
        initiator(&At::new(name.value, at.path.child("initiatorname")), odd, errors);
    }
}

fn initiator(at: &At<'_>, odd: &str, errors: &mut Errors) {
    match at.str().get(..3) {
        Some("iqn" | "eui" | "naa") if names::is_iscsi_name(at.str()) => {}
        Some("iqn" | "eui" | "naa") => errors.invalid(at, "must be valid format"),
        _ => errors.invalid(at, odd),
    }
}

fn fibre_channel(at: &At<'_>, errors: &mut Errors) {
    let (targets, lun) = (at.get("targetWWNs"), at.get("lun"));
    let wwids = !at.get("wwids").is_empty();
    if targets.is_empty() && !wwids {
        errors.required(&targets, "must specify either targetWWNs or wwids, but not both");
    }
    if !targets.is_empty() && wwids {
        errors.invalid(&targets, "targetWWNs and wwids can not be specified simultaneously");
    }
    if targets.is_empty() {
        return;
    }
    if lun.is_null() {
        errors.required(&lun, "lun is required if targetWWNs is specified");
    } else {
        errors.in_range(&lun, 0, 255);
    }
}

fn quobyte(at: &At<'_>, errors: &mut Errors) {
    const SHAPE: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = at.get("registry");
    if registry.str().is_empty() {
        errors.required(&registry, SHAPE);
    } else if at.get("tenant").str().len() >= 65 {
        errors.required(&at.get("tenant"), "must be a UUID and may not exceed a length of 64 characters");
    } else {
        for _ in registry.str().split(',').filter(|pair| !is_host_port(pair)) {
            errors.invalid(&registry, SHAPE);
        }
    }
    errors.needed(&at.get("volume"));
}

/// A host with a port behind the only colon; a host with colons of its own stands in brackets.
fn is_host_port(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else { return false };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    !port.contains(['[', ']']) && !host.contains(['[', ']']) && (inner.is_some() || !host.contains(':'))
}

fn flocker(at: &At<'_>, errors: &mut Errors) {
    let (name, uuid) = (at.get("datasetName"), at.get("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.required(at, "one of datasetName and datasetUUID is required");
    }
    if !name.is_empty() && !uuid.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.0.push(Error::invalid(&at.path, "resource", detail));
    }
    if name.str().contains('/') {
        errors.invalid(&name, "must not contain '/'");
    }
}

fn secret_name(at: &At<'_>, errors: &mut Errors) {
    if let Some(secret) = at.opt("secretRef") {
        errors.needed(&secret.get("name"));
    }
}

fn storage_os(at: &At<'_>, errors: &mut Errors) {
    errors.name(&at.get("volumeName"), names::is_dns1123_label);
    errors.name_if_set(&at.get("volumeNamespace"), names::is_dns1123_label);
    secret_name(at, errors);
}

/// Options of a driver stay out of the names that belong to Kubernetes.
fn flex(at: &At<'_>, errors: &mut Errors) {
    for (key, option) in at.get("options").entries() {
        let domain = key.split_once('/').map_or(key, |(domain, _)| domain).to_lowercase();
        let domain = format!(".{domain}");
        if domain.ends_with(".kubernetes.io") || domain.ends_with(".k8s.io") {
            errors.0.push(Error::invalid(&option.path, key, "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

fn azure_disk(at: &At<'_>, errors: &mut Errors) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let (kind, uri) = (at.get("kind"), at.get("diskURI"));
    errors.one_of_if_set(&at.get("cachingMode"), &["None", "ReadOnly", "ReadWrite"]);
    errors.one_of_if_set(&kind, &["Dedicated", "Managed", "Shared"]);
    match kind.str() {
        _ if kind.is_null() => {}
        "Managed" if !uri.str().starts_with("/subscriptions/") => {
            errors.0.push(Error::not_supported(&uri.path, uri.str(), &[MANAGED]));
        }
        "Managed" => {}
        _ if !uri.str().starts_with("https://") => {
            errors.0.push(Error::not_supported(&uri.path, uri.str(), &[BLOB]));
        }
        _ => {}
    }
}

/// Trusted certificates by the name of their bundle or by their signer.
pub(crate) fn trust_bundle(at: &At<'_>, errors: &mut Errors) {
    let (name, signer) = (at.opt("name"), at.opt("signerName"));
    match (name, signer) {
        (Some(_), Some(_)) => errors.invalid(at, "only one of name and signerName may be used"),
        (Some(name), None) => {
            if name.str().is_empty() {
                errors.required(&name, "must be a valid object name");
            }
            for text in names::is_dns1123_subdomain(&name.str().replace(':', ".")) {
                errors.invalid(&name, format!("not a valid clustertrustbundlename: {text}"));
            }
            if let Some(selector) = at.opt("labelSelector") {
                errors.invalid(&selector, "labelSelector must be unset if name is specified");
            }
        }
        (None, Some(signer)) => {
            if signer.str().is_empty() {
                errors.required(&signer, "must be a valid signer name");
            }
            crate::strategy::signer_name(&signer, errors);
            selectors::label_selector(&at.get("labelSelector"), errors);
        }
        (None, None) => errors.required(at, "either name or signerName must be specified"),
    }
    paths::local_path(&at.get("path"), errors);
}
