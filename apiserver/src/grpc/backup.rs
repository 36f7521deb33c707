//! Backups on their way to a client. A finished one stays for a while, so that a download that broke off goes on where it
//! was, on the same master; another master does not know it, and the client begins again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mainstay_proto::v1::{BackupChunk, BackupRequest};
use mainstay_store::{BackupFile, Store};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::engine::store_status;

/// How long a backup can be resumed after its last use.
const KEPT: Duration = Duration::from_secs(600);
/// Backups on a master's disk at once.
const AT_ONCE: usize = 4;
/// Bytes in a chunk.
const PIECE: usize = 256 << 10;
/// Chunks read ahead.
const AHEAD: usize = 8;

/// The answer to a request for a backup.
pub(crate) type Chunks = ReceiverStream<Result<BackupChunk, tonic::Status>>;

/// The backups that can be resumed, by their ids.
#[derive(Default)]
pub(crate) struct Backups {
    made: Mutex<HashMap<String, Made>>,
}

struct Made {
    file: Arc<BackupFile>,
    used: Instant,
}

impl Backups {
    /// Makes a backup, or takes up the one that is asked for, and sends it from the offset on.
    pub(crate) fn send(self: Arc<Self>, store: Store, request: BackupRequest) -> Chunks {
        let (chunks, queue) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            let failed = match self.obtain(&store, request.id).await {
                Ok((id, file)) => {
                    let sent = chunks.clone();
                    let reading = tokio::task::spawn_blocking(move || read(&file, &id, request.offset, &sent));
                    reading.await.unwrap_or_else(|error| Err(tonic::Status::internal(error.to_string())))
                }
                Err(status) => Err(status),
            };
            if let Err(status) = failed
                && chunks.send(Err(status)).await.is_err()
            {
                tracing::debug!("who asked for a backup is gone");
            }
        });
        ReceiverStream::new(queue)
    }

    async fn obtain(&self, store: &Store, id: String) -> Result<(String, Arc<BackupFile>), tonic::Status> {
        if !id.is_empty() {
            return self.again(&id).map(|file| (id, file));
        }
        self.make_room()?;
        let file = store.backup_file().await.map_err(|error| super::status(&store_status(error)))?;
        let (file, id) = (Arc::new(file), uuid::Uuid::new_v4().to_string());
        self.made.lock().insert(id.clone(), Made { file: file.clone(), used: Instant::now() });
        Ok((id, file))
    }

    fn again(&self, id: &str) -> Result<Arc<BackupFile>, tonic::Status> {
        let mut made = self.made.lock();
        let found =
            made.get_mut(id).ok_or_else(|| tonic::Status::not_found("this backup is not kept here any more"))?;
        found.used = Instant::now();
        Ok(found.file.clone())
    }

    /// Forgets those that nobody reads, the old ones always.
    fn make_room(&self) -> Result<(), tonic::Status> {
        let mut made = self.made.lock();
        made.retain(|_, one| Arc::strong_count(&one.file) > 1 || one.used.elapsed() < KEPT);
        if made.len() >= AT_ONCE {
            let idle = made.iter().filter(|(_, one)| Arc::strong_count(&one.file) == 1);
            let oldest = idle.min_by_key(|(_, one)| one.used).map(|(id, _)| id.clone());
            let oldest = oldest.ok_or_else(|| tonic::Status::resource_exhausted("too many backups are being made"))?;
            made.remove(&oldest);
        }
        Ok(())
    }
}

fn read(
    file: &BackupFile,
    id: &str,
    from: u64,
    chunks: &mpsc::Sender<Result<BackupChunk, tonic::Status>>,
) -> Result<(), tonic::Status> {
    let mut offset = from;
    while offset < file.size() {
        let data = file.read(offset, PIECE).map_err(|error| tonic::Status::internal(error.to_string()))?;
        let length = data.len() as u64;
        let chunk = BackupChunk {
            id: id.to_owned(),
            offset,
            crc32c: crc32c::crc32c(&data),
            data: data.into(),
            total: file.size(),
            revision: file.info().revision.0,
        };
        if chunks.blocking_send(Ok(chunk)).is_err() {
            return Ok(());
        }
        offset += length;
    }
    Ok(())
}
