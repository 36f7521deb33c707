//! From a planned write to an acknowledged one.

use bytes::Bytes;
use jiff::Timestamp;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Guard, Op, Revision, Term, Txn, TxnOutcome};

use super::{Call, Engine, Live, Target, store_status};
use crate::codec::Encoded;
use crate::key::ObjectKey;
use crate::strategy::SideWrite;

/// What a call answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The object as JSON.
    pub bytes: Bytes,
    /// The call made the object.
    pub created: bool,
    /// A deletion has begun that was asked to complete at once.
    pub accepted: bool,
    /// The kind, if it is not the resource's.
    pub kind: Option<String>,
}

/// The object after a planned write.
#[derive(Clone)]
pub(crate) enum After {
    /// Written; the revision is not known yet.
    Written(Encoded),
    /// These bytes: nothing is written, or the object goes.
    Bytes(Bytes),
}

/// A write that waits to be proposed.
pub(crate) struct Plan {
    pub guards: Vec<Guard>,
    pub ops: Vec<Op>,
    pub after: After,
    pub created: bool,
    pub accepted: bool,
}

/// What became of a plan.
pub(crate) enum Finished {
    /// It is done.
    Answer(Answer),
    /// Something changed meanwhile: the object itself, or another that was to be written with it.
    Lost {
        /// It was the object itself.
        own: bool,
    },
}

impl Plan {
    /// Nothing to do: the object is as wanted.
    pub(crate) fn unchanged(bytes: Bytes) -> Self {
        Self { guards: Vec::new(), ops: Vec::new(), after: After::Bytes(bytes), created: false, accepted: false }
    }

    /// Puts an object in place of the version at `revision`.
    pub(crate) fn replace(key: Bytes, revision: Revision, encoded: Encoded) -> Self {
        let op = Op::Put { key: key.clone(), value: encoded.bytes.clone(), splice: Some(encoded.splice) };
        Self {
            guards: vec![Guard::At(key, revision)],
            ops: vec![op],
            after: After::Written(encoded),
            created: false,
            accepted: false,
        }
    }

    /// Puts a new object.
    pub(crate) fn create(key: Bytes, encoded: Encoded) -> Self {
        let op = Op::Put { key: key.clone(), value: encoded.bytes.clone(), splice: Some(encoded.splice) };
        Self {
            guards: vec![Guard::Absent(key)],
            ops: vec![op],
            after: After::Written(encoded),
            created: true,
            accepted: false,
        }
    }

    /// Removes the version at `revision`, whose last state watchers see.
    pub(crate) fn remove(key: Bytes, revision: Revision, encoded: Encoded) -> Self {
        let op = Op::Delete { key: key.clone(), last: Some((encoded.bytes.clone(), Some(encoded.splice))) };
        let after = After::Written(encoded);
        Self { guards: vec![Guard::At(key, revision)], ops: vec![op], after, created: false, accepted: false }
    }

    /// Adds writes to other objects.
    pub(crate) fn with(mut self, side: Vec<SideWrite>, now: Timestamp) -> Self {
        for write in side {
            self.add(write, now);
        }
        self
    }

    fn add(&mut self, write: SideWrite, now: Timestamp) {
        let key = |group: &str, resource: &str, namespace: String, name: String| {
            ObjectKey { group: group.into(), resource: resource.into(), namespace, name }.encode()
        };
        match write {
            SideWrite::Create { group, resource, namespace, name, mut object } => {
                meta::set(&mut object, "uid", uuid::Uuid::new_v4().to_string());
                meta::set(&mut object, "creationTimestamp", mainstay_api::time::seconds(now));
                let key = key(group, resource, namespace, name);
                let encoded = crate::codec::encode(&object);
                self.guards.push(Guard::Absent(key.clone()));
                self.ops.push(Op::Put { key, value: encoded.bytes, splice: Some(encoded.splice) });
            }
            SideWrite::Replace { group, resource, namespace, name, mut object } => {
                let revision = meta::resource_version(&object).parse().map(Revision).unwrap_or_default();
                meta::remove_field(&mut object, "resourceVersion");
                let key = key(group, resource, namespace, name);
                let encoded = crate::codec::encode(&object);
                self.guards.push(Guard::At(key.clone(), revision));
                self.ops.push(Op::Put { key, value: encoded.bytes, splice: Some(encoded.splice) });
            }
            SideWrite::Delete { group, resource, namespace, name } => {
                self.ops.push(Op::Delete { key: key(group, resource, namespace, name), last: None });
            }
        }
    }

    /// The object of a dry run: no revision if it would be new, the present one if it would change.
    pub(crate) fn dry(&self) -> Bytes {
        match (&self.after, self.guards.first()) {
            (After::Bytes(bytes), _) => bytes.clone(),
            (After::Written(encoded), Some(Guard::At(_, revision))) => encoded.at(revision.0),
            (After::Written(encoded), _) => {
                let hole = b"\"resourceVersion\":\"\"";
                let at = encoded.splice as usize + 1 - hole.len();
                let comma = usize::from(encoded.bytes.get(at + hole.len()) == Some(&b','));
                [&encoded.bytes[..at], &encoded.bytes[at + hole.len() + comma..]].concat().into()
            }
        }
    }
}

impl Engine {
    /// Proposes and waits until the caches show it; the index of the guard that did not hold, otherwise.
    pub(crate) async fn propose(
        &self,
        term: Option<Term>,
        mut guards: Vec<Guard>,
        ops: Vec<Op>,
    ) -> ApiResult<Result<Revision, usize>> {
        let plain = guards.len();
        guards.extend(term.map(Guard::InTerm));
        match self.store.propose(Txn { guards, ops }).await.map_err(store_status)? {
            TxnOutcome::Committed(revision) => {
                if !self.caches.wait_for(revision).await {
                    tracing::warn!(revision = revision.0, "the caches lag behind a write");
                }
                Ok(Ok(revision))
            }
            TxnOutcome::Refused { guard, .. } if guard as usize >= plain => Err(term_over(term)),
            TxnOutcome::Refused { guard, .. } => {
                self.caches.consistent().await.map_err(store_status)?;
                Ok(Err(guard as usize))
            }
        }
    }

    /// A write that changes nothing still needs its term.
    pub(crate) fn check_term(&self, term: Option<Term>) -> ApiResult<()> {
        let Some(term) = term else { return Ok(()) };
        if self.store.leadership().borrow().term == term { Ok(()) } else { Err(term_over(Some(term))) }
    }

    /// Proposes a plan; a dry run ends before that, with the state as it would be.
    pub(crate) async fn finish(&self, call: &Call, target: &Target, plan: Plan, dry_run: bool) -> ApiResult<Finished> {
        let bytes = if dry_run {
            plan.dry()
        } else if plan.ops.is_empty() {
            self.check_term(call.term)?;
            plan.after.at(Revision(0))
        } else {
            match self.propose(call.term, plan.guards, plan.ops).await? {
                Ok(revision) => plan.after.at(revision),
                Err(guard) => return Ok(Finished::Lost { own: guard == 0 }),
            }
        };
        if target.group() == crate::custom::GROUP {
            self.registry.refresh(&self.reader);
        }
        let answer = self.answer(target, bytes, plan.created).await?;
        Ok(Finished::Answer(Answer { accepted: plan.accepted, ..answer }))
    }

    /// The removal of an object with what it had allocated.
    ///
    /// # Errors
    /// What a conversion of the object fails with.
    pub(crate) async fn removal(&self, call: &Call, target: &Target, live: &Live) -> ApiResult<Plan> {
        let cx = self.context(call, target, false);
        let freed = target.row.strategy.release(&cx, &live.value);
        let last = crate::codec::encode(&crate::codec::decode(&live.bytes));
        Ok(Plan::remove(target.key(), live.revision, last).with(freed, call.now))
    }
}

fn term_over(term: Option<Term>) -> Status {
    let term = term.unwrap_or_default().0;
    Status::failure(409, "Conflict", format!("the leader is no longer in term {term}"))
}

impl After {
    /// The object's bytes once the write has its revision.
    pub(crate) fn at(&self, revision: Revision) -> Bytes {
        match self {
            Self::Written(encoded) => encoded.at(revision.0),
            Self::Bytes(bytes) => bytes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dry_run_shows_no_revision() {
        let encoded = crate::codec::encode(&json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "n"}}));
        let value = crate::codec::decode(&Plan::create(Bytes::new(), encoded).dry());
        assert_eq!(value, json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "n"}}));
    }
}
