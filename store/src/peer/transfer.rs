//! A snapshot on its way: the files of a checkpoint in pieces, with checksums of what must have arrived.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use mainstay_proto::raft as pb;
use tokio::sync::mpsc;

use crate::raft_types::{SnapshotMeta, Vote};
use crate::state::{Checkpoint, Dirs, Snapshot};
use crate::thread::blocking;
use crate::wire::{self, Malformed};

/// Bytes in a piece.
const PIECE: usize = 256 << 10;
/// Pieces read ahead.
const AHEAD: usize = 8;

/// The messages that carry `snapshot`. A read error ends them early, which the receiver notices.
pub(super) fn send(target: u64, vote: &Vote, snapshot: Snapshot) -> impl Stream<Item = pb::SnapshotPart> + use<> {
    let (parts, queue) = mpsc::channel(AHEAD);
    let ballot = wire::vote_to_pb(vote);
    // Ends with the stream.
    tokio::spawn(async move {
        if let Err(error) = read_all(target, ballot, snapshot, &parts).await {
            tracing::warn!(%error, target, "cannot send the snapshot");
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(queue)
}

async fn read_all(
    target: u64,
    ballot: pb::Ballot,
    snapshot: Snapshot,
    parts: &mpsc::Sender<pb::SnapshotPart>,
) -> std::io::Result<()> {
    use pb::snapshot_part::Part;
    let push = async |part: Part| {
        let gone = |_| std::io::Error::other("the receiver is gone");
        parts.send(pb::SnapshotPart { part: Some(part) }).await.map_err(gone)
    };
    let meta = serde_json::to_vec(&snapshot.meta)?.into();
    push(Part::Head(pb::SnapshotHead { target, vote: Some(ballot), meta })).await?;
    let mut pieces = Pieces::of(snapshot.snapshot)?;
    // A piece at a time: no thread is held while the network takes its time.
    loop {
        let (rest, piece) = blocking(move || {
            let piece = pieces.next();
            (pieces, piece)
        })
        .await?;
        pieces = rest;
        match piece? {
            Some(chunk) => push(Part::Chunk(chunk)).await?,
            None => break,
        }
    }
    push(Part::Manifest(pb::SnapshotManifest { files: pieces.read })).await
}

/// A snapshot's files, read piece by piece.
struct Pieces {
    snapshot: Checkpoint,
    ahead: std::vec::IntoIter<String>,
    open: Option<(pb::SnapshotFile, File)>,
    /// Those that have been read.
    read: Vec<pb::SnapshotFile>,
}

impl Pieces {
    fn of(snapshot: Checkpoint) -> std::io::Result<Self> {
        let ahead = snapshot.files()?.into_iter();
        Ok(Self { snapshot, ahead, open: None, read: Vec::new() })
    }

    /// The next one; `None` at the end. A file ends with a piece that is not full.
    fn next(&mut self) -> std::io::Result<Option<pb::SnapshotChunk>> {
        let (mut sum, mut file) = match self.open.take() {
            Some(open) => open,
            None => match self.ahead.next() {
                Some(name) => self.begin(name)?,
                None => return Ok(None),
            },
        };
        let mut piece = Vec::with_capacity(PIECE);
        (&mut file).take(PIECE as u64).read_to_end(&mut piece)?;
        sum.size += piece.len() as u64;
        sum.crc32c = crc32c::crc32c_append(sum.crc32c, &piece);
        let chunk = pb::SnapshotChunk { file: sum.name.clone(), data: piece.into() };
        if chunk.data.len() < PIECE {
            self.read.push(sum)
        } else {
            self.open = Some((sum, file))
        }
        Ok(Some(chunk))
    }

    fn begin(&self, name: String) -> std::io::Result<(pb::SnapshotFile, File)> {
        let file = File::open(self.snapshot.dir().unwrap_or(Path::new("")).join(&name))?;
        Ok((pb::SnapshotFile { name, size: 0, crc32c: 0 }, file))
    }
}

/// Receives into a new directory; returns once everything has arrived, is checked and on disk.
pub(super) async fn receive(
    head: &pb::SnapshotHead,
    mut parts: impl Stream<Item = Result<pb::SnapshotPart, tonic::Status>> + Unpin,
    dirs: &Dirs,
) -> Result<Snapshot, tonic::Status> {
    use pb::snapshot_part::Part;
    let meta: SnapshotMeta = serde_json::from_slice(&head.meta).map_err(Malformed::from)?;
    let dir = dirs.new_incoming().map_err(internal)?;
    let checkpoint = Checkpoint::owning(dir.clone());
    let mut received = Received::default();
    while let Some(part) = parts.next().await {
        match part?.part {
            Some(Part::Chunk(chunk)) => {
                received = blocking({
                    let dir = dir.clone();
                    move || received.add(&dir, &chunk.file, &chunk.data)
                })
                .await
                .map_err(internal)?
                .map_err(internal)?;
            }
            Some(Part::Manifest(manifest)) => {
                let done = blocking(move || received.finish(&dir, &manifest));
                done.await.map_err(internal)?.map_err(internal)?;
                return Ok(Snapshot { meta, snapshot: checkpoint });
            }
            _ => return Err(tonic::Status::invalid_argument("unexpected part of a snapshot")),
        }
    }
    Err(tonic::Status::data_loss("the snapshot ended early"))
}

fn internal(error: impl std::fmt::Display) -> tonic::Status {
    tonic::Status::internal(error.to_string())
}

/// What has arrived so far.
#[derive(Default)]
struct Received {
    open: Option<(String, File)>,
    sums: HashMap<String, (u64, u32)>,
}

impl Received {
    fn add(mut self, dir: &Path, name: &str, data: &Bytes) -> std::io::Result<Self> {
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(std::io::Error::other(format!("{name:?} is not a file of a snapshot")));
        }
        let mut file = match self.open.take() {
            Some((open, file)) if open == name => file,
            other => {
                sync(other)?;
                File::create_new(dir.join(name))?
            }
        };
        file.write_all(data)?;
        let sum = self.sums.entry(name.to_owned()).or_default();
        *sum = (sum.0 + data.len() as u64, crc32c::crc32c_append(sum.1, data));
        self.open = Some((name.to_owned(), file));
        Ok(self)
    }

    fn finish(self, dir: &Path, manifest: &pb::SnapshotManifest) -> std::io::Result<()> {
        sync(self.open)?;
        File::open(dir)?.sync_all()?;
        if manifest.files.len() != self.sums.len() {
            return Err(std::io::Error::other("a file of the snapshot is missing"));
        }
        for file in &manifest.files {
            if self.sums.get(&file.name) != Some(&(file.size, file.crc32c)) {
                return Err(std::io::Error::other(format!("{} of the snapshot was damaged on its way", file.name)));
            }
        }
        Ok(())
    }
}

fn sync(open: Option<(String, File)>) -> std::io::Result<()> {
    open.map_or(Ok(()), |(_, file)| file.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(size: u64, crc32c: u32) -> pb::SnapshotManifest {
        pb::SnapshotManifest { files: vec![pb::SnapshotFile { name: "1.sst".to_owned(), size, crc32c }] }
    }

    fn received(dir: &Path) -> Received {
        let first = Received::default().add(dir, "1.sst", &Bytes::from_static(b"ab")).unwrap();
        first.add(dir, "1.sst", &Bytes::from_static(b"c")).unwrap()
    }

    #[test]
    fn pieces_make_the_file_and_damage_is_noticed() {
        let sum = crc32c::crc32c(b"abc");
        let temp = tempfile::tempdir().unwrap();
        received(temp.path()).finish(temp.path(), &manifest(3, sum)).unwrap();
        assert_eq!(std::fs::read(temp.path().join("1.sst")).unwrap(), b"abc");
        let temp = tempfile::tempdir().unwrap();
        assert!(received(temp.path()).finish(temp.path(), &manifest(3, sum + 1)).is_err());
    }

    #[test]
    fn names_cannot_leave_the_directory() {
        let temp = tempfile::tempdir().unwrap();
        assert!(Received::default().add(temp.path(), "../x", &Bytes::new()).is_err());
    }
}
