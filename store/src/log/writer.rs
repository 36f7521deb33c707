//! The one thread that writes the log. It takes whatever has queued up, writes it as one batch in the order it came in
//! and syncs once, so that a vote and the entries around it never change places. While nothing is queued, a follower's
//! entries are written by who brings them: it has nothing else to do meanwhile, and no thread has to wake up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use prost::Message as _;
use rocksdb::{DB, WriteBatch, WriteOptions};
use tokio::sync::oneshot;

use super::cache::Cache;
use super::keys;
use crate::error::to_io;
use crate::raft_types::{LogId, RaftEntry, TypeConfig, Vote};
use crate::wire;

/// Jobs merged into one batch at the most.
const MERGED_JOBS: usize = 256;

/// Who writes the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writing {
    /// A thread, and whoever brings something while it is idle.
    Thread,
    /// A task with a disk that takes its time; a simulated crash ends it at any point.
    #[cfg(test)]
    Task,
}

type Done = oneshot::Sender<Result<(), std::io::Error>>;

pub(super) enum Job {
    Append { entries: Vec<RaftEntry>, flushed: IOFlushed<TypeConfig> },
    Vote { vote: Vote, done: Done },
    Truncate { from: u64, done: Done },
    Purge { upto: LogId, done: Done },
}

/// The way to the thread; it ends with the last handle.
#[derive(Clone)]
pub(super) struct Jobs {
    writer: Arc<Writer>,
    queue: Queue,
    /// Jobs that were sent and are not done yet.
    pending: Arc<AtomicUsize>,
}

#[derive(Clone)]
enum Queue {
    Thread(Sender<Job>),
    #[cfg(test)]
    Task(tokio::sync::mpsc::UnboundedSender<Job>),
}

impl Jobs {
    /// Starts the thread.
    pub(super) fn start(db: Arc<DB>, cache: Arc<Mutex<Cache>>, writing: Writing) -> std::io::Result<Self> {
        let writer = Arc::new(Writer { path: db.path().to_path_buf(), db, cache, committed: Mutex::new(None) });
        let pending = Arc::new(AtomicUsize::new(0));
        let (on_thread, left) = (writer.clone(), pending.clone());
        let queue = match writing {
            Writing::Thread => {
                let (queue, exit) = channel();
                std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || on_thread.run(&exit, &left))?;
                Queue::Thread(queue)
            }
            #[cfg(test)]
            Writing::Task => {
                let (queue, exit) = tokio::sync::mpsc::unbounded_channel();
                tokio::spawn(crate::simulation::disk::write(exit, move |jobs| {
                    let done = jobs.len();
                    on_thread.write(jobs.into_iter());
                    left.fetch_sub(done, Ordering::AcqRel);
                }));
                Queue::Task(queue)
            }
        };
        Ok(Self { writer, queue, pending })
    }

    /// Queues a job.
    pub(super) fn send(&self, job: Job) -> std::io::Result<()> {
        self.pending.fetch_add(1, Ordering::AcqRel);
        let gone = |()| to_io("the log's writer is gone");
        match &self.queue {
            Queue::Thread(queue) => queue.send(job).map_err(|_| gone(())),
            #[cfg(test)]
            Queue::Task(queue) => queue.send(job).map_err(|_| gone(())),
        }
    }

    /// Writes the id with whatever is written next.
    pub(super) fn remember_committed(&self, id: LogId) {
        *self.writer.committed.lock() = Some(id);
    }

    /// What is to be written with the next job.
    pub(super) fn remembered(&self) -> Option<LogId> {
        *self.writer.committed.lock()
    }

    /// Does a job at once if nothing is queued before it. Only the one who sends all jobs may call this.
    pub(super) fn do_or_send(&self, job: Job) -> std::io::Result<()> {
        if self.pending.load(Ordering::Acquire) > 0 || !matches!(self.queue, Queue::Thread(_)) {
            return self.send(job);
        }
        self.writer.write(std::iter::once(job));
        Ok(())
    }
}

struct Writer {
    db: Arc<DB>,
    cache: Arc<Mutex<Cache>>,
    /// Goes with the next batch: it is a hint and not worth a write of its own.
    committed: Mutex<Option<LogId>>,
    path: PathBuf,
}

/// Whom to tell once the batch is on disk.
enum Waiter {
    Flushed(IOFlushed<TypeConfig>, u64),
    Done(Done),
}

impl Writer {
    fn run(&self, queue: &Receiver<Job>, pending: &AtomicUsize) {
        while let Ok(first) = queue.recv() {
            let more = queue.try_iter().take(MERGED_JOBS - 1);
            let mut done = 0;
            self.write(std::iter::once(first).chain(more).inspect(|_| done += 1));
            pending.fetch_sub(done, Ordering::AcqRel);
        }
    }

    fn write(&self, jobs: impl Iterator<Item = Job>) {
        let mut batch = WriteBatch::default();
        let mut waiters = Vec::new();
        let mut failed = None;
        for job in jobs {
            match add(&mut batch, job) {
                Ok(waiter) => waiters.push(waiter),
                Err((error, waiter)) => {
                    failed = Some(error);
                    waiters.push(waiter);
                }
            }
        }
        if let Some(id) = self.committed.lock().take() {
            batch.put(keys::COMMITTED, wire::log_id_to_pb(&id).encode_to_vec());
        }
        let result = match failed {
            Some(text) => Err(text),
            None => self.commit(batch),
        };
        self.report(waiters, &result);
    }

    fn commit(&self, batch: WriteBatch) -> Result<(), String> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        #[cfg(test)]
        options.set_sync(!crate::planted::planted(crate::planted::Bug::AckBeforeSync));
        self.db.write_opt(batch, &options).map_err(|error| format!("{}: {error}", self.path.display()))?;
        #[cfg(test)]
        crate::simulation::disk::note_synced(&self.path);
        Ok(())
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

type Added = Result<Waiter, (String, Waiter)>;

fn add(batch: &mut WriteBatch, job: Job) -> Added {
    match job {
        Job::Append { entries, flushed } => {
            let end = entries.last().map_or(0, |entry| entry.log_id.index + 1);
            for entry in &entries {
                match wire::entry_to_pb(entry) {
                    Ok(encoded) => batch.put(keys::entry(entry.log_id.index), encoded.encode_to_vec()),
                    Err(error) => return Err((error.to_string(), Waiter::Flushed(flushed, end))),
                }
            }
            Ok(Waiter::Flushed(flushed, end))
        }
        Job::Vote { vote, done } => {
            batch.put(keys::VOTE, wire::vote_to_pb(&vote).encode_to_vec());
            Ok(Waiter::Done(done))
        }
        Job::Truncate { from, done } => {
            batch.delete_range(keys::entry(from), keys::ENTRIES_END.to_vec());
            Ok(Waiter::Done(done))
        }
        Job::Purge { upto, done } => {
            batch.put(keys::PURGED, wire::log_id_to_pb(&upto).encode_to_vec());
            batch.delete_range(keys::entry(0), keys::entry(upto.index + 1));
            Ok(Waiter::Done(done))
        }
    }
}
