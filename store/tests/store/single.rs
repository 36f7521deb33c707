//! One master: transactions, reads at every freshness, watches, history, restarts.

use std::time::Duration;

use crate::support::*;
use mainstay_store::{
    EventKind, Freshness, Guard, ListQuery, Op, Revision, Start, Store, StoreError, Term, Txn, TxnOutcome,
};

async fn keys(store: &Store, prefix: &str, fresh: Freshness) -> Vec<(String, String)> {
    let query = ListQuery { prefix: b(prefix), after: None, limit: 0, fresh };
    let page = store.list(query).await.unwrap();
    let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    page.entries.iter().map(|entry| (text(&entry.key), text(&entry.value))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_read_back_and_guards_decide() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    let op = Op::Put { key: b("k"), value: b(r#"{"resourceVersion":""}"#), splice: Some(20) };
    let first = commit(&store, Txn { guards: vec![Guard::Absent(b("k"))], ops: vec![op] }).await;
    let (entry, revision) = store.get(b"k", Freshness::Consistent).await.unwrap();
    let entry = entry.unwrap();
    assert_eq!(entry.value, b(format!(r#"{{"resourceVersion":"{}"}}"#, first.0)));
    assert_eq!((entry.created, entry.modified, revision), (first, first, first));

    let refused = store.propose(create("k", "2")).await.unwrap();
    assert_eq!(refused, TxnOutcome::Refused { guard: 0, found: Some(first) });
    let term = leadership(&store, |now| now.acting).await.term;
    let stale = Txn { guards: vec![Guard::InTerm(Term(term.0 + 1))], ..put("k", "2") };
    assert_eq!(store.propose(stale).await.unwrap(), TxnOutcome::Refused { guard: 0, found: None });
    let current = Txn { guards: vec![Guard::InTerm(term), Guard::At(b("k"), first)], ..put("k", "2") };
    assert_eq!(commit(&store, current).await, Revision(first.0 + 1));
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_revision_are_consistent_after_later_writes() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    for key in ["p/a", "p/b", "p/c", "p/d", "q/x"] {
        commit(&store, put(key, "1")).await;
    }
    let query = |after: Option<&str>, fresh| ListQuery { prefix: b("p/"), after: after.map(b), limit: 2, fresh };
    let page = store.list(query(None, Freshness::Consistent)).await.unwrap();
    assert!(page.more && page.entries.len() == 2);
    commit(&store, put("p/aa", "new")).await;
    commit(&store, delete("p/c")).await;
    commit(&store, put("p/d", "2")).await;
    commit(&store, delete("p/a")).await;
    let at = Freshness::Exactly(page.revision);
    let rest = store.list(query(Some("p/b"), at)).await.unwrap();
    let found: Vec<_> = rest.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
    assert_eq!(found, [(b("p/c"), b("1")), (b("p/d"), b("1"))]);
    assert!(!rest.more);
    assert_eq!(rest.revision, page.revision);
    assert_eq!(keys(&store, "p/", at).await, pairs(&[("p/a", "1"), ("p/b", "1"), ("p/c", "1"), ("p/d", "1")]));
    assert_eq!(keys(&store, "p/", Freshness::Consistent).await, pairs(&[("p/aa", "new"), ("p/b", "1"), ("p/d", "2")]));
    let (old, _) = store.get(b"p/a", at).await.unwrap();
    assert_eq!(old.unwrap().value, b("1"));
    let (none, _) = store.get(b"p/aa", at).await.unwrap();
    assert!(none.is_none());
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_gets_every_change_in_order_from_any_kept_revision() {
    let mut cluster = Cluster::new();
    // So small that the ring forgets and history is read.
    cluster.tuning.ring_bytes = 2000;
    let store = cluster.first("a").await;
    let mut live = store.watch(b("w/"), store.applied()).unwrap();
    let start = store.applied();
    for number in 0..100 {
        commit(&store, put("w/k", format!("{number}"))).await;
        commit(&store, put("other", "x")).await;
    }
    let end = commit(&store, delete("w/k")).await;
    let mut late = store.watch(b("w/"), start).unwrap();
    for watch in [&mut live, &mut late] {
        let mut events = Vec::new();
        while watch.revision() < end {
            events.extend(watch.next().await.unwrap().events);
        }
        assert_eq!(events.len(), 101);
        assert!(events.windows(2).all(|pair| pair[0].revision < pair[1].revision));
        assert_eq!(events[0].kind, EventKind::Created);
        assert_eq!(events[7].value, b("7"));
        assert_eq!(events[7].previous, Some(b("6")));
        assert_eq!(events[100].kind, EventKind::Deleted);
        assert_eq!(events[100].value, b("99"));
    }
    store.shutdown().await;
    assert!(matches!(live.next().await, Err(StoreError::Shutdown)));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_history_goes_and_is_said_to_be_gone() {
    let mut cluster = Cluster::new();
    cluster.tuning.history = Duration::from_millis(1500);
    cluster.tuning.compact_every = Duration::from_millis(100);
    let store = cluster.first("a").await;
    let first = commit(&store, put("k", "1")).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    commit(&store, put("k", "2")).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let gone = loop {
        match store.watch(b(""), Revision(0)) {
            Err(error) => break error,
            Ok(_) => assert!(tokio::time::Instant::now() < deadline, "never compacted"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(matches!(gone, StoreError::Compacted { oldest } if oldest >= first));
    let old = store.get(b"k", Freshness::Exactly(Revision(0))).await;
    assert!(matches!(old, Err(StoreError::Compacted { .. })));
    assert_eq!(store.get(b"k", Freshness::Local).await.unwrap().0.unwrap().value, b("2"));
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_data_history_and_identity() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    let id = store.me().id;
    let start = store.applied();
    let mut last = start;
    for number in 0..50 {
        last = commit(&store, put(format!("k{number}"), "v")).await;
    }
    store.shutdown().await;
    drop(store);
    let store = cluster.first("a").await;
    assert_eq!(store.me().id, id);
    assert_eq!(store.consistent_revision().await.unwrap(), last);
    let mut watch = store.watch(b("k"), start).unwrap();
    let mut events = 0;
    while watch.revision() < last {
        events += watch.next().await.unwrap().events.len();
    }
    assert_eq!(events, 50);
    assert_eq!(commit(&store, put("more", "v")).await, Revision(last.0 + 1));
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_of_the_future_is_refused_in_time() {
    let mut cluster = Cluster::new();
    cluster.tuning.read_timeout = Duration::from_millis(300);
    let store = cluster.first("a").await;
    let asked = Revision(store.applied().0 + 10);
    for fresh in [Freshness::AtLeast(asked), Freshness::Exactly(asked)] {
        let result = store.get(b"k", fresh).await;
        assert!(matches!(result, Err(StoreError::FutureRevision { .. })), "{result:?}");
    }
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_disk_refuses_puts_and_takes_deletes() {
    let mut cluster = Cluster::new();
    let store = cluster.first("a").await;
    commit(&store, put("k", "v")).await;
    store.shutdown().await;
    drop(store);
    cluster.tuning.disk_low_bytes = u64::MAX;
    let store = cluster.first("a").await;
    assert!(matches!(store.propose(put("k", "w")).await, Err(StoreError::DiskFull)));
    commit(&store, delete("k")).await;
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_user_of_the_directory_is_turned_away() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    let second = Store::open(cluster.config("a", Start::Bootstrap)).await;
    assert!(matches!(second, Err(StoreError::InUse { .. })), "{:?}", second.err());
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_is_reported_with_the_file_and_what_to_do() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    commit(&store, put("k", "v")).await;
    store.shutdown().await;
    drop(store);
    tokio::time::sleep(Duration::from_millis(200)).await;
    for entry in std::fs::read_dir(cluster.dir("a").join("state/0")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "sst") {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes.truncate(middle);
            std::fs::write(&path, bytes).unwrap();
        }
    }
    let error = Store::open(cluster.config("a", Start::Bootstrap)).await.err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("rejoin as a new master, or restore a backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_entries_and_each_gets_its_own_revision() {
    let cluster = Cluster::new();
    let store = cluster.first("a").await;
    let start = store.applied();
    let writes = (0..1000).map(|number| {
        let store = store.clone();
        async move { commit(&store, put(format!("k{number}"), "v")).await }
    });
    let mut revisions = futures::future::join_all(writes).await;
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len(), 1000);
    assert_eq!(store.applied(), Revision(start.0 + 1000));
    store.shutdown().await;
}
