//! Several writes as one: all or nothing, under one revision.

use std::collections::HashSet;

use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Guard, Op, Revision};

use super::commit::{Answer, Plan};
use super::decode::Body;
use super::identity::check_name;
use super::patch::Change;
use super::read::not_found;
use super::{Call, DeleteOptions, Engine, Target, WriteOptions};

const TRIES: usize = 8;

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
    /// Does all operations or none.
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
        for _ in 0..TRIES {
            let mut plans = Vec::with_capacity(operations.len());
            for (target, operation) in operations {
                plans.push(self.plan(call, target, operation, options).await?);
            }
            let guards = plans.iter().flat_map(|plan| plan.guards.clone()).collect();
            let ops: Vec<_> = plans.iter().flat_map(|plan| plan.ops.clone()).collect();
            each_once(&ops)?;
            let revision = if options.dry_run || ops.is_empty() {
                Ok(self.store.applied())
            } else {
                self.propose(call.term, guards, ops).await?
            };
            let revision = match revision {
                Ok(revision) => revision,
                Err(guard) => match taken(operations, &plans, guard) {
                    Some(status) => return Err(status),
                    None => continue,
                },
            };
            let mut answers = Vec::with_capacity(plans.len());
            for ((target, _), plan) in operations.iter().zip(&plans) {
                answers.push(self.answer(target, plan.after.at(revision), plan.created).await?);
            }
            return Ok((answers, revision));
        }
        Err(Status::conflict_because(
            "",
            "transactions",
            "",
            "the objects have been modified; please apply your changes to the latest version and try again",
        ))
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

/// The refusal of a creation whose name is taken, if it is that what the guard with this number stands for.
fn taken(operations: &[(Target, Operation)], plans: &[Plan], guard: usize) -> Option<Status> {
    let mut before = 0;
    for ((target, operation), plan) in operations.iter().zip(plans) {
        if let (Operation::Create(_), true, Some(Guard::Absent(key))) =
            (operation, guard == before, plan.guards.first())
        {
            let (_, _, name) = crate::key::split(key)?;
            return Some(Status::already_exists(target.group(), target.resource(), name));
        }
        before += plan.guards.len();
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
