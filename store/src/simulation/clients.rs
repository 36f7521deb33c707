//! Clients that write and read everything the store offers, and note what they asked and what they got.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use mainstay_history::call::{Action, Call, INITIAL, Outcome};
use mainstay_history::revisions::{Attempt, Condition, Fate, Found, Reading, Span, Step};

use super::world::{World, now};
use crate::error::StoreError;
use crate::query::ListQuery;
use crate::store::Store;
use crate::types::{Entry, Freshness, Guard, Op, Revision, Txn, TxnOutcome};

const KEYS: u32 = 12;
const REGISTERS: u32 = 2;

pub(super) async fn run(world: Rc<World>, store: Store, client: u64) {
    loop {
        tokio::time::sleep(Duration::from_micros(rand::random_range(500..40_000 + client * 10_000))).await;
        if !world.busy.get() {
            continue;
        }
        match rand::random_range(0..20) {
            0..4 => write(&world, &store, vec![], vec![put(&world, key())]).await,
            4..6 => write(&world, &store, vec![], vec![remove(&world, key())]).await,
            6..8 => {
                let key = key();
                write(&world, &store, vec![Condition::Absent(key.clone())], vec![put(&world, key)]).await;
            }
            8..11 => compare_and_set(&world, &store).await,
            11..13 => transaction(&world, &store).await,
            13..16 => get(&world, &store, key(), Freshness::Consistent).await,
            16 => get(&world, &store, key(), Freshness::Local).await,
            17 => get_in_the_past(&world, &store).await,
            18 => list(&world, &store).await,
            _ => register(&world, &store, rand::random_range(0..REGISTERS)).await,
        }
    }
}

fn key() -> Bytes {
    format!("k/{}", rand::random_range(0..KEYS)).into()
}

fn put(world: &World, key: Bytes) -> Step {
    Step { key, value: world.new_value().to_string().into(), delete: false }
}

fn remove(world: &World, key: Bytes) -> Step {
    Step { delete: true, ..put(world, key) }
}

fn txn(conditions: &[Condition], steps: &[Step]) -> Txn {
    let guards = conditions.iter().map(|condition| match condition {
        Condition::Absent(key) => Guard::Absent(key.clone()),
        Condition::Present(key) => Guard::Present(key.clone()),
        Condition::At(key, revision) => Guard::At(key.clone(), Revision(*revision)),
    });
    let ops = steps.iter().map(|step| match step.delete {
        true => Op::Delete { key: step.key.clone(), last: Some((step.value.clone(), None)) },
        false => Op::Put { key: step.key.clone(), value: step.value.clone(), splice: None },
    });
    Txn { guards: guards.collect(), ops: ops.collect() }
}

/// Only what is certain to be undone counts as such.
fn fate(outcome: &Result<TxnOutcome, StoreError>) -> Fate {
    match outcome {
        Ok(TxnOutcome::Committed(revision)) => Fate::Committed(revision.0),
        Ok(TxnOutcome::Refused { guard, found }) => Fate::Refused(*guard as usize, found.map(|revision| revision.0)),
        Err(error) if error.is_retryable() => Fate::NotDone,
        Err(_) => Fate::Unknown,
    }
}

async fn write(world: &World, store: &Store, conditions: Vec<Condition>, steps: Vec<Step>) {
    attempt(world, store, conditions, steps).await;
}

async fn attempt(world: &World, store: &Store, conditions: Vec<Condition>, steps: Vec<Step>) -> Fate {
    let txn = txn(&conditions, &steps);
    let span = Span { sent: now(), answered: Duration::MAX };
    let number = world.begin(Attempt { span, conditions, steps, fate: Fate::Unknown });
    let fate = fate(&store.propose(txn).await);
    world.end(number, fate);
    fate
}

/// Changes a key if it is as it was read just before, on this master or anywhere.
async fn compare_and_set(world: &World, store: &Store) {
    let key = key();
    let fresh = if rand::random() { Freshness::Local } else { Freshness::Consistent };
    let Ok((found, _)) = store.get(&key, fresh).await else {
        return;
    };
    let condition = match found {
        Some(entry) => Condition::At(key.clone(), entry.modified.0),
        None => Condition::Absent(key.clone()),
    };
    let step = if rand::random_bool(0.2) { remove(world, key) } else { put(world, key) };
    write(world, store, vec![condition], vec![step]).await;
}

async fn transaction(world: &World, store: &Store) {
    let mut steps: Vec<Step> = (0..rand::random_range(2..5)).map(|_| put(world, key())).collect();
    if rand::random_bool(0.3) {
        steps.push(remove(world, key()));
    }
    let conditions = if rand::random() { vec![Condition::Present(key())] } else { vec![] };
    write(world, store, conditions, steps).await;
}

fn found(entry: Entry) -> Found {
    Found { key: entry.key, value: entry.value, created: entry.created.0, modified: entry.modified.0 }
}

async fn get(world: &World, store: &Store, key: Bytes, fresh: Freshness) {
    let sent = now();
    let Ok((entry, revision)) = store.get(&key, fresh).await else {
        return;
    };
    note_read(world, sent, key, true, fresh, entry.into_iter().map(found).collect(), revision, 0);
}

#[allow(clippy::too_many_arguments)]
fn note_read(
    world: &World,
    sent: Duration,
    prefix: Bytes,
    exact: bool,
    fresh: Freshness,
    found: Vec<Found>,
    revision: Revision,
    limit: usize,
) {
    let span = Span { sent, answered: now() };
    let consistent = fresh == Freshness::Consistent;
    world.read(Reading { span, exact, prefix, limit, consistent, found, revision: revision.0 });
}

async fn get_in_the_past(world: &World, store: &Store) {
    let back = rand::random_range(0..30);
    let revision = Revision(store.applied().0.saturating_sub(back));
    get(world, store, key(), Freshness::Exactly(revision)).await;
}

async fn list(world: &World, store: &Store) {
    let fresh = match rand::random_range(0..3) {
        0 => Freshness::Consistent,
        1 => Freshness::AtLeast(store.applied()),
        _ => Freshness::Exactly(Revision(store.applied().0.saturating_sub(rand::random_range(0..20)))),
    };
    let (sent, limit) = (now(), rand::random_range(0..5));
    let prefix = Bytes::from_static(if rand::random() { b"k/" } else { b"k/1" });
    let query = ListQuery { prefix: prefix.clone(), after: None, limit, fresh };
    let Ok(page) = store.list(query).await else {
        return;
    };
    let entries = page.entries.into_iter().map(found).collect();
    note_read(world, sent, prefix, false, fresh, entries, page.revision, limit);
}

/// Reads a register, and sometimes sets, compares and sets, or deletes it: for the check that trusts no revision.
async fn register(world: &World, store: &Store, register: u32) {
    let key = Bytes::from(format!("r/{register}"));
    let Some(entry) = read_register(world, store, register, &key).await else {
        return;
    };
    let value = |step: &Step| std::str::from_utf8(&step.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (action, conditions, step) = match rand::random_range(0..6) {
        0 => {
            let step = remove(world, key);
            (Action::Set(INITIAL), vec![], step)
        }
        1 => {
            let step = put(world, key);
            (Action::Set(value(&step)), vec![], step)
        }
        2..5 => {
            let step = put(world, key.clone());
            let (expected, condition) = match &entry {
                Some((value, modified)) => (*value, Condition::At(key, *modified)),
                None => (INITIAL, Condition::Absent(key)),
            };
            (Action::CompareAndSet { expected, new: value(&step) }, vec![condition], step)
        }
        _ => return,
    };
    let number = begin_call(world, register, action);
    let outcome = match attempt(world, store, conditions, vec![step]).await {
        Fate::Committed(_) => Outcome::Done,
        Fate::Refused(..) => Outcome::Refused,
        // Like a value that was changed meanwhile: nothing happened.
        Fate::NotDone => return drop_call(world, number),
        Fate::Unknown => Outcome::Unknown,
    };
    end_call(world, number, outcome);
}

/// `None`: no answer. Else the value, if any, and when it was set.
async fn read_register(world: &World, store: &Store, register: u32, key: &Bytes) -> Option<Option<(u64, u64)>> {
    let number = begin_call(world, register, Action::Read);
    let (entry, _) = store.get(key, Freshness::Consistent).await.ok()?;
    let entry = entry.map(|entry| {
        let text = String::from_utf8_lossy(&entry.value).into_owned();
        (text.parse().unwrap_or(u64::MAX), entry.modified.0)
    });
    end_call(world, number, Outcome::Value(entry.map_or(INITIAL, |(value, _)| value)));
    Some(entry)
}

fn begin_call(world: &World, register: u32, action: Action) -> usize {
    let mut calls = world.calls.borrow_mut();
    calls.push(Call { register, action, outcome: Outcome::Unknown, sent: now(), answered: Duration::MAX });
    calls.len() - 1
}

fn end_call(world: &World, number: usize, outcome: Outcome) {
    let call = &mut world.calls.borrow_mut()[number];
    call.outcome = outcome;
    call.answered = now();
}

/// A write that certainly did not happen says nothing.
fn drop_call(world: &World, number: usize) {
    world.calls.borrow_mut()[number].action = Action::Read;
}
