//! The state machine openraft drives: applies committed entries, makes and installs snapshots.

use std::path::Path;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use mainstay_proto::raft as pb;
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use rocksdb::WriteBatch;

use super::apply::Applier;
use super::checkpoint::Checkpoint;
use super::db::StateDb;
use super::keys;
use super::marks::Mark;
use super::progress::{Progress, encode_applied};
use super::shared::{Applied, State};
use crate::error::{StoreError, to_io};
use crate::raft_types::{LogId, Outcomes, SnapshotMeta, StoredMembership, TypeConfig};
use crate::types::Term;
use crate::wire;

/// Entries applied in one step at the most.
const STEP: usize = 64;
/// Time marks are at least this far apart.
const MARK_EVERY_MS: u64 = 1000;

/// openraft, as it drives this state machine.
pub(crate) type Raft = openraft::Raft<TypeConfig, StateMachine>;
/// A copy of the state for another master, and which entries it covers.
pub(crate) type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Checkpoint>;

/// Owned by openraft; everything others may read is in [`State`].
pub(crate) struct StateMachine {
    state: Arc<State>,
    progress: Progress,
    last_mark_ms: u64,
}

impl StateMachine {
    /// Opens the state under `data_dir`, with the part that readers share.
    pub(crate) fn open(data_dir: &Path, ring_bytes: usize) -> Result<(Arc<State>, Self), StoreError> {
        let state = Arc::new(State::open(data_dir, ring_bytes)?);
        let db = state.db();
        let (progress, last_mark_ms) = (db.progress()?, db.last_mark()?);
        Ok((state.clone(), Self { state, progress, last_mark_ms }))
    }

    /// Applies one step: one write, then the events, then the answers.
    pub(crate) fn apply_step(&mut self, step: Vec<EntryResponder<TypeConfig>>) -> Result<(), StoreError> {
        let db = self.state.db();
        let mut applier = Applier::new(db.as_ref(), self.progress.revision, self.progress.checksum);
        let mut marks = Vec::new();
        let mut batch = WriteBatch::default();
        let mut answers: Vec<(ApplyResponder<TypeConfig>, Outcomes)> = Vec::new();
        for (entry, responder) in step {
            let id = entry.log_id;
            let outcomes = match entry.payload {
                EntryPayload::Normal(command) => {
                    let decoded = wire::decode_batch(&command).map_err(|error| db.damaged(error))?;
                    if self.is_time_to_mark(decoded.proposed_at_ms) {
                        batch.put(keys::time(self.last_mark_ms), applier.revision().0.to_be_bytes());
                        marks.push(Mark { index: id.index, checksum: applier.checksum() });
                    }
                    apply_batch(&mut applier, decoded, Term(id.committed_leader_id().term))?
                }
                EntryPayload::Membership(membership) => {
                    self.progress.membership = StoredMembership::new(Some(id), membership);
                    put_membership(&mut batch, &self.progress.membership).map_err(|error| db.damaged(error))?;
                    Outcomes::default()
                }
                EntryPayload::Blank => Outcomes::default(),
            };
            self.progress.applied = Some(id);
            answers.extend(responder.map(|responder| (responder, outcomes)));
        }
        self.progress.revision = applier.revision();
        self.progress.checksum = applier.checksum();
        let (changes, values) = applier.finish();
        for (key, value) in &values {
            match value {
                Some(stored) => batch.put(keys::data(key), stored.encode()),
                None => batch.delete(keys::data(key)),
            }
        }
        db.put_events(&mut batch, &changes);
        batch.put(keys::APPLIED, encode_applied(self.progress.applied, self.progress.revision, self.progress.checksum));
        db.write(batch)?;
        self.state.marks.lock().extend(marks);
        self.state.ring.lock().extend(changes.into_iter().map(|change| change.event));
        self.publish();
        for (responder, outcomes) in answers {
            responder.send(outcomes);
        }
        Ok(())
    }

    /// Marks are made where the log says so, and so at the same entries on every master.
    fn is_time_to_mark(&mut self, proposed_at_ms: u64) -> bool {
        let due = proposed_at_ms >= self.last_mark_ms.saturating_add(MARK_EVERY_MS);
        if due {
            self.last_mark_ms = proposed_at_ms;
        }
        due
    }

    fn publish(&self) {
        let applied = Applied { log: self.progress.applied, revision: self.progress.revision };
        self.state.applied.send_replace(applied);
    }

    /// A copy of exactly what has been applied.
    fn copy(&self) -> Result<Option<Snapshot>, StoreError> {
        if self.progress.applied.is_none() {
            return Ok(None);
        }
        let snapshot = self.state.db().copy_to(self.state.dirs.new_checkpoint())?;
        Ok(Some(Snapshot { meta: meta(&self.progress), snapshot }))
    }

    /// Swaps the received state in. Readers of the old one finish undisturbed.
    fn install(&mut self, meta: &SnapshotMeta, snapshot: Checkpoint) -> Result<(), StoreError> {
        let dirs = &self.state.dirs;
        let dir = dirs.new_state();
        snapshot.move_to(&dir).map_err(|error| StoreError::io(&dir, &error))?;
        let db = StateDb::open(&dir, dirs.data_dir())?;
        let progress = db.progress()?;
        if progress.applied != meta.last_log_id {
            let detail = format!("snapshot is of {:?}, not {:?}", progress.applied, meta.last_log_id);
            return Err(db.damaged(detail));
        }
        self.last_mark_ms = db.last_mark()?;
        super::checkpoint::sync_dir(&dir).map_err(|error| StoreError::io(&dir, &error))?;
        dirs.set_current(&dir).map_err(|error| StoreError::io(&dir, &error))?;
        self.progress = progress;
        self.state.swap(db, self.progress.revision);
        self.publish();
        Ok(())
    }
}

fn apply_batch(applier: &mut Applier<'_, StateDb>, batch: pb::Batch, term: Term) -> Result<Outcomes, StoreError> {
    #[cfg(test)]
    let batch = crate::simulation::disordered(batch);
    let outcomes = batch.txns.into_iter().map(|txn| applier.apply(wire::txn_from_pb(txn), term));
    Ok(Outcomes(outcomes.collect::<Result<_, _>>()?))
}

fn put_membership(batch: &mut WriteBatch, membership: &StoredMembership) -> Result<(), serde_json::Error> {
    batch.put(keys::MEMBERSHIP, serde_json::to_vec(membership)?);
    Ok(())
}

fn meta(progress: &Progress) -> SnapshotMeta {
    SnapshotMeta { last_log_id: progress.applied, last_membership: progress.membership.clone() }
}

/// Makes sure that what was applied when it was created is on disk, so that the log before it can go. The files to send
/// are copied only when a follower needs them.
pub(crate) struct Flush {
    db: Arc<StateDb>,
    meta: SnapshotMeta,
}

impl RaftSnapshotBuilder<TypeConfig> for Flush {
    type SnapshotData = Checkpoint;

    async fn build_snapshot(&mut self) -> Result<Snapshot, std::io::Error> {
        let db = self.db.clone();
        crate::thread::blocking(move || db.flush()).await.map_err(to_io)?.map_err(to_io)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: Checkpoint::flushed() })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Checkpoint;
    type SnapshotBuilder = Flush;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), std::io::Error> {
        Ok((self.progress.applied, self.progress.membership.clone()))
    }

    async fn apply<S>(&mut self, entries: S) -> Result<(), std::io::Error>
    where
        S: Stream<Item = Result<EntryResponder<TypeConfig>, std::io::Error>> + Unpin + OptionalSend,
    {
        let mut steps = entries.ready_chunks(STEP);
        while let Some(step) = steps.next().await {
            let step = step.into_iter().collect::<Result<Vec<_>, _>>()?;
            self.apply_step(step).map_err(to_io)?;
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Flush {
        Flush { db: self.state.db(), meta: meta(&self.progress) }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Checkpoint) -> Result<(), std::io::Error> {
        self.install(meta, snapshot).map_err(to_io)
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, std::io::Error> {
        self.copy().map_err(to_io)
    }
}
