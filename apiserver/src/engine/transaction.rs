//! Several writes as one: all or nothing, under one revision.

use mainstay_api::status::{ApiResult, Status};
use mainstay_store::{Guard, Revision};

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
    /// The first operation's that is refused; nothing has been done then.
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
                Ok(self.plan_delete(call, target, live, delete).await?.0)
            }
        }
    }
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
