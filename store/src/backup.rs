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
    let unpacked = File::open(backup).and_then(|file| unpack_from(&mut BufReader::new(file), dir));
    unpacked.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => StoreError::Io(format!("{}: the backup ends early", backup.display())),
        _ => StoreError::io(backup, &error),
    })
}

fn unpack_from(from: &mut impl Read, dir: &Path) -> std::io::Result<BackupInfo> {
    if &array::<8>(from)? != MAGIC {
        return Err(std::io::Error::other("this is not a backup"));
    }
    let header_length = u32::from_be_bytes(array(from)?);
    let header = bytes(from, header_length as usize)?;
    let info = serde_json::from_slice(&header)?;
    std::fs::create_dir_all(dir)?;
    let mut count = 0;
    while array::<1>(from)? == [FILE] {
        unpack_file(from, dir)?;
        count += 1;
    }
    if u32::from_be_bytes(array(from)?) != count {
        return Err(std::io::Error::other("a file of the backup is missing"));
    }
    sync_dir(dir)?;
    Ok(info)
}

fn unpack_file(from: &mut impl Read, dir: &Path) -> std::io::Result<()> {
    let name_length = u16::from_be_bytes(array(from)?);
    let name = String::from_utf8(bytes(from, name_length.into())?).map_err(std::io::Error::other)?;
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(std::io::Error::other(format!("{name:?} is not a file of a backup")));
    }
    let size = u64::from_be_bytes(array(from)?);
    let path: PathBuf = dir.join(&name);
    let mut file = File::create_new(path)?;
    let crc = copy(from, &mut file, size)?;
    file.sync_all()?;
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
        assert_eq!(unpack(&file, &good).unwrap(), info);
        assert_eq!(std::fs::read(good.join("1.sst")).unwrap(), vec![7; PIECE + 1]);

        let mut bytes = std::fs::read(&file).unwrap();
        let cut = bytes.len() - 3;
        std::fs::write(&file, &bytes[..cut]).unwrap();
        assert!(unpack(&file, &temp.path().join("short")).is_err());
        bytes[1000] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let error = unpack(&file, &temp.path().join("bad")).unwrap_err();
        assert!(error.to_string().contains("1.sst of the backup is damaged"), "{error}");
    }
}
