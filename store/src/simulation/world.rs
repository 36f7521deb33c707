//! What the masters' software and the one who breaks things share, outside of the simulated hosts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_history::Violation;
use mainstay_history::call::Call;
use mainstay_history::revisions::{Attempt, Batch, Fate, Reading, Record, Watching};

use crate::config::PeerTls;

/// The masters' names.
pub(super) const MASTERS: [&str; 3] = ["a", "b", "c"];

/// A watch that goes on after interruptions, on the same master or on another.
#[derive(Debug)]
pub(super) struct Session {
    /// The master that serves it now.
    pub(super) home: usize,
    /// Stays with its master, and sees everything.
    pub(super) records: bool,
    /// Index into the record's watches.
    pub(super) watching: usize,
    /// Changes with every interruption.
    pub(super) turn: u64,
}

/// Shared by everything that runs in a simulation.
pub(super) struct World {
    root: PathBuf,
    /// Which copy of its data each master runs on.
    generations: RefCell<[u32; MASTERS.len()]>,
    pub(super) tls: PeerTls,
    pub(super) record: RefCell<Record>,
    pub(super) calls: RefCell<Vec<Call>>,
    pub(super) sessions: RefCell<Vec<Session>>,
    /// What went wrong besides.
    pub(super) violations: RefCell<Vec<Violation>>,
    /// The cluster exists.
    pub(super) founded: Cell<bool>,
    /// Clients make new calls.
    pub(super) busy: Cell<bool>,
    /// What each master is asked to do next.
    pub(super) orders: RefCell<HashMap<usize, Order>>,
    /// Whether each master serves, and leads.
    pub(super) serving: RefCell<[bool; MASTERS.len()]>,
    pub(super) leader: Cell<Option<usize>>,
    /// Whose data is of no use any more.
    pub(super) removed: RefCell<[bool; MASTERS.len()]>,
    /// By how much each master's calendar is wrong, in milliseconds.
    pub(super) clocks: RefCell<[i64; MASTERS.len()]>,
    /// A revision that all masters have to reach at the end, and who has.
    pub(super) goal: Cell<Option<u64>>,
    pub(super) reached: RefCell<[bool; MASTERS.len()]>,
    values: Cell<u64>,
}

/// What an operator asks of a master.
#[derive(Clone, Debug)]
pub(super) enum Order {
    TransferLeader,
    /// Takes out a master, the one with this id.
    Remove {
        master: usize,
        id: u64,
    },
}

impl World {
    pub(super) fn new(root: &Path, tls: PeerTls) -> Self {
        Self {
            root: root.to_path_buf(),
            generations: RefCell::default(),
            tls,
            record: RefCell::default(),
            calls: RefCell::default(),
            sessions: RefCell::default(),
            violations: RefCell::default(),
            founded: Cell::new(false),
            busy: Cell::new(true),
            orders: RefCell::default(),
            serving: RefCell::default(),
            leader: Cell::new(None),
            removed: RefCell::default(),
            clocks: RefCell::default(),
            goal: Cell::new(None),
            reached: RefCell::default(),
            values: Cell::new(0),
        }
    }

    /// Where a master's data is now.
    pub(super) fn dir(&self, master: usize) -> PathBuf {
        self.root.join(MASTERS[master]).join(self.generations.borrow()[master].to_string())
    }

    /// Where its data will be after a crash.
    pub(super) fn next_dir(&self, master: usize) -> PathBuf {
        self.generations.borrow_mut()[master] += 1;
        self.dir(master)
    }

    /// A value that nobody else writes.
    pub(super) fn new_value(&self) -> u64 {
        self.values.set(self.values.get() + 1);
        self.values.get()
    }

    /// Notes a write that is about to be sent; its fate is open.
    pub(super) fn begin(&self, attempt: Attempt) -> usize {
        let mut record = self.record.borrow_mut();
        record.attempts.push(attempt);
        record.attempts.len() - 1
    }

    /// Notes how it ended.
    pub(super) fn end(&self, number: usize, fate: Fate) {
        let attempt = &mut self.record.borrow_mut().attempts[number];
        attempt.fate = fate;
        attempt.span.answered = now();
    }

    pub(super) fn read(&self, reading: Reading) {
        self.record.borrow_mut().readings.push(reading);
    }

    /// A new watch.
    pub(super) fn begin_watch(&self, name: String, prefix: &[u8], after: u64) -> usize {
        let prefix = bytes::Bytes::copy_from_slice(prefix);
        let mut record = self.record.borrow_mut();
        record.watches.push(Watching { name, prefix, after, batches: Vec::new() });
        record.watches.len() - 1
    }

    pub(super) fn received(&self, watching: usize, batch: Batch) {
        self.record.borrow_mut().watches[watching].batches.push(batch);
    }

    /// Where a watch has to go on, and under which prefix.
    pub(super) fn cursor(&self, watching: usize) -> (u64, bytes::Bytes) {
        let record = self.record.borrow();
        let watch = &record.watches[watching];
        (watch.batches.last().map_or(watch.after, |batch| batch.revision), watch.prefix.clone())
    }

    pub(super) fn violated(&self, property: &'static str, seen: String) {
        self.violations.borrow_mut().push(Violation { property, seen });
    }
}

/// Since the simulation began.
pub(super) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}
