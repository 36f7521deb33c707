//! A pod's volumes on the node: files made of API objects, empty directories, paths of the node.

mod atomic;
mod payload;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, HostPathVolumeSource, Pod, Volume};
use mainstay_api::quantity::Quantity;

use crate::sources::Sources;

pub(crate) use payload::{TokenKey, Tokens, token_requests};

/// Where each volume of a pod is on the node, by its name.
pub(crate) type Paths = BTreeMap<String, PathBuf>;

/// Where a pod's things are kept.
pub(crate) fn pod_dir(root: &Path, uid: &str) -> PathBuf {
    root.join("pods").join(uid)
}

/// Makes or refreshes all volumes. The error is Kubernetes' text for the event `FailedMount`.
pub(crate) fn set_up(root: &Path, pod: &Pod, sources: &Sources, tokens: &Tokens) -> Result<Paths, String> {
    let uid = pod.metadata.uid.as_deref().unwrap_or("");
    let spec = pod.spec.as_ref();
    let group = spec.and_then(|s| s.security_context.as_ref()).and_then(|c| c.fs_group);
    let mut paths = Paths::new();
    for volume in spec.and_then(|s| s.volumes.as_ref()).into_iter().flatten() {
        let failed = |why: String| format!("MountVolume.SetUp failed for volume {:?} : {why}", volume.name);
        let dir = pod_dir(root, uid).join("volumes").join(plugin(volume)).join(&volume.name);
        let path = set_up_one(volume, pod, sources, tokens, &dir, group).map_err(failed)?;
        paths.insert(volume.name.clone(), path);
    }
    Ok(paths)
}

/// Where the volumes of a pod are, if all were made before.
pub(crate) fn existing(root: &Path, pod: &Pod) -> Option<Paths> {
    let uid = pod.metadata.uid.as_deref().unwrap_or("");
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let found = volumes.map(|volume| {
        let path = match &volume.host_path {
            Some(source) => PathBuf::from(&source.path),
            None => pod_dir(root, uid).join("volumes").join(plugin(volume)).join(&volume.name),
        };
        path.exists().then(|| (volume.name.clone(), path))
    });
    found.collect()
}

/// Kubernetes' names of the directories.
fn plugin(volume: &Volume) -> &'static str {
    match volume {
        Volume { config_map: Some(_), .. } => "kubernetes.io~configmap",
        Volume { secret: Some(_), .. } => "kubernetes.io~secret",
        Volume { projected: Some(_), .. } => "kubernetes.io~projected",
        Volume { downward_api: Some(_), .. } => "kubernetes.io~downward-api",
        _ => "kubernetes.io~empty-dir",
    }
}

fn set_up_one(
    volume: &Volume,
    pod: &Pod,
    sources: &Sources,
    tokens: &Tokens,
    dir: &Path,
    group: Option<i64>,
) -> Result<PathBuf, String> {
    if let Some(source) = &volume.host_path {
        return host_path(source);
    }
    let made = match &volume.empty_dir {
        Some(source) => empty_dir(source, dir),
        None => {
            let files = payload::files(volume, pod, sources, tokens)?;
            atomic::write(dir, &files)
        }
    };
    made.and_then(|()| group.map_or(Ok(()), |group| own_by_group(dir, group))).map_err(|error| error.to_string())?;
    Ok(dir.to_owned())
}

fn empty_dir(source: &EmptyDirVolumeSource, dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(dir)?;
    if source.medium.as_deref() == Some("Memory") {
        let size = source.size_limit.as_ref().and_then(|q| Quantity::parse(&q.0).ok());
        let options = size.map(|q| format!("size={}", q.value()));
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), dir, Some("tmpfs"), flags, options.as_deref())?;
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777))
}

fn own_by_group(dir: &Path, group: i64) -> std::io::Result<()> {
    let gid = u32::try_from(group).map_err(|_| std::io::Error::other("fsGroup is out of range"))?;
    std::os::unix::fs::chown(dir, None, Some(gid))?;
    let mode = std::fs::metadata(dir)?.permissions().mode() | 0o2770;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode))
}

fn host_path(source: &HostPathVolumeSource) -> Result<PathBuf, String> {
    use std::os::unix::fs::FileTypeExt;
    let path = PathBuf::from(&source.path);
    let kind = source.type_.as_deref().unwrap_or("");
    let found = std::fs::metadata(&path).ok().map(|m| m.file_type());
    let check = |word: &str, holds: bool| match holds {
        true => Ok(()),
        false => Err(format!("hostPath type check failed: {} is not a {word}", source.path)),
    };
    match kind {
        "DirectoryOrCreate" if found.is_none() => std::fs::create_dir_all(&path).map_err(|e| e.to_string())?,
        "FileOrCreate" if found.is_none() => std::fs::write(&path, "").map_err(|e| e.to_string())?,
        "Directory" | "DirectoryOrCreate" => check("directory", found.is_some_and(|t| t.is_dir()))?,
        "File" | "FileOrCreate" => check("file", found.is_some_and(|t| t.is_file()))?,
        "Socket" => check("socket", found.is_some_and(|t| t.is_socket()))?,
        "CharDevice" => check("character device", found.is_some_and(|t| t.is_char_device()))?,
        "BlockDevice" => check("block device", found.is_some_and(|t| t.is_block_device()))?,
        _ => {}
    }
    Ok(path)
}

/// Removes everything that was made for a pod.
pub(crate) fn tear_down(root: &Path, uid: &str) -> std::io::Result<()> {
    let dir = pod_dir(root, uid);
    let volumes = std::fs::read_dir(dir.join("volumes/kubernetes.io~empty-dir"));
    for volume in volumes.into_iter().flatten().flatten() {
        // Not a mount point, in most cases: then there is nothing to undo.
        if let Err(error) = nix::mount::umount2(&volume.path(), nix::mount::MntFlags::MNT_DETACH) {
            tracing::trace!(%error, path = ?volume.path(), "not unmounted");
        }
    }
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
