//! Downloading a backup: each piece is checked as it comes, a download that breaks off goes on where it was, and the
//! whole is checked before it gets its name.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use mainstay_proto::v1::{BackupChunk, BackupRequest};

use super::{Client, connected, megabytes, said};
use crate::connect::Connection;
use crate::verbs::print;

/// Breaks in a row after which nothing comes any more.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);

/// How far a download has come.
#[derive(Debug, Default)]
struct Progress {
    id: String,
    written: u64,
    total: u64,
    revision: u64,
}

/// How a stream of chunks ended.
enum Ended {
    Complete,
    /// Goes on at the same place.
    Broken(tonic::Status),
}

/// Writes a backup to `file`, which is replaced only by a complete one.
pub(super) async fn download(connection: &Connection, file: &Path) -> Result<()> {
    let beside = file.with_extension("partial");
    let progress = fetch(connection, &beside).await;
    let checked = progress.and_then(|progress| {
        mainstay_store::verify_backup(&beside).map_err(|error| anyhow!("{error}; try again"))?;
        std::fs::rename(&beside, file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(progress)
    });
    match checked {
        Ok(Progress { revision, total, .. }) => {
            print::line(&format!("revision {revision} in {} ({})", file.display(), megabytes(total)))
        }
        Err(error) => {
            if let Err(error) = std::fs::remove_file(&beside) {
                tracing::debug!(%error, "no partial file to remove");
            }
            Err(error)
        }
    }
}

async fn fetch(connection: &Connection, to: &Path) -> Result<Progress> {
    let mut out = File::create(to).with_context(|| format!("cannot write {}", to.display()))?;
    let mut client = connected(connection)?;
    let mut progress = Progress::default();
    let mut tries = 0;
    loop {
        let before = progress.written;
        match receive(&mut client, &mut progress, &mut out).await.with_context(|| to.display().to_string())? {
            Ended::Complete => {
                out.sync_all().with_context(|| format!("cannot write {}", to.display()))?;
                return Ok(progress);
            }
            Ended::Broken(status) => {
                tries = if progress.written > before { 1 } else { tries + 1 };
                if tries >= TRIES || final_refusal(&status) {
                    return Err(said(status));
                }
                // Another master does not have it: from the beginning.
                if status.code() == tonic::Code::NotFound {
                    progress = Progress::default();
                    out.set_len(0)?;
                    out.seek(SeekFrom::Start(0))?;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn final_refusal(status: &tonic::Status) -> bool {
    use tonic::Code;
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument)
}

async fn receive(client: &mut Client, progress: &mut Progress, out: &mut File) -> Result<Ended> {
    let request = BackupRequest { id: progress.id.clone(), offset: progress.written };
    let mut stream = match client.backup(request).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Ok(Ended::Broken(status)),
    };
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => progress.add(chunk, out)?,
            Ok(None) if progress.complete() => return Ok(Ended::Complete),
            Ok(None) => return Ok(Ended::Broken(tonic::Status::unavailable("the backup broke off"))),
            Err(status) => return Ok(Ended::Broken(status)),
        }
    }
}

impl Progress {
    fn complete(&self) -> bool {
        self.total > 0 && self.written == self.total
    }

    fn add(&mut self, chunk: BackupChunk, out: &mut impl Write) -> Result<()> {
        if chunk.offset != self.written {
            bail!("the backup has a gap at byte {}; try again", self.written);
        }
        if crc32c::crc32c(&chunk.data) != chunk.crc32c {
            bail!("the backup was damaged on its way at byte {}; try again", self.written);
        }
        out.write_all(&chunk.data).context("cannot write")?;
        self.written += chunk.data.len() as u64;
        (self.id, self.total, self.revision) = (chunk.id, chunk.total, chunk.revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: u64, data: &'static [u8]) -> BackupChunk {
        BackupChunk { offset, data: data.into(), crc32c: crc32c::crc32c(data), total: 5, ..BackupChunk::default() }
    }

    #[test]
    fn pieces_must_be_whole_and_in_order() {
        let mut out = Vec::new();
        let mut progress = Progress::default();
        progress.add(chunk(0, b"abc"), &mut out).unwrap();
        assert!(progress.add(chunk(4, b"e"), &mut out).unwrap_err().to_string().contains("gap at byte 3"));
        let damaged = BackupChunk { crc32c: 1, ..chunk(3, b"de") };
        assert!(progress.add(damaged, &mut out).unwrap_err().to_string().contains("damaged on its way"));
        assert!(!progress.complete());
        progress.add(chunk(3, b"de"), &mut out).unwrap();
        assert!(progress.complete());
        assert_eq!(out, b"abcde");
    }
}
