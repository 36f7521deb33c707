//! New clusters from a backup and from the last survivor.

use std::time::Duration;

use crate::support::*;
use mainstay_store::{Freshness, Revision, Start, Store, StoreError};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_while_serving_becomes_a_new_cluster() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    for number in 0..100 {
        commit(&store, put(format!("k{number}"), "v")).await;
    }
    let file = cluster.dir("backup");
    let info = store.backup(&file).await.unwrap();
    assert_eq!(info.revision, store.applied());
    commit(&store, put("later", "v")).await;
    store.shutdown().await;

    let revision = mainstay_store::restore(&file, &cluster.dir("r"), "r").unwrap();
    assert!(revision > info.revision);
    assert!(mainstay_store::restore(&file, &cluster.dir("r"), "r").is_err());
    let restored = cluster.first("r").await;
    assert_eq!(restored.consistent_revision().await.unwrap(), revision);
    assert!(restored.get(b"k99", Freshness::Consistent).await.unwrap().0.is_some());
    assert!(restored.get(b"later", Freshness::Consistent).await.unwrap().0.is_none());
    assert!(matches!(restored.watch(b(""), info.revision), Err(StoreError::Compacted { .. })));
    assert_eq!(commit(&restored, put("k", "v")).await, Revision(revision.0 + 1));
    assert_eq!(restored.members().len(), 1);
    let joined = cluster.join("s", &[&restored]).await;
    assert!(joined.get(b"k99", Freshness::Consistent).await.unwrap().0.is_some());
    for store in [&restored, &joined] {
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_interrupted_goes_on_where_it_was() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    for number in 0..200 {
        commit(&store, put(format!("k{number}"), "v".repeat(4 << 10))).await;
    }
    let backup = store.backup_file().await.unwrap();
    // Writes meanwhile do not reach it.
    commit(&store, put("later", "v")).await;
    let copy = cluster.dir("copy");
    std::fs::write(&copy, []).unwrap();
    // Each turn is another connection: it knows how much it has, and takes an odd part of the rest.
    loop {
        let has = std::fs::read(&copy).unwrap();
        let piece = backup.read(has.len() as u64, 77_777).unwrap();
        if piece.is_empty() {
            break;
        }
        std::fs::write(&copy, [has, piece].concat()).unwrap();
    }
    assert_eq!(std::fs::metadata(&copy).unwrap().len(), backup.size());
    assert_eq!(&mainstay_store::verify_backup(&copy).unwrap(), backup.info());
    let left_overs = || std::fs::read_dir(cluster.dir("a").join("checkpoints")).unwrap().count();
    assert_eq!(left_overs(), 1);
    drop(backup);
    assert_eq!(left_overs(), 0);
    store.shutdown().await;
    mainstay_store::restore(&copy, &cluster.dir("r"), "r").unwrap();
    let restored = cluster.first("r").await;
    assert!(restored.get(b"k199", Freshness::Consistent).await.unwrap().0.is_some());
    assert!(restored.get(b"later", Freshness::Consistent).await.unwrap().0.is_none());
    restored.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_survivor_of_three_becomes_a_cluster_again() {
    let cluster = Cluster::new();
    let [a, b_store, c] = cluster.three().await;
    let last = insist(&a, put("k", "v")).await;
    applied_at_least(&c, last).await;
    a.shutdown().await;
    b_store.shutdown().await;
    c.shutdown().await;
    drop((a, b_store, c));
    let survivor = loop {
        match mainstay_store::recover(&cluster.dir("c")) {
            Ok(survivor) => break survivor,
            Err(StoreError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(survivor.name, "c");
    let c = Store::open(cluster.config("c", Start::Join(Vec::new()))).await.unwrap();
    leadership(&c, |now| now.acting).await;
    assert_eq!(c.get(b"k", Freshness::Consistent).await.unwrap().0.unwrap().modified, last);
    assert_eq!(insist(&c, put("k", "w")).await, Revision(last.0 + 1));
    let d = cluster.join("d", &[&c]).await;
    assert!(d.get(b"k", Freshness::Consistent).await.unwrap().0.is_some());
    assert_eq!(d.members().iter().map(|member| member.name.as_str()).collect::<Vec<_>>(), ["c", "d"]);
    for store in [&c, &d] {
        store.shutdown().await;
    }
}
