//! Several writes as one: all or nothing, under one revision.

use std::collections::HashSet;

use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Guard, Op, Revision};
use serde_json::Value;

use super::commit::{Answer, Plan};
use super::decode::Body;
use super::identity::check_name;
use super::patch::Change;
use super::read::not_found;
use super::{Call, DeleteOptions, Engine, Target, WriteOptions};

const TRIES: usize = 8;
const MODIFIED: &str = "the objects have been modified; please apply your changes to the latest version and try again";

/// One write of a transaction.
#[derive(Clone)]
pub enum Operation {
    /// Make an object.
    Create(Body),
    /// Replace one.
    Update(Body),
    /// Patch or apply one.
    Change(Change),
    /// Delete one.
    Delete(DeleteOptions),
}

impl Engine {
    /// Does all operations or none. A dry run does none, and answers what they would do.
    ///
    /// # Errors
    /// The first operation's that is refused, or 400 if two of them would write the same object, such as the usage of one
    /// quota: each was planned without the other, so one write would be lost. Nothing has been done then.
    pub async fn transact(
        &self,
        call: &mut Call,
        operations: &[(Target, Operation)],
        options: &WriteOptions,
    ) -> ApiResult<(Vec<Answer>, Revision)> {
        let mut lost = Status::conflict_because("", "transactions", "", MODIFIED);
        for _ in 0..TRIES {
            let mut plans = Vec::with_capacity(operations.len());
            for (target, operation) in operations {
                plans.push(self.plan(call, target, operation, options).await?);
            }
            match self.commit(call, operations, &plans, options.dry_run).await? {
                Ok(revision) => return self.answers(operations, &plans, revision, options.dry_run).await,
                Err(guard) => {
                    let Some((target, object)) = creation_of(operations, &plans, guard) else { continue };
                    lost = self.name_taken(&target, &object).await;
                    // Where the server draws the name, it draws another.
                    if meta::generate_name(&object).is_empty() {
                        break;
                    }
                }
            }
        }
        Err(lost)
    }

    /// Proposes what was planned; the number of the guard that failed if one did.
    async fn commit(
        &self,
        call: &Call,
        operations: &[(Target, Operation)],
        plans: &[Plan],
        dry_run: bool,
    ) -> ApiResult<Result<Revision, usize>> {
        let guards = plans.iter().flat_map(|plan| plan.guards.clone()).collect();
        let ops: Vec<_> = plans.iter().flat_map(|plan| plan.ops.clone()).collect();
        each_once(&ops)?;
        if dry_run {
            for (target, object) in operations.iter().zip(plans).filter_map(creation) {
                self.check_absent(&target, &object).await?;
            }
            return Ok(Ok(self.store.applied()));
        }
        if ops.is_empty() {
            self.check_term(call.term)?;
            return Ok(Ok(self.store.applied()));
        }
        self.propose(call.term, guards, ops).await
    }

    async fn answers(
        &self,
        operations: &[(Target, Operation)],
        plans: &[Plan],
        revision: Revision,
        dry_run: bool,
    ) -> ApiResult<(Vec<Answer>, Revision)> {
        let mut answers = Vec::with_capacity(plans.len());
        for ((target, _), plan) in operations.iter().zip(plans) {
            let bytes = if dry_run { plan.dry() } else { plan.after.at(revision) };
            answers.push(self.answer(target, bytes, plan.created).await?);
        }
        Ok((answers, revision))
    }

    async fn plan(
        &self,
        call: &mut Call,
        target: &Target,
        operation: &Operation,
        options: &WriteOptions,
    ) -> ApiResult<Plan> {
        match operation {
            Operation::Create(body) => {
                let object = self.read_body(call, target, body.clone(), options)?;
                let mut name = String::new();
                self.plan_create(call, target, object, options, &mut name).await
            }
            Operation::Update(body) => {
                let object = self.read_body(call, target, body.clone(), options)?;
                check_name(target, &object)?;
                self.plan_modify(call, target, &Change::Replace(object), options).await
            }
            Operation::Change(change) => self.plan_modify(call, target, change, options).await,
            Operation::Delete(delete) => {
                let live = self.live(target).await?.ok_or_else(|| not_found(target))?;
                let (plan, removed_next) = self.plan_delete(call, target, &live, delete).await?;
                // One revision holds one change of an object: what is marked and removed otherwise goes at once.
                if removed_next { self.removal(call, target, &live).await } else { Ok(plan) }
            }
        }
    }
}

fn each_once(ops: &[Op]) -> ApiResult<()> {
    let mut written = HashSet::new();
    let mut keys = ops.iter().map(|op| match op {
        Op::Put { key, .. } | Op::Delete { key, .. } => key,
    });
    let Some(twice) = keys.find(|key| !written.insert(*key)) else { return Ok(()) };
    let (kind, namespace, name) = crate::key::split(twice).unwrap_or_default();
    let resource = kind.trim_start_matches('/');
    let place = if namespace.is_empty() { String::new() } else { format!(" in namespace \"{namespace}\"") };
    Err(Status::bad_request(format!(
        "two operations of the transaction write {resource} \"{name}\"{place}; do one of them on its own"
    )))
}

/// Where something new is to be, and what, if that is what was planned.
fn creation(((target, operation), plan): (&(Target, Operation), &Plan)) -> Option<(Target, Value)> {
    let (Operation::Create(_), Some(Guard::Absent(_))) = (operation, plan.guards.first()) else { return None };
    let object = crate::codec::decode(&plan.after.at(Revision(0)));
    Some((target.named(meta::name(&object)), object))
}

/// The creation that the guard with this number keeps from writing over another object.
fn creation_of(operations: &[(Target, Operation)], plans: &[Plan], guard: usize) -> Option<(Target, Value)> {
    let mut before = 0;
    for planned in operations.iter().zip(plans) {
        // What is written along with an object has guards after the object's own.
        if guard == before {
            return creation(planned);
        }
        before += planned.1.guards.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::key::ObjectKey;

    fn put(name: &str) -> Op {
        let (resource, namespace) = ("resourcequotas".into(), "ns".into());
        let key = ObjectKey { group: String::new(), resource, namespace, name: name.into() }.encode();
        Op::Put { key, value: Bytes::new(), splice: None }
    }

    #[test]
    fn nothing_is_written_twice() {
        assert_eq!(each_once(&[put("a"), put("b")]), Ok(()));
        let refused = each_once(&[put("a"), put("b"), put("a")]).unwrap_err();
        assert_eq!(refused.code(), 400);
        assert_eq!(
            refused.message,
            "two operations of the transaction write resourcequotas \"a\" in namespace \"ns\"; do one of them on its own"
        );
    }
}
