//! A master's software: the store, and its clients on the same host, which go down with it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::net::SimulatedNet;
use super::world::{MASTERS, Order, World};
use super::{clients, watchers};
use crate::config::{Start, StoreConfig, Tuning};
use crate::error::StoreError;
use crate::log::Writing;
use crate::open::Ground;
use crate::store::Store;
use crate::types::Revision;

const PORT: u16 = 7000;
/// Clients of each master.
const CLIENTS: u64 = 3;

/// Small limits, so that a short run reaches all of them.
fn tuning() -> Tuning {
    Tuning {
        propose_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_millis(1500),
        join_timeout: Duration::from_secs(20),
        queue: 64,
        batch_txns: 8,
        history: Duration::from_secs(6),
        compact_every: Duration::from_secs(1),
        ring_bytes: 4 << 10,
        log_cache_bytes: 2 << 10,
        log_segment_bytes: 16 << 10,
        snapshot_log_entries: 150,
        log_bytes_kept: 4 << 10,
        disk_low_bytes: 0,
        own_thread: false,
        ..Tuning::default()
    }
}

fn config(world: &World, master: usize) -> StoreConfig {
    let peers = (0..MASTERS.len()).filter(|other| *other != master).map(address).collect();
    let first = master == 0 && !world.founded.get();
    StoreConfig {
        name: MASTERS[master].to_owned(),
        id: 0,
        data_dir: world.dir(master),
        peer_listen: ([0, 0, 0, 0], PORT).into(),
        peer_address: address(master),
        api_url: String::new(),
        tls: world.tls.clone(),
        start: if first { Start::Bootstrap } else { Start::Join(peers) },
        tuning: tuning(),
    }
}

fn address(master: usize) -> String {
    format!("{}:{PORT}", MASTERS[master])
}

/// Runs until it is crashed or gives up; then whoever watches over it starts it again.
pub(super) async fn run(world: Rc<World>, master: usize) -> turmoil::Result {
    let ground = Ground { net: Some(Arc::new(SimulatedNet)), writing: Writing::Task, askers: None };
    let store = match Store::open_on(config(&world, master), ground).await {
        Ok(store) => store,
        Err(error) => {
            judge(&world, master, &error);
            return Ok(());
        }
    };
    world.serving.borrow_mut()[master] = true;
    for client in 0..CLIENTS {
        tokio::task::spawn_local(clients::run(world.clone(), store.clone(), client));
    }
    for session in 0..world.sessions.borrow().len() {
        tokio::task::spawn_local(watchers::run(world.clone(), store.clone(), master, session));
    }
    tokio::task::spawn_local(report_leader(world.clone(), store.clone(), master));
    tokio::task::spawn_local(obey(world.clone(), store.clone(), master));
    tokio::task::spawn_local(reach_goal(world.clone(), store.clone(), master));
    let error = store.fatal().await;
    judge(&world, master, &error);
    Ok(())
}

/// What may end a master, and what must not.
fn judge(world: &World, master: usize, error: &StoreError) {
    tracing::info!(master = MASTERS[master], %error, "a master ended");
    world.removed.borrow_mut()[master] = matches!(error, StoreError::Removed { .. });
    if matches!(error, StoreError::Corrupt { .. } | StoreError::Diverged { .. } | StoreError::Io(_)) {
        world.violated("masters go on", format!("{}: {error}", MASTERS[master]));
    }
}

async fn report_leader(world: Rc<World>, store: Store, master: usize) {
    let mut leadership = store.leadership();
    loop {
        let acting = leadership.borrow_and_update().acting;
        if acting {
            world.leader.set(Some(master));
        } else if world.leader.get() == Some(master) {
            world.leader.set(None);
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// Does what operators ask for.
async fn obey(world: Rc<World>, store: Store, master: usize) {
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let order = world.orders.borrow_mut().remove(&master);
        let done = match order {
            None => continue,
            Some(Order::TransferLeader) => store.transfer_leader(None).await,
            Some(Order::Remove { master, id }) => store.remove_member_with_id(MASTERS[master], id).await,
        };
        tracing::info!(?done, "an operator's order");
    }
}

/// Says when this master has caught up with the end.
async fn reach_goal(world: Rc<World>, store: Store, master: usize) {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let Some(goal) = world.goal.get() else { continue };
        if store.applied() >= Revision(goal) && store.consistent_revision().await.is_ok() {
            world.reached.borrow_mut()[master] = true;
        }
    }
}
