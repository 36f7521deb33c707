//! What disks do to masters: damage, lack of space, and data that is not what it should be.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mainstay_store::{Freshness, Start, Store, StoreError};

use crate::support::*;

/// The first file of the Raft log.
fn first_segment(log: &Path) -> PathBuf {
    let files = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "segment")).min().unwrap()
}

/// Where what was written into it ends.
fn written_end(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

async fn written(cluster: &Cluster) -> PathBuf {
    let store = cluster.first("a").await;
    for number in 0..200 {
        commit(&store, put(format!("k{number}"), "v".repeat(100))).await;
    }
    store.shutdown().await;
    drop(store);
    let log = cluster.dir("a").join("log");
    closed_log(&log).await;
    first_segment(&log)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_damaged_in_the_middle_is_named_and_refused() {
    let cluster = Cluster::new();
    let segment = written(&cluster).await;
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = written_end(&bytes) / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    let error = Store::open(cluster.config("a", Start::Bootstrap)).await.err().expect("damage is noticed");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("/log"), "{error}");
    assert!(error.to_string().contains("rejoin as a new master, or restore a backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_of_the_log_was_never_acknowledged_and_goes() {
    let cluster = Cluster::new();
    let segment = written(&cluster).await;
    // As after a crash in the middle of a write, of which the end came to the disk.
    let mut bytes = std::fs::read(&segment).unwrap();
    let end = written_end(&bytes) + 100;
    bytes[end..end + 50].fill(7);
    std::fs::write(&segment, bytes).unwrap();
    let store = cluster.first("a").await;
    for number in [0, 199] {
        let (entry, _) = store.get(format!("k{number}").as_bytes(), Freshness::Consistent).await.unwrap();
        assert!(entry.is_some(), "k{number}");
    }
    commit(&store, put("more", "v")).await;
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_without_space_holds_up_puts_and_not_deletes() {
    let mut cluster = Cluster::new();
    let a = cluster.first("a").await;
    insist(&a, put("k", "v")).await;
    let plenty = cluster.tuning.disk_low_bytes;
    cluster.tuning.disk_low_bytes = u64::MAX;
    let b_store = cluster.join("b", &[&a]).await;
    cluster.tuning.disk_low_bytes = plenty;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        match a.propose(put("k", "w")).await {
            Err(StoreError::DiskFull) => break,
            other => assert!(tokio::time::Instant::now() < deadline, "{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    insist(&a, delete("k")).await;
    assert!(a.get(b"k", Freshness::Consistent).await.unwrap().0.is_none());
    a.remove_member("b").await.unwrap();
    insist_after_low_disk(&a).await;
    for store in [&a, &b_store] {
        store.shutdown().await;
    }
}

/// With the full one gone, puts work again by themselves.
async fn insist_after_low_disk(store: &Store) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.propose(put("k", "x")).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_master_that_holds_something_else_says_so_and_joins_anew() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    insist(&a, put("k", "v")).await;
    let address = c.me().peer_address.clone();
    c.shutdown().await;
    drop(c);
    spoil(&cluster.dir("c")).await;
    let c = cluster.again("c", &address).await;
    let writing = async {
        loop {
            insist(&a, put("k", "w")).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let error = tokio::select! {
        error = c.fatal() => error,
        () = writing => unreachable!("it does not end"),
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("nobody noticed"),
    };
    assert!(matches!(error, StoreError::Diverged { .. }), "{error}");
    c.shutdown().await;
    drop(c);
    // A process ends before its data is set aside; here it only stops, and its databases close a moment later.
    let (state, columns) = database(&cluster.dir("c"));
    drop(closed(&state, columns).await);
    closed_log(&cluster.dir("c").join("log")).await;
    let aside = mainstay_store::set_aside_diverged(&cluster.dir("c")).unwrap().expect("it was marked");
    assert!(aside.exists());
    let c = cluster.join("c", &[&a, &b_store]).await;
    let last = insist(&a, put("k", "x")).await;
    applied_at_least(&c, last).await;
    for store in [&a, &b_store, &c] {
        store.shutdown().await;
    }
}

/// A master's state, with its columns.
fn database(data_dir: &Path) -> (PathBuf, &'static [&'static str]) {
    let current = std::fs::read_to_string(data_dir.join("state/CURRENT")).unwrap();
    (data_dir.join("state").join(current.trim()), &["default", "history"])
}

/// Waits until whoever had the log has let go of it.
async fn closed_log(log: &Path) {
    let lock = std::fs::File::open(log.join("lock")).unwrap();
    while lock.try_lock().is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A database, once whoever had it has closed it.
async fn closed(db: &Path, columns: &[&str]) -> rocksdb::DB {
    loop {
        match rocksdb::DB::open_cf(&rocksdb::Options::default(), db, columns) {
            Ok(db) => return db,
            Err(error) if error.to_string().contains("lock") => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Changes the recorded checksum, as if something had once been applied differently.
async fn spoil(data_dir: &Path) {
    let (state, columns) = database(data_dir);
    let db = closed(&state, columns).await;
    let mut applied = db.get(b"m/applied").unwrap().unwrap();
    let last = applied.len() - 1;
    applied[last] ^= 1;
    db.put(b"m/applied", applied).unwrap();
    db.flush().unwrap();
}
