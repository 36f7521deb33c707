//! The one thread that writes the log. It takes whatever has queued up, writes it in the order it came in
//! and syncs once, so that a vote and the entries around it never change places. While nothing is queued, a follower's
//! entries are written by who brings them: it has nothing else to do meanwhile, and no thread has to wake up.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use openraft::storage::IOFlushed;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::cache::{self, Cache};
use super::journal::{Journal, Making};
use crate::error::to_io;
use crate::raft_types::{LogId, RaftEntry, TypeConfig, Vote};

/// Jobs merged into one batch at the most.
const MERGED_JOBS: usize = 256;
/// Bytes of entries in a batch after which no job is added to it: it is in memory several times, and has to fit into a
/// segment to be written fast.
const MERGED_BYTES: usize = 1 << 20;

/// Who writes the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Writing {
    /// A thread, and whoever brings something while it is idle.
    Thread,
    /// A task with a disk that takes its time; a simulated crash ends it at any point.
    #[cfg(test)]
    Task,
}

impl Writing {
    /// Who makes segments then.
    pub(super) fn making(self) -> Making {
        match self {
            Self::Thread => Making::Thread,
            #[cfg(test)]
            Self::Task => Making::Inline,
        }
    }
}

type Done = oneshot::Sender<Result<(), std::io::Error>>;

pub(super) enum Job {
    Append { entries: Vec<RaftEntry>, flushed: IOFlushed<TypeConfig> },
    Vote { vote: Vote, done: Done },
    Truncate { from: u64, done: Done },
    Purge { upto: LogId, done: Done },
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(cache::weight).sum(),
            Self::Vote { .. } | Self::Truncate { .. } | Self::Purge { .. } => 0,
        }
    }
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
    pub(super) fn start(journal: Journal, cache: Arc<Mutex<Cache>>, writing: Writing) -> std::io::Result<Self> {
        let dir = journal.dir().to_path_buf();
        let writer = Arc::new(Writer { journal: Mutex::new(journal), cache, committed: Mutex::new(None), dir });
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
    journal: Mutex<Journal>,
    cache: Arc<Mutex<Cache>>,
    /// Goes with the next batch: it is a hint and not worth a write of its own.
    committed: Mutex<Option<LogId>>,
    dir: PathBuf,
}

/// Whom to tell once the batch is on disk.
enum Waiter {
    Flushed(IOFlushed<TypeConfig>, u64),
    Done(Done),
}

impl Writer {
    fn run(&self, queue: &Receiver<Job>, pending: &AtomicUsize) {
        while let Ok(first) = queue.recv() {
            let mut done = 0;
            self.write(merged(first, queue).inspect(|_| done += 1));
            pending.fetch_sub(done, Ordering::AcqRel);
        }
    }

    fn write(&self, jobs: impl Iterator<Item = Job>) {
        let mut waiters = Vec::new();
        let written = {
            let mut journal = self.journal.lock();
            let mut added = Ok(());
            for job in jobs {
                let (waiter, outcome) = add(&mut journal, job);
                waiters.push(waiter);
                added = added.and(outcome);
            }
            self.commit(&mut journal, added)
        };
        self.report(waiters, &written.map_err(|error| format!("{}: {error}", self.dir.display())));
    }

    /// Writes what was added, if all of it could be.
    fn commit(&self, journal: &mut Journal, added: std::io::Result<()>) -> std::io::Result<()> {
        let hint = self.committed.lock().take();
        match added.and_then(|()| hint.map_or(Ok(()), |id| journal.committed(id))) {
            Ok(()) => journal.write(),
            Err(error) => {
                journal.give_up();
                Err(error)
            }
        }
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

/// A job, and what has queued up behind it, as far as it goes into one batch.
fn merged(first: Job, queue: &Receiver<Job>) -> impl Iterator<Item = Job> {
    let mut bytes = first.bytes();
    let more = std::iter::from_fn(move || {
        let job = if bytes < MERGED_BYTES { queue.try_recv().ok()? } else { return None };
        bytes += job.bytes();
        Some(job)
    });
    std::iter::once(first).chain(more).take(MERGED_JOBS)
}

/// Adds what a job says to the next write.
fn add(journal: &mut Journal, job: Job) -> (Waiter, std::io::Result<()>) {
    match job {
        Job::Append { entries, flushed } => {
            let end = entries.last().map_or(0, |entry| entry.log_id.index + 1);
            let added = entries.iter().try_for_each(|entry| journal.entry(entry));
            (Waiter::Flushed(flushed, end), added)
        }
        Job::Vote { vote, done } => (Waiter::Done(done), journal.vote(vote)),
        Job::Truncate { from, done } => (Waiter::Done(done), journal.truncate(from)),
        Job::Purge { upto, done } => (Waiter::Done(done), journal.purge(upto)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use openraft::EntryPayload;

    use super::*;
    use crate::raft_types::{Command, log_id};

    fn append(content: &Bytes) -> Job {
        let payload = EntryPayload::Normal(Command(content.clone()));
        Job::Append { entries: vec![RaftEntry { log_id: log_id(1, 0), payload }], flushed: IOFlushed::noop() }
    }

    #[test]
    fn small_jobs_are_merged_and_large_ones_are_not() {
        for (length, expected) in [(10, MERGED_JOBS), (MERGED_BYTES / 4, 4), (2 * MERGED_BYTES, 1)] {
            let ((sender, queue), content) = (channel(), Bytes::from(vec![7; length]));
            (0..MERGED_JOBS + 9).for_each(|_| sender.send(append(&content)).unwrap());
            assert_eq!(merged(queue.recv().unwrap(), &queue).count(), expected, "{length}");
        }
    }
}
