//! What is mounted into a container: its volumes, `/etc/hosts` and the file for its last words.

use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, Pod, VolumeMount};
use mainstay_proto::cri as wire;

use super::env;
use crate::config::AgentConfig;
use crate::identity::identity;
use crate::volumes::{Paths, pod_dir};

/// The mounts, or why they cannot be.
pub(super) fn mounts(
    config: &AgentConfig,
    pod: &Pod,
    container: &Container,
    attempt: u32,
    paths: &Paths,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<wire::Mount>, String> {
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = paths.get(&mount.name).ok_or_else(|| {
            format!("cannot find volume {:?} to mount into container {:?}", mount.name, container.name)
        })?;
        mounts.push(volume_mount(mount, volume, lookup)?);
    }
    let own = pod_dir(&config.root_dir, identity(pod).uid);
    let taken = |path: &str| container.volume_mounts.iter().flatten().any(|m| m.mount_path == path);
    if pod.spec.as_ref().and_then(|s| s.host_network) != Some(true) && !taken("/etc/hosts") {
        mounts.push(plain("/etc/hosts", own.join("etc-hosts")));
    }
    let log = termination_log(config, pod, container, attempt);
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&log, "")).map_err(|e| e.to_string())?;
    }
    mounts.push(plain(termination_path(container), log));
    Ok(mounts)
}

fn termination_path(container: &Container) -> &str {
    container.termination_message_path.as_deref().filter(|p| !p.is_empty()).unwrap_or("/dev/termination-log")
}

/// Where a run of a container leaves its last words on the node.
pub(crate) fn termination_log(config: &AgentConfig, pod: &Pod, container: &Container, attempt: u32) -> PathBuf {
    let dir = pod_dir(&config.root_dir, identity(pod).uid);
    dir.join("containers").join(&container.name).join(format!("{attempt}.message"))
}

fn plain(inside: &str, path: PathBuf) -> wire::Mount {
    wire::Mount {
        container_path: inside.to_owned(),
        host_path: path.to_string_lossy().into_owned(),
        ..Default::default()
    }
}

fn volume_mount(
    mount: &VolumeMount,
    volume: &Path,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<wire::Mount, String> {
    let sub_path = match &mount.sub_path_expr {
        Some(text) => env::expand(text, lookup),
        None => mount.sub_path.clone().unwrap_or_default(),
    };
    let host = within(volume, &sub_path)?;
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => wire::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => wire::MountPropagation::PropagationBidirectional,
        _ => wire::MountPropagation::PropagationPrivate,
    };
    Ok(wire::Mount {
        container_path: mount.mount_path.clone(),
        host_path: host.to_string_lossy().into_owned(),
        readonly: mount.read_only == Some(true),
        propagation: propagation.into(),
        ..Default::default()
    })
}

/// A path below the volume, made if it is missing; links may not lead out of it.
fn within(volume: &Path, sub_path: &str) -> Result<PathBuf, String> {
    if sub_path.is_empty() {
        return Ok(volume.to_owned());
    }
    if !Path::new(sub_path).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("failed to prepare subPath: {sub_path:?} must be a relative path without '..'"));
    }
    let failed = |error: std::io::Error| format!("failed to create subPath directory: {error}");
    let path = volume.join(sub_path);
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(failed)?;
    }
    let real = path.canonicalize().map_err(failed)?;
    match real.starts_with(volume.canonicalize().map_err(failed)?) {
        true => Ok(real),
        false => Err(format!("failed to prepare subPath: {sub_path:?} leads out of the volume")),
    }
}

/// Writes the pod's `/etc/hosts`.
pub(crate) fn write_hosts(config: &AgentConfig, pod: &Pod, ips: &[String]) -> std::io::Result<()> {
    let dir = pod_dir(&config.root_dir, identity(pod).uid);
    std::fs::create_dir_all(&dir)?;
    let spec = pod.spec.clone().unwrap_or_default();
    let name = spec.hostname.clone().unwrap_or_else(|| identity(pod).name.to_owned());
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n",
    );
    for ip in ips {
        text += &match &spec.subdomain {
            Some(sub) => {
                let full = format!("{name}.{sub}.{}.svc.{}", identity(pod).namespace, config.cluster_domain);
                format!("{ip}\t{full}\t{name}\n")
            }
            None => format!("{ip}\t{name}\n"),
        };
    }
    for alias in spec.host_aliases.iter().flatten() {
        text += &format!("{}\t{}\n", alias.ip, alias.hostnames.clone().unwrap_or_default().join("\t"));
    }
    std::fs::write(dir.join("etc-hosts"), text)
}
