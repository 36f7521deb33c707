//! Clients that watch, are interrupted, and resume where they were.

use std::rc::Rc;
use std::time::Duration;

use mainstay_history::revisions::{Batch, Change};

use super::world::{MASTERS, Session, World, now};
use crate::error::StoreError;
use crate::store::Store;
use crate::types::{Event, EventKind, Freshness, Revision};
use crate::watch::{Watch, WatchBatch};

const PAUSE: Duration = Duration::from_millis(10);

/// One watch over everything for each master, and a few that move from master to master.
pub(super) fn sessions(world: &World) -> Vec<Session> {
    let mut sessions = Vec::new();
    for (home, name) in MASTERS.iter().enumerate() {
        let watching = world.begin_watch(format!("everything on {name}"), b"", 0);
        sessions.push(Session { home, records: true, watching, turn: 0 });
    }
    for prefix in ["", "k/", "k/1", "r/"] {
        let watching = world.begin_watch(format!("{prefix:?} anywhere"), prefix.as_bytes(), 0);
        sessions.push(Session { home: 0, records: false, watching, turn: 0 });
    }
    sessions
}

/// Serves a session whenever it is on this master.
pub(super) async fn run(world: Rc<World>, store: Store, master: usize, session: usize) {
    loop {
        let (home, watching, records, turn) = {
            let sessions = world.sessions.borrow();
            let it = &sessions[session];
            (it.home, it.watching, it.records, it.turn)
        };
        if home != master {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let stay = Duration::from_millis(rand::random_range(if records { 3_000..6_000 } else { 100..1_500 }));
        let ended = tokio::time::timeout(stay, follow(&world, &store, watching)).await;
        if let Ok(StoreError::Compacted { .. }) = ended {
            begin_anew(&world, &store, session).await;
        }
        if !records {
            move_on(&world, session, turn);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// To any master, unless it has moved already.
fn move_on(world: &World, session: usize, turn: u64) {
    let session = &mut world.sessions.borrow_mut()[session];
    if session.turn == turn {
        session.home = rand::random_range(0..MASTERS.len());
        session.turn += 1;
    }
}

/// Until the store ends it.
async fn follow(world: &World, store: &Store, watching: usize) -> StoreError {
    let (cursor, prefix) = world.cursor(watching);
    let mut watch: Watch = match store.watch(prefix, Revision(cursor)) {
        Ok(watch) => watch,
        Err(error) => return error,
    };
    loop {
        match watch.next().await {
            Ok(batch) => world.received(watching, seen(batch)),
            Err(error) => return error,
        }
    }
}

/// Its history is gone: lists, and watches from there.
async fn begin_anew(world: &World, store: &Store, session: usize) {
    let Ok((_, revision)) = store.get(b"none", Freshness::Consistent).await else {
        return;
    };
    let old = world.sessions.borrow()[session].watching;
    let (name, prefix) = {
        let record = world.record.borrow();
        (record.watches[old].name.clone(), record.watches[old].prefix.clone())
    };
    let watching = world.begin_watch(name, &prefix, revision.0);
    world.sessions.borrow_mut()[session].watching = watching;
}

fn seen(batch: WatchBatch) -> Batch {
    let changes = batch.events.iter().map(|event| change(event)).collect();
    Batch { at: now(), changes, revision: batch.revision.0 }
}

fn change(event: &Event) -> Change {
    let deleted = event.kind == EventKind::Deleted;
    Change { revision: event.revision.0, key: event.key.clone(), value: event.value.clone(), deleted }
}
