//! The one thread that writes the log. It takes whatever has queued up, writes it as one batch in the order it came in
//! and syncs once, so that a vote and the entries around it never change places.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use prost::Message as _;
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::oneshot;

use super::cache::Cache;
use super::keys;
use crate::raft_types::{LogId, RaftEntry, TypeConfig, Vote};
use crate::wire;

/// Jobs merged into one batch at the most.
const MERGED_JOBS: usize = 256;

type Done = oneshot::Sender<Result<(), std::io::Error>>;

pub(super) enum Job {
    Append { entries: Vec<RaftEntry>, flushed: IOFlushed<TypeConfig> },
    Vote { vote: Vote, done: Done },
    Committed { id: Option<LogId> },
    Truncate { from: u64, done: Done },
    Purge { upto: LogId, done: Done },
}

/// Runs until all senders are gone.
pub(super) fn spawn(db: Arc<DB>, cache: Arc<Mutex<Cache>>) -> std::io::Result<(Sender<Job>, JoinHandle<()>)> {
    let (jobs, queue) = channel();
    let writer = Writer { path: db.path().to_path_buf(), db, cache };
    let thread = std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || writer.run(&queue))?;
    Ok((jobs, thread))
}

struct Writer {
    db: Arc<DB>,
    cache: Arc<Mutex<Cache>>,
    path: PathBuf,
}

/// Whom to tell once the batch is on disk.
enum Waiter {
    Flushed(IOFlushed<TypeConfig>, u64),
    Done(Done),
}

impl Writer {
    fn run(&self, queue: &Receiver<Job>) {
        while let Ok(first) = queue.recv() {
            let more = queue.try_iter().take(MERGED_JOBS - 1);
            self.write(std::iter::once(first).chain(more));
        }
    }

    fn write(&self, jobs: impl Iterator<Item = Job>) {
        let mut batch = WriteBatch::default();
        let mut waiters = Vec::new();
        let mut sync = false;
        let mut failed = None;
        for job in jobs {
            sync |= !matches!(job, Job::Committed { .. });
            match add(&mut batch, job) {
                Ok(waiter) => waiters.extend(waiter),
                Err((error, waiter)) => {
                    failed = Some(error);
                    waiters.extend(waiter);
                }
            }
        }
        let result = match failed {
            Some(text) => Err(text),
            None => self.commit(batch, sync),
        };
        self.report(waiters, &result);
    }

    fn commit(&self, batch: WriteBatch, sync: bool) -> Result<(), String> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(batch, &options).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn report(&self, waiters: Vec<Waiter>, result: &Result<(), String>) {
        for waiter in waiters {
            let result = result.clone().map_err(std::io::Error::other);
            match waiter {
                Waiter::Flushed(flushed, end) => {
                    if result.is_ok() {
                        self.cache.lock().flushed(end);
                    }
                    flushed.io_completed(result);
                }
                // The asker may have been cancelled; the write happened anyway.
                Waiter::Done(done) => drop(done.send(result)),
            }
        }
    }
}

type Added = Result<Option<Waiter>, (String, Option<Waiter>)>;

fn add(batch: &mut WriteBatch, job: Job) -> Added {
    match job {
        Job::Append { entries, flushed } => {
            let end = entries.last().map_or(0, |entry| entry.log_id.index + 1);
            for entry in &entries {
                match wire::entry_to_pb(entry) {
                    Ok(encoded) => batch.put(keys::entry(entry.log_id.index), encoded.encode_to_vec()),
                    Err(error) => return Err((error.to_string(), Some(Waiter::Flushed(flushed, end)))),
                }
            }
            Ok(Some(Waiter::Flushed(flushed, end)))
        }
        Job::Vote { vote, done } => {
            batch.put(keys::VOTE, wire::vote_to_pb(&vote).encode_to_vec());
            Ok(Some(Waiter::Done(done)))
        }
        Job::Committed { id } => {
            match id {
                Some(id) => batch.put(keys::COMMITTED, wire::log_id_to_pb(&id).encode_to_vec()),
                None => batch.delete(keys::COMMITTED),
            }
            Ok(None)
        }
        Job::Truncate { from, done } => {
            batch.delete_range(keys::entry(from), keys::ENTRIES_END.to_vec());
            Ok(Some(Waiter::Done(done)))
        }
        Job::Purge { upto, done } => {
            batch.put(keys::PURGED, wire::log_id_to_pb(&upto).encode_to_vec());
            batch.delete_range(keys::entry(0), keys::entry(upto.index + 1));
            Ok(Some(Waiter::Done(done)))
        }
    }
}
