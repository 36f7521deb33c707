//! Files that change all at once: a new directory is filled, then the link `..data` is turned to it.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Content and permission bits of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub content: Vec<u8>,
    pub mode: u32,
}

/// Files by their path within the volume.
pub(super) type Files = BTreeMap<String, File>;

/// Makes the volume hold exactly these files. Readers see the old ones or the new ones, never a mix.
pub(super) fn write(dir: &Path, files: &Files) -> std::io::Result<()> {
    for path in files.keys() {
        within(path)?;
    }
    std::fs::create_dir_all(dir)?;
    let data = dir.join("..data");
    let old = std::fs::read_link(&data).ok();
    if old.as_ref().is_some_and(|old| same(&dir.join(old), files)) {
        return Ok(());
    }
    let fresh = format!("..{}", uuid::Uuid::new_v4().simple());
    fill(&dir.join(&fresh), files)?;
    let next = dir.join("..data_tmp");
    remove_if_there(&next)?;
    symlink(&fresh, &next)?;
    std::fs::rename(&next, &data)?;
    link_names(dir, files)?;
    if let Some(old) = old {
        std::fs::remove_dir_all(dir.join(old))?;
    }
    Ok(())
}

fn within(path: &str) -> std::io::Result<()> {
    let plain = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    match plain && !path.is_empty() && !path.starts_with("..") {
        true => Ok(()),
        false => Err(std::io::Error::other(format!("invalid path: {path:?} must be relative and not contain '..'"))),
    }
}

fn same(dir: &Path, files: &Files) -> bool {
    let mut count = 0;
    let all = files.iter().all(|(path, file)| {
        count += 1;
        let at = dir.join(path);
        let mode = std::fs::metadata(&at).map(|m| m.permissions().mode() & 0o7777);
        mode.is_ok_and(|m| m == file.mode) && std::fs::read(&at).is_ok_and(|c| c == file.content)
    });
    all && count == count_files(dir)
}

fn count_files(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|e| if e.path().is_dir() { count_files(&e.path()) } else { 1 }).sum()
}

fn fill(dir: &Path, files: &Files) -> std::io::Result<()> {
    std::fs::DirBuilder::new().mode(0o755).create(dir)?;
    for (path, file) in files {
        let at = dir.join(path);
        if let Some(parent) = at.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&at, &file.content)?;
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(file.mode))?;
    }
    Ok(())
}

/// The names that users see are links through `..data`; those of files that are gone go too.
fn link_names(dir: &Path, files: &Files) -> std::io::Result<()> {
    let wanted: std::collections::BTreeSet<_> = files.keys().filter_map(|p| p.split('/').next()).collect();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !wanted.contains(&*name) {
            std::fs::remove_file(dir.join(&*name))?;
        }
    }
    for name in wanted {
        let link = dir.join(name);
        if std::fs::symlink_metadata(&link).is_err() {
            symlink(PathBuf::from("..data").join(name), &link)?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> Files {
        let file = |text: &str| File { content: text.as_bytes().to_vec(), mode: 0o644 };
        all.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    #[test]
    fn an_update_replaces_everything_at_once() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &files(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("sub/b")).unwrap(), "2");
        let before = std::fs::read_link(dir.path().join("..data")).unwrap();
        write(dir.path(), &files(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(std::fs::read_link(dir.path().join("..data")).unwrap(), before, "nothing changed");
        write(dir.path(), &files(&[("a", "3")])).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("a")).unwrap(), "3");
        assert!(!dir.path().join("sub").exists() && !dir.path().join(before).exists());
    }

    #[test]
    fn paths_stay_within_the_volume() {
        let dir = tempfile::tempdir().unwrap();
        assert!(write(dir.path(), &files(&[("../a", "1")])).is_err());
        assert!(write(dir.path(), &files(&[("/a", "1")])).is_err());
    }
}
