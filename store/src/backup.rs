//! A backup: the files of a checkpoint in one file, each with its checksum.
//!
//! Layout: magic; length (4 bytes) and JSON of [`BackupInfo`]; for each file 1, name length (2 bytes), name, size (8
//! bytes), content, crc32c (4 bytes); at the end 0 and the number of files (4 bytes). Numbers are big endian.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::StoreError;
use crate::state::{Checkpoint, sync_dir};
use crate::types::Revision;

const MAGIC: &[u8; 8] = b"MSTBKUP1";
const FILE: u8 = 1;
const END: u8 = 0;
const PIECE: usize = 256 << 10;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BackupInfo {
    /// The revision of its data.
    pub revision: Revision,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: u64,
}

/// A backup on the master's own disk, on its way to a client; the file goes with the last handle.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    size: u64,
    info: BackupInfo,
}

impl BackupFile {
    pub(crate) fn new(path: PathBuf, info: BackupInfo) -> Result<Self, StoreError> {
        let size = std::fs::metadata(&path).map_err(|error| StoreError::io(&path, &error))?.len();
        Ok(Self { path, size, info })
    }

    /// What it holds.
    pub fn info(&self) -> &BackupInfo {
        &self.info
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes from `offset` on, `limit` at the most; none at its end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, offset: u64, limit: usize) -> Result<Vec<u8>, StoreError> {
        use std::os::unix::fs::FileExt as _;
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut piece = vec![0; limit.min(left)];
        let read = File::open(&self.path).and_then(|file| file.read_exact_at(&mut piece, offset));
        read.map_err(|error| StoreError::io(&self.path, &error))?;
        Ok(piece)
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a backup that was sent");
        }
    }
}

/// Reads a whole backup and checks every file of it; changes nothing.
///
/// # Errors
/// [`StoreError::Io`] saying what is wrong with it.
pub fn verify_backup(backup: &Path) -> Result<BackupInfo, StoreError> {
    read_backup(backup, None)
}

/// Writes `checkpoint` to the file `to`, durably and all or nothing.
pub(crate) fn write(checkpoint: &Checkpoint, info: &BackupInfo, to: &Path) -> Result<(), StoreError> {
    let draft = to.with_extension("part");
    let written = write_draft(checkpoint, info, &draft).and_then(|()| {
        std::fs::rename(&draft, to)?;
        sync_dir(to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    });
    written.map_err(|error| {
        if let Err(error) = std::fs::remove_file(&draft) {
            tracing::debug!(%error, "no draft to remove");
        }
        StoreError::io(to, &error)
    })
}

fn write_draft(checkpoint: &Checkpoint, info: &BackupInfo, draft: &Path) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(draft)?);
    let header = serde_json::to_vec(info)?;
    out.write_all(MAGIC)?;
    out.write_all(&length(header.len())?.to_be_bytes())?;
    out.write_all(&header)?;
    let dir = checkpoint.dir().map(Path::to_path_buf).unwrap_or_default();
    let names = checkpoint.files()?;
    for name in &names {
        write_file(&mut out, &dir.join(name), name)?;
    }
    out.write_all(&[END])?;
    out.write_all(&length(names.len())?.to_be_bytes())?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
}

fn write_file(out: &mut impl Write, path: &Path, name: &str) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    out.write_all(&[FILE])?;
    let name_length = u16::try_from(name.len()).map_err(std::io::Error::other)?;
    out.write_all(&name_length.to_be_bytes())?;
    out.write_all(name.as_bytes())?;
    out.write_all(&size.to_be_bytes())?;
    let crc = copy(&mut file, out, size)?;
    out.write_all(&crc.to_be_bytes())
}

fn length(length: usize) -> std::io::Result<u32> {
    u32::try_from(length).map_err(std::io::Error::other)
}

/// Copies exactly `size` bytes; returns their checksum.
fn copy(from: &mut impl Read, to: &mut impl Write, size: u64) -> std::io::Result<u32> {
    let mut piece = vec![0; PIECE];
    let (mut left, mut crc) = (size, 0);
    while left > 0 {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        from.read_exact(&mut piece[..take])?;
        to.write_all(&piece[..take])?;
        crc = crc32c::crc32c_append(crc, &piece[..take]);
        left -= take as u64;
    }
    Ok(crc)
}

/// Unpacks a backup's files into the new directory `dir`, all checked and durable.
pub(crate) fn unpack(backup: &Path, dir: &Path) -> Result<BackupInfo, StoreError> {
    std::fs::create_dir_all(dir).map_err(|error| StoreError::io(dir, &error))?;
    let info = read_backup(backup, Some(dir))?;
    sync_dir(dir).map_err(|error| StoreError::io(dir, &error))?;
    Ok(info)
}

fn read_backup(backup: &Path, into: Option<&Path>) -> Result<BackupInfo, StoreError> {
    let read = File::open(backup).and_then(|file| read_from(&mut BufReader::new(file), into));
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => StoreError::Io(format!("{}: the backup ends early", backup.display())),
        _ => StoreError::io(backup, &error),
    })
}

fn read_from(from: &mut impl Read, into: Option<&Path>) -> std::io::Result<BackupInfo> {
    if &array::<8>(from)? != MAGIC {
        return Err(std::io::Error::other("this is not a backup"));
    }
    let header_length = u32::from_be_bytes(array(from)?);
    let header = bytes(from, header_length as usize)?;
    let info = serde_json::from_slice(&header)?;
    let mut count = 0;
    while array::<1>(from)? == [FILE] {
        read_file(from, into)?;
        count += 1;
    }
    if u32::from_be_bytes(array(from)?) != count {
        return Err(std::io::Error::other("a file of the backup is missing"));
    }
    Ok(info)
}

fn read_file(from: &mut impl Read, into: Option<&Path>) -> std::io::Result<()> {
    let name_length = u16::from_be_bytes(array(from)?);
    let name = String::from_utf8(bytes(from, name_length.into())?).map_err(std::io::Error::other)?;
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(std::io::Error::other(format!("{name:?} is not a file of a backup")));
    }
    let size = u64::from_be_bytes(array(from)?);
    let crc = match into {
        None => copy(from, &mut std::io::sink(), size)?,
        Some(dir) => {
            let mut file = File::create_new(dir.join(&name))?;
            let crc = copy(from, &mut file, size)?;
            file.sync_all()?;
            crc
        }
    };
    if u32::from_be_bytes(array(from)?) != crc {
        return Err(std::io::Error::other(format!("{name} of the backup is damaged")));
    }
    Ok(())
}

fn array<const N: usize>(from: &mut impl Read) -> std::io::Result<[u8; N]> {
    let mut array = [0; N];
    from.read_exact(&mut array)?;
    Ok(array)
}

fn bytes(from: &mut impl Read, length: usize) -> std::io::Result<Vec<u8>> {
    const LONGEST: usize = 1 << 20;
    if length > LONGEST {
        return Err(std::io::Error::other("the backup is damaged"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_damage_is_noticed() {
        let temp = tempfile::tempdir().unwrap();
        let source = temp.path().join("source");
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("1.sst"), vec![7; PIECE + 1]).unwrap();
        std::fs::write(source.join("CURRENT"), b"x").unwrap();
        let info = BackupInfo { revision: Revision(9), made_at_ms: 1 };
        let file = temp.path().join("b");
        write(&Checkpoint::owning(source), &info, &file).unwrap();

        let good = temp.path().join("good");
        assert_eq!(verify_backup(&file).unwrap(), info);
        assert_eq!(unpack(&file, &good).unwrap(), info);
        assert_eq!(std::fs::read(good.join("1.sst")).unwrap(), vec![7; PIECE + 1]);

        let mut bytes = std::fs::read(&file).unwrap();
        let cut = bytes.len() - 3;
        std::fs::write(&file, &bytes[..cut]).unwrap();
        assert!(unpack(&file, &temp.path().join("short")).is_err());
        bytes[1000] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = verify_backup(&file).unwrap_err();
        assert!(error.to_string().contains("1.sst of the backup is damaged"), "{error}");
    }
}
