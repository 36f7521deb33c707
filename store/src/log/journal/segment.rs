//! Files of the journal: of one size, numbered, written with zeros before they are used. Writing into such a file changes
//! nothing but its content, so that there is no new length to put on disk with each write. Writes go past the page cache and
//! are on disk when they return, where the file system can do that: together this takes half the time of a write behind the
//! end and `fdatasync` (three processes at once on one ext4, p50: 400 instead of 720 µs).

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::state::sync_dir;

/// How names of segments end.
pub(super) const ENDING: &str = "segment";
/// Of a file that is being made.
const DRAFT: &str = "draft";

/// An open file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// For reading, and for what cannot go past the page cache.
    file: File,
    through: File,
}

impl Segment {
    /// Opens one that exists.
    pub(super) fn open(path: &Path, number: u64) -> std::io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { number, path: path.to_path_buf(), file, through: through(path)? })
    }

    /// Makes a new one of `bytes` bytes in `dir`.
    pub(super) fn create(dir: &Path, number: u64, bytes: usize) -> std::io::Result<Self> {
        let draft = dir.join(number.to_string()).with_extension(DRAFT);
        let path = place(dir, number);
        if let Err(error) = fill(&draft, bytes).and_then(|()| std::fs::rename(&draft, &path)) {
            // Where space ran out, what it was used for is missed.
            std::fs::remove_file(&draft).ok();
            return Err(error);
        }
        sync_dir(dir)?;
        Self::open(&path, number)
    }

    /// Gives it another number; what it holds counts no more.
    pub(super) fn renumbered(self, dir: &Path, number: u64, bytes: usize) -> std::io::Result<Self> {
        let path = place(dir, number);
        if let Err(error) = std::fs::rename(&self.path, &path) {
            // Younger ones go after it: left here, it would be found with a gap behind it.
            self.remove();
            return Err(error);
        }
        sync_dir(dir)?;
        let segment = Self { number, path, ..self };
        segment.resize(bytes as u64)?;
        Ok(segment)
    }

    /// An entry larger than a segment had made it longer. Only with a new name it may lose that: with the old one a start
    /// after a crash would read it, and miss what was cut off.
    fn resize(&self, bytes: u64) -> std::io::Result<()> {
        if self.file.metadata()?.len() == bytes {
            return Ok(());
        }
        self.file.set_len(bytes)?;
        self.file.sync_all()
    }

    /// Has on disk what a process wrote that was killed before it synced, and forgets what only the page cache has: after
    /// a failed write it may hold more than the disk.
    pub(super) fn settle(&self) -> std::io::Result<()> {
        self.file.sync_data()?;
        forget_cached(&self.file);
        Ok(())
    }

    /// Writes and has it on disk. All of place, length and address in memory are multiples of a block.
    pub(super) fn write_through(&self, bytes: &[u8], at: usize) -> std::io::Result<()> {
        match self.through.write_all_at(bytes, at as u64) {
            // Some file systems say only now that they cannot do without their page cache, or in other blocks.
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.file.write_all_at(bytes, at as u64)?;
                self.file.sync_data()
            }
            written => written,
        }
    }

    pub(super) fn read(&self, at: usize, length: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at as u64)?;
        Ok(bytes)
    }

    /// Removes the file.
    pub(super) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "cannot remove a part of the log that is not needed");
        }
    }
}

/// Makes a file of zeros.
fn fill(path: &Path, bytes: usize) -> std::io::Result<()> {
    const PIECE: usize = 256 << 10;
    let mut file = File::create(path)?;
    let zeros = vec![0; PIECE.min(bytes)];
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(PIECE);
        file.write_all(&zeros[..piece])?;
        left -= piece;
    }
    file.sync_all()?;
    // Nobody reads the zeros; writes that go past the page cache would have to remove them from it first.
    forget_cached(&file);
    Ok(())
}

/// Drops what the page cache has of a file that is on disk; where that cannot be done, nothing is lost.
fn forget_cached(file: &File) {
    if let Err(error) = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED) {
        tracing::debug!(%error, "the page cache keeps a part of the log");
    }
}

/// Opens a file for writes that are on disk when they return.
fn through(path: &Path) -> std::io::Result<File> {
    let open = |flags: OFlag| OpenOptions::new().write(true).custom_flags(flags.bits()).open(path);
    // Not every file system can do without its page cache.
    open(OFlag::O_DIRECT | OFlag::O_DSYNC).or_else(|_| open(OFlag::O_DSYNC))
}

/// Where the segment with this number is.
pub(super) fn place(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.{ENDING}"))
}

/// The numbers of all segments in `dir`, in order; removes those that were never finished.
pub(super) fn numbers(dir: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == DRAFT) {
            std::fs::remove_file(&path)?;
        }
        if path.extension().is_some_and(|ending| ending == ENDING) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            numbers.extend(u64::from_str_radix(&stem, 16).ok());
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_cannot_go_past_the_page_cache_goes_through_it() {
        let temp = tempfile::tempdir().unwrap();
        let segment = Segment::create(temp.path(), 1, 8192).unwrap();
        segment.write_through(&[7; 100], 50).unwrap();
        segment.settle().unwrap();
        assert_eq!(segment.read(49, 102).unwrap(), [&[0u8][..], &[7; 100], &[0]].concat());
    }

    #[test]
    fn what_cannot_be_made_leaves_nothing_behind() {
        let temp = tempfile::tempdir().unwrap();
        let used = Segment::create(temp.path(), 1, 4096).unwrap();
        // No file can take this name.
        std::fs::create_dir(place(temp.path(), 9)).unwrap();
        assert!(used.renumbered(temp.path(), 9, 4096).is_err());
        assert!(Segment::create(temp.path(), 9, 4096).is_err());
        let left: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [place(temp.path(), 9)]);
    }
}
