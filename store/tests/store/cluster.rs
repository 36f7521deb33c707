//! Three masters: failover, restarts, replacement, consistent reads, watches that miss and repeat nothing.

use std::time::{Duration, Instant};

use crate::support::*;
use mainstay_store::{Freshness, Revision, Role, Start, Store, StoreError, TxnOutcome};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_master_takes_writes_and_reads_what_was_written() {
    let cluster = Cluster::new();
    let stores = cluster.three().await;
    let names: Vec<_> = stores[2].members().into_iter().map(|member| member.name).collect();
    assert_eq!(names, ["a", "b", "c"]);
    for (number, store) in stores.iter().enumerate() {
        let revision = commit(store, put(format!("k{number}"), "v")).await;
        for reader in &stores {
            let (entry, at) = reader.get(format!("k{number}").as_bytes(), Freshness::Consistent).await.unwrap();
            assert_eq!(entry.unwrap().modified, revision);
            assert!(at >= revision);
        }
    }
    let refused = stores[1].propose(create("k0", "again")).await.unwrap();
    assert!(matches!(refused, TxnOutcome::Refused { guard: 0, found: Some(_) }));
    let status = stores[1].status().await.unwrap();
    assert_eq!(status.members.len(), 3);
    assert!(status.members.iter().all(|member| member.reachable && member.lag.is_some()));
    assert_eq!(status.members.iter().filter(|member| member.role == Role::Leader).count(), 1);
    for store in &stores {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leadership_moves_on_demand_and_with_shutdown() {
    let cluster = Cluster::new();
    let stores = cluster.three().await;
    stores[1].transfer_leader(Some("c".to_owned())).await.unwrap();
    let now = leadership(&stores[0], |now| now.leader.as_ref().is_some_and(|leader| leader.name == "c")).await;
    leadership(&stores[2], |mine| mine.acting && mine.term >= now.term).await;
    assert!(matches!(stores[0].transfer_leader(Some("nobody".to_owned())).await, Err(StoreError::Membership(_))));
    let started = Instant::now();
    stores[2].shutdown().await;
    insist(&stores[0], put("after", "v")).await;
    // Without a hand-over it takes an election timeout of up to 800 ms and a lease of as much.
    tracing::info!(took = ?started.elapsed(), "hand-over and first write");
    for store in &stores[..2] {
        leadership(store, |now| now.leader.as_ref().is_some_and(|leader| leader.name != "c")).await;
    }
    // Only now: the last one alone has no leader any more.
    for store in &stores[..2] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_and_a_watch_sees_all_of_it_over_failovers() {
    let cluster = Cluster::new();
    let mut stores = cluster.three().await.to_vec();
    let shared: Shared<Vec<Store>> = std::sync::Arc::new(parking_lot::Mutex::new(stores.clone()));
    let watched = stores[1].clone();
    let start = watched.applied();
    let (done, stop) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn(write_until(shared.clone(), stop));
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let leader = acting_leader(&stores).await;
        if stores[leader].me().name == "b" {
            // The watched one stays.
            stores[leader].transfer_leader(None).await.ok();
            continue;
        }
        let store = stores.remove(leader);
        *shared.lock() = stores.clone();
        let (name, address) = (store.me().name.clone(), store.me().peer_address.clone());
        store.shutdown().await;
        drop(store);
        let back = cluster.again(&name, &address).await;
        stores.push(back);
        *shared.lock() = stores.clone();
    }
    done.send(true).unwrap();
    let acknowledged = writer.await.unwrap();
    assert!(acknowledged.len() > 20, "only {} writes", acknowledged.len());
    let end = insist(&watched, put("end", "v")).await;
    applied_at_least(&watched, end).await;
    let mut watch = watched.watch(b("w/"), start).unwrap();
    let mut seen = Vec::new();
    while watch.revision() < end {
        seen.extend(watch.next().await.unwrap().events);
    }
    assert!(seen.windows(2).all(|pair| pair[0].revision < pair[1].revision), "repeated or out of order");
    for (value, revision) in acknowledged {
        let found = seen.iter().find(|event| event.revision == revision).expect("acknowledged");
        assert_eq!(found.value, b(value));
    }
    for store in &stores {
        store.shutdown().await;
    }
}

/// Numbered writes through changing masters; returns those that were acknowledged.
async fn write_until(stores: Shared<Vec<Store>>, stop: tokio::sync::watch::Receiver<bool>) -> Vec<(String, Revision)> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !*stop.borrow() {
        let store = {
            let stores = stores.lock();
            stores[number % stores.len()].clone()
        };
        let value = format!("{number}");
        match store.propose(put("w/k", value.clone())).await {
            Ok(TxnOutcome::Committed(revision)) => acknowledged.push((value, revision)),
            Ok(refused) => panic!("{refused:?}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
        number += 1;
    }
    acknowledged
}

/// Ends a master and takes its disk.
async fn wipe(cluster: &Cluster, store: Store) {
    let dir = cluster.dir(&store.me().name);
    store.shutdown().await;
    drop(store);
    // The database closes a moment after its last handle is gone.
    while std::fs::remove_dir_all(&dir).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wiped_master_comes_back_by_snapshot_under_a_new_id() {
    let mut cluster = Cluster::new();
    // Cut the log early, so that the newcomer cannot be fed from it.
    cluster.tuning.snapshot_log_entries = 50;
    cluster.tuning.log_bytes_kept = 1000;
    let [a, b_store, c] = cluster.three().await;
    let old_id = c.me().id;
    wipe(&cluster, c).await;
    let start = a.applied();
    for number in 0..200 {
        insist(&a, put(format!("k{number}"), "v")).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let last = insist(&b_store, put("last", "v")).await;
    let c = cluster.join("c", &[&a, &b_store]).await;
    assert_ne!(c.me().id, old_id);
    assert_eq!(c.consistent_revision().await.unwrap(), last);
    assert_eq!(c.members().len(), 3);
    assert!(c.members().iter().all(|member| member.id != old_id));
    // History came along: a watch goes on where it was on another master.
    let mut watch = c.watch(b("k"), start).unwrap();
    let mut events = 0;
    while watch.revision() < last {
        events += watch.next().await.unwrap().events.len();
    }
    assert_eq!(events, 200);
    let next = insist(&c, put("next", "v")).await;
    assert!(next > last);
    for store in [&a, &b_store, &c] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_that_was_away_catches_up() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    let address = c.me().peer_address.clone();
    c.shutdown().await;
    drop(c);
    for number in 0..100 {
        insist(&b_store, put(format!("k{number}"), "v")).await;
    }
    let c = cluster.again("c", &address).await;
    let last = a.consistent_revision().await.unwrap();
    applied_at_least(&c, last).await;
    let (entry, _) = c.get(b"k99", Freshness::Consistent).await.unwrap();
    assert!(entry.is_some());
    for store in [&a, &b_store, &c] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_majority_writes_and_consistent_reads_fail_and_local_reads_go_on() {
    let mut cluster = Cluster::new();
    cluster.tuning.propose_timeout = Duration::from_secs(1);
    cluster.tuning.read_timeout = Duration::from_secs(2);
    let [a, b_store, c] = cluster.three().await;
    insist(&a, put("k", "v")).await;
    let revision = c.consistent_revision().await.unwrap();
    a.shutdown().await;
    b_store.shutdown().await;
    let written = c.propose(put("k", "w")).await;
    assert!(matches!(written, Err(StoreError::NoLeader | StoreError::Timeout)), "{written:?}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let read = c.get(b"k", Freshness::Consistent).await;
    assert!(matches!(read, Err(StoreError::NoLeader)), "{read:?}");
    let (entry, at) = c.get(b"k", Freshness::Local).await.unwrap();
    assert_eq!((entry.unwrap().value, at), (b("v"), revision));
    assert!(!c.leadership().borrow().acting);
    c.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn members_are_removed_and_the_last_one_stays() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    a.remove_member("c").await.unwrap();
    assert_eq!(a.members().len(), 2);
    insist(&b_store, put("k", "v")).await;
    assert!(matches!(a.remove_member("c").await, Err(StoreError::Membership(_))));
    a.remove_member("b").await.unwrap();
    insist(&a, put("k", "w")).await;
    assert!(matches!(a.remove_member("a").await, Err(StoreError::Membership(_))));
    for store in [&a, &b_store, &c] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_late_order_for_a_wiped_master_leaves_the_one_that_came_back_in() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    let former = c.me().id;
    wipe(&cluster, c).await;
    let c = cluster.join("c", &[&a, &b_store]).await;
    let late = b_store.remove_member_with_id("c", former).await;
    assert!(matches!(late, Err(StoreError::Membership(_))), "{late:?}");
    insist(&c, put("k", "v")).await;
    assert!(a.members().iter().any(|member| member.id == c.me().id));
    a.remove_member_with_id("c", c.me().id).await.unwrap();
    assert_eq!(a.members().len(), 2);
    for store in [&a, &b_store, &c] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_masters_of_the_same_authority_are_let_in() {
    let mut cluster = Cluster::new();
    cluster.tuning.join_timeout = Duration::from_secs(1);
    let a = cluster.first("a").await;
    let peers = vec![a.me().peer_address.clone()];
    let mut stranger = cluster.config("b", Start::Join(peers.clone()));
    stranger.tls = Authority::new().issue("b", MASTERS);
    let refused = Store::open(stranger).await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{:?}", refused.err());
    let mut node = cluster.config("c", Start::Join(peers));
    node.tls = cluster.authority.issue("c", "system:nodes");
    assert!(matches!(Store::open(node).await, Err(StoreError::Config(_))));
    assert_eq!(a.members().len(), 1);
    a.shutdown().await;
}

/// Nothing is refused while the leader is heard; then, and for what is under way too, at once instead of in seconds.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_is_cut_off_refuses_at_once() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    insist(&c, put("k", "v")).await;
    assert!(!c.is_cut_off());
    a.shutdown().await;
    b_store.shutdown().await;
    let under_way = c.propose(put("k", "w"));
    let (cut_off, under_way) = tokio::join!(tokio::time::timeout(Duration::from_secs(8), c.cut_off()), under_way);
    cut_off.unwrap();
    assert!(matches!(under_way, Err(StoreError::NoLeader | StoreError::Timeout)), "{under_way:?}");
    let began = std::time::Instant::now();
    let read = c.get(b"k", Freshness::Consistent).await;
    let written = c.propose(put("k", "x")).await;
    assert!(
        matches!((&read, &written), (Err(StoreError::NoLeader), Err(StoreError::NoLeader))),
        "{read:?} {written:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    c.shutdown().await;
}
