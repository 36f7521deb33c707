//! What happened, by revision.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, RangeInclusive};
use std::time::Duration;

use bytes::Bytes;

use super::{Attempt, Change, Condition, Found, Step, Watching, violation};
use crate::Violation;

/// The state of a key from a revision on.
#[derive(Clone, Debug)]
struct Version {
    since: u64,
    /// Value and revision of making; `None`: absent.
    state: Option<(Bytes, u64)>,
}

/// All changes by revision, and what follows from them.
#[derive(Debug, Default)]
pub(super) struct Order {
    changes: BTreeMap<u64, Vec<Change>>,
    keys: BTreeMap<Bytes, Vec<Version>>,
    end: u64,
}

impl Order {
    /// From all watches over everything; where two disagree, or a revision is missing, that is a violation.
    pub(super) fn of(watches: &[Watching], found: &mut Vec<Violation>) -> Self {
        let mut order = Self::default();
        for watch in watches.iter().filter(|watch| watch.prefix.is_empty()) {
            for (revision, changes) in by_revision(watch) {
                let known = order.changes.entry(revision).or_insert_with(|| changes.clone());
                if *known != changes {
                    let what = format!("{} says {changes:?} where another says {known:?}", watch.name);
                    found.push(violation("all masters have the same history", what));
                }
            }
            let reached = watch.batches.last().map_or(0, |batch| batch.revision);
            order.end = order.end.max(reached);
        }
        let missing = (1..=order.end).find(|revision| !order.changes.contains_key(revision));
        if let Some(revision) = missing {
            found.push(violation("no revision is missing", format!("nobody saw revision {revision} of {}", order.end)));
        }
        order.make_versions();
        order
    }

    fn make_versions(&mut self) {
        for change in self.changes.values().flatten() {
            let versions = self.keys.entry(change.key.clone()).or_default();
            let created =
                versions.last().and_then(|last| last.state.as_ref()).map_or(change.revision, |(_, made)| *made);
            let state = (!change.deleted).then(|| (change.value.clone(), created));
            versions.push(Version { since: change.revision, state });
        }
    }

    /// The last revision that was watched.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// What a revision did.
    pub(super) fn changes(&self, revision: u64) -> &[Change] {
        self.changes.get(&revision).map_or(&[], Vec::as_slice)
    }

    /// Changes under a prefix after a revision and up to another.
    pub(super) fn between(&self, after: u64, upto: u64, prefix: &[u8]) -> Vec<&Change> {
        if after >= upto {
            return Vec::new();
        }
        let range = self.changes.range(after + 1..=upto);
        range.flat_map(|(_, changes)| changes).filter(|change| change.key.starts_with(prefix)).collect()
    }

    fn version(&self, key: &[u8], at: u64) -> Option<&Version> {
        let versions = self.keys.get(key)?;
        versions[..versions.partition_point(|version| version.since <= at)].last()
    }

    /// When a key was last changed, as of `at`, unless it is absent.
    fn modified(&self, key: &[u8], at: u64) -> Option<u64> {
        self.version(key, at).filter(|version| version.state.is_some()).map(|version| version.since)
    }

    /// Whether a condition holds at a revision.
    pub(super) fn holds(&self, condition: &Condition, at: u64) -> bool {
        match condition {
            Condition::Absent(key) => self.modified(key, at).is_none(),
            Condition::Present(key) => self.modified(key, at).is_some(),
            Condition::At(key, revision) => self.modified(key, at) == Some(*revision),
        }
    }

    /// Whether a condition may have been found broken, with the key last changed at `found`, by a call that saw some
    /// state within `window`. What was found may be older: it is what the answering master had.
    pub(super) fn may_refuse(&self, condition: &Condition, found: Option<u64>, window: RangeInclusive<u64>) -> bool {
        let (Condition::Absent(key) | Condition::Present(key) | Condition::At(key, _)) = condition;
        let changed = self.keys.get(key).into_iter().flatten().map(|version| version.since);
        let moments: Vec<u64> = changed.filter(|since| since <= window.end()).collect();
        let was_found = found.is_none() || moments.iter().any(|at| self.modified(key, *at) == found);
        let within = moments.iter().filter(|at| window.contains(at)).chain([window.start(), window.end()]);
        was_found && within.into_iter().any(|at| !self.holds(condition, *at))
    }

    /// The state under a prefix, or of one key, at a revision.
    pub(super) fn state(&self, prefix: &[u8], exact: bool, at: u64) -> Vec<Found> {
        let wanted = |key: &Bytes| if exact { key.as_ref() == prefix } else { key.starts_with(prefix) };
        let keys = self.keys.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded)).map(|(key, _)| key);
        let states = keys.take_while(|key| key.starts_with(prefix)).filter(|key| wanted(key)).filter_map(|key| {
            let version = self.version(key, at)?;
            let (value, created) = version.state.clone()?;
            Some(Found { key: key.clone(), value, created, modified: version.since })
        });
        states.collect()
    }

    /// What steps do to the state at a revision: key, value, whether it is deleted.
    pub(super) fn effects(&self, steps: &[Step], at: u64) -> Vec<(Bytes, Bytes, bool)> {
        let mut present: HashMap<&Bytes, bool> = HashMap::new();
        let mut effects = Vec::new();
        for step in steps {
            let there = present.get(&step.key).copied().unwrap_or_else(|| self.modified(&step.key, at).is_some());
            if step.delete && !there {
                continue;
            }
            present.insert(&step.key, !step.delete);
            effects.push((step.key.clone(), step.value.clone(), step.delete));
        }
        effects
    }

    /// The revisions at which each attempt's changes are; changes that nobody asked for are violations.
    pub(super) fn place(&self, attempts: &[Attempt], found: &mut Vec<Violation>) -> Vec<Vec<u64>> {
        let mut owners: HashMap<&Bytes, usize> = HashMap::new();
        for (number, attempt) in attempts.iter().enumerate() {
            owners.extend(attempt.steps.iter().map(|step| (&step.value, number)));
        }
        let mut placed = vec![Vec::new(); attempts.len()];
        for change in self.changes.values().flatten() {
            match owners.get(&change.value) {
                None => found.push(violation("nothing is invented", format!("nobody wrote {change:?}"))),
                Some(owner) if placed[*owner].last() != Some(&change.revision) => placed[*owner].push(change.revision),
                Some(_) => {}
            }
        }
        placed
    }

    /// The last revision whose writer had asked for it by `at`.
    pub(super) fn latest_asked_by(&self, at: Duration, attempts: &[Attempt], placed: &[Vec<u64>]) -> u64 {
        let asked = attempts.iter().zip(placed).filter(|(attempt, _)| attempt.span.sent <= at);
        asked.flat_map(|(_, revisions)| revisions.iter().copied()).max().unwrap_or(0)
    }
}

/// A watch's changes, grouped. Only revisions that it says are complete.
fn by_revision(watch: &Watching) -> BTreeMap<u64, Vec<Change>> {
    let mut grouped: BTreeMap<u64, Vec<Change>> = BTreeMap::new();
    for change in watch.batches.iter().flat_map(|batch| &batch.changes) {
        grouped.entry(change.revision).or_default().push(change.clone());
    }
    grouped
}
