//! The store's inner loops, for finding out what a change to one of them does: `cargo bench -p mainstay-store`.
#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mainstay_store::bench::{Machine, encode};
use mainstay_store::{Freshness, ListQuery, Op, Txn, Watch};

const VALUE_BYTES: usize = 1024;
/// Transactions in one entry, as some hundred clients bring about.
const BATCH: u64 = 64;
const WATCHERS: usize = 1000;

fn key(number: u64) -> Bytes {
    Bytes::from(format!("bench/key/{number:012}"))
}

fn puts(from: u64) -> Vec<Txn> {
    let value = Bytes::from(vec![b'v'; VALUE_BYTES]);
    let put = |number| Txn {
        guards: Vec::new(),
        ops: vec![Op::Put { key: key(number), value: value.clone(), splice: None }],
    };
    (from..from + BATCH).map(put).collect()
}

fn encoding(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let txns = puts(0);
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("64 puts", |b| b.iter(|| encode(&txns)));
    group.finish();
}

fn applying(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(BATCH));
    let dir = tempfile::tempdir().unwrap();
    let mut machine = Machine::open(dir.path()).unwrap();
    let mut next = 0;
    group.bench_function("64 new keys", |b| {
        b.iter(|| {
            next += BATCH;
            machine.apply(&puts(next)).unwrap()
        });
    });
    let known = next / BATCH;
    let mut turn = 0;
    group.bench_function("64 known keys", |b| {
        b.iter(|| {
            turn += 7;
            machine.apply(&puts(turn % known * BATCH)).unwrap()
        });
    });
    group.finish();
}

fn ranging(c: &mut Criterion) {
    const KEYS: u64 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let mut machine = Machine::open(dir.path()).unwrap();
    (0..KEYS / BATCH).for_each(|batch| {
        machine.apply(&puts(batch * BATCH)).unwrap();
    });
    let query =
        |limit| ListQuery { prefix: Bytes::from_static(b"bench/"), after: None, limit, fresh: Freshness::Local };
    let mut group = c.benchmark_group("range");
    for limit in [1, 500] {
        group.throughput(Throughput::Elements(limit as u64));
        group.bench_function(format!("{limit} keys"), |b| b.iter(|| machine.list(&query(limit)).unwrap()));
    }
    group.finish();
}

fn watching(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut machine = Machine::open(dir.path()).unwrap();
    let mut watches: Vec<Watch> =
        (0..WATCHERS).map(|_| machine.watch(Bytes::from_static(b"bench/")).unwrap()).collect();
    let mut next = 0;
    let mut group = c.benchmark_group("watch");
    group.throughput(Throughput::Elements(BATCH * WATCHERS as u64));
    group.bench_function("64 events to 1000 watchers", |b| {
        b.iter_batched(
            || {
                next += BATCH;
                machine.apply(&puts(next)).unwrap();
            },
            |()| {
                runtime.block_on(async {
                    for watch in &mut watches {
                        assert_eq!(watch.next().await.unwrap().events.len(), BATCH as usize);
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, encoding, applying, ranging, watching);
criterion_main!(benches);
