//! The log's file, set aside when it is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::LogConfig;

/// How the time is told in the names of files set aside; it sorts as text.
const STAMP: &str = "%Y-%m-%dT%H-%M-%S%.3f";

pub(super) struct LogFile {
    config: LogConfig,
    /// `None` is standard output.
    file: Option<File>,
    size: u64,
}

impl LogFile {
    pub(super) fn open(config: LogConfig) -> io::Result<Self> {
        if config.path == Path::new("-") {
            return Ok(Self { config, file: None, size: 0 });
        }
        if let Some(parent) = config.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent)?;
        }
        let file = append(&config.path)?;
        let size = file.metadata()?.len();
        Ok(Self { config, file: Some(file), size })
    }

    /// Appends whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let mut out = io::stdout().lock();
            return out.write_all(lines).and_then(|()| out.flush());
        }
        if self.size > 0 && self.size + lines.len() as u64 > self.config.max_bytes {
            self.set_aside(Timestamp::now())?;
        }
        if let Some(file) = &mut self.file {
            file.write_all(lines)?;
            self.size += lines.len() as u64;
        }
        Ok(())
    }

    fn set_aside(&mut self, now: Timestamp) -> io::Result<()> {
        let (stem, end) = parts(&self.config.path);
        let aside = self.config.path.with_file_name(format!("{stem}-{}{end}", now.strftime(STAMP)));
        std::fs::rename(&self.config.path, aside)?;
        self.file = Some(append(&self.config.path)?);
        self.size = 0;
        self.remove_old(now)
    }

    /// Removes files set aside that are too many or too old.
    fn remove_old(&self, now: Timestamp) -> io::Result<()> {
        let aside = self.aside()?;
        let days = i64::from(self.config.max_age_days);
        let oldest = now - jiff::SignedDuration::from_hours(24 * days);
        let (stem, end) = parts(&self.config.path);
        let oldest = format!("{stem}-{}{end}", oldest.strftime(STAMP));
        let too_many =
            if self.config.max_backups == 0 { 0 } else { aside.len().saturating_sub(self.config.max_backups) };
        for (index, path) in aside.iter().enumerate() {
            let name = path.file_name().unwrap_or_default();
            if index < too_many || days > 0 && *name < *oldest {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The files set aside, the oldest first.
    fn aside(&self) -> io::Result<Vec<PathBuf>> {
        let (stem, end) = parts(&self.config.path);
        let folder = self.config.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let stamp_length = Timestamp::UNIX_EPOCH.strftime(STAMP).to_string().len();
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stamp = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&end));
            if stamp.is_some_and(|stamp| stamp.len() == stamp_length) {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The file's name up to its last dot, and the rest.
fn parts(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = path.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
    (stem, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(path: PathBuf, max_backups: usize, max_age_days: u32) -> LogFile {
        LogFile::open(LogConfig { path, max_bytes: 10, max_backups, max_age_days }).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_file_is_set_aside_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("below/audit.log");
        let mut file = log(path.clone(), 2, 0);
        for second in 0..5 {
            file.write(b"12345678\n").unwrap();
            file.set_aside(Timestamp::from_second(second).unwrap()).unwrap();
        }
        file.write(b"last\n").unwrap();
        let expected = ["audit-1970-01-01T00-00-03.000.log", "audit-1970-01-01T00-00-04.000.log", "audit.log"];
        assert_eq!(names(path.parent().unwrap()), expected);
        assert_eq!(std::fs::read(&path).unwrap(), b"last\n");
    }

    #[test]
    fn a_file_is_never_over_its_limit_and_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        log(path.clone(), 0, 0).write(b"123456\n").unwrap();
        log(path.clone(), 0, 0).write(b"abcdef\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcdef\n");
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn old_files_go_by_their_age() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(folder.path().join("audit-of-last-year.log"), "not ours").unwrap();
        let mut file = log(path, 0, 1);
        for hours in [0, 20, 30] {
            file.set_aside(Timestamp::from_second(hours * 3600).unwrap()).unwrap();
        }
        let left = names(folder.path());
        assert_eq!(left.len(), 4, "{left:?}");
        assert!(!left.contains(&"audit-1970-01-01T00-00-00.000.log".to_owned()));
    }
}
