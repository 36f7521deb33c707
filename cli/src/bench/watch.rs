//! `bench watch`: how many changes watchers of one prefix receive while clients write, and how late.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::SendStream;
use hdrhistogram::Histogram;
use mainstay_proto::etcd::{WatchCreateRequest, WatchRequest, WatchResponse, watch_request};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::messages::{Messages, framed};
use super::rows::{self, Row};
use super::system::{self, System};
use super::{WatchArgs, load};

/// Watchers that share a connection, fewer than a server allows streams on one.
const PER_CONNECTION: usize = 50;
/// The first bytes of each value: when it was written, in microseconds after the load began.
const STAMP: usize = 8;

/// Longer delays, in microseconds, count as this one.
const LONGEST_DELAY: u64 = 60_000_000;

/// Delays in microseconds, of the watchers of one connection.
type Delays = Arc<Mutex<Histogram<u64>>>;

/// Loads one system after the other, prints the rows.
pub(super) async fn run(args: &WatchArgs) -> Result<()> {
    let rows = system::each(&args.servers, async |system| {
        let mut rows = Vec::new();
        for clients in &args.load.clients {
            rows.push(measure(system, *clients, args).await?);
        }
        Ok(rows)
    });
    rows::print(&rows.await?, args.load.json)
}

/// Puts in a closed loop; what counts is what arrives at the watchers meanwhile.
async fn measure(system: &System, clients: usize, args: &WatchArgs) -> Result<Row> {
    let begun = Instant::now();
    let (_watchers, delays) = watch_all(system, args.watchers, begun).await?;
    let (targets, size) = (system.clients[0].clone(), args.load.value_bytes.max(STAMP));
    let loaded = Instant::now();
    let puts = load::run(clients, args.load.length(), move |client, sequence| {
        let mut target = targets[client % targets.len()].clone();
        let put = system::put_request(sequence, stamped(begun, size));
        async move { target.put(put).await.map(drop).context("put") }
    })
    .await?;
    let took = loaded.elapsed();
    let mut all: Histogram<u64> = Histogram::new_with_bounds(1, LONGEST_DELAY, 3).context("making a histogram")?;
    for own in &delays {
        all.add(&*own.lock()).context("adding up delays")?;
    }
    anyhow::ensure!(!all.is_empty(), "{}: nothing arrived at the watchers", system.name);
    Ok(Row {
        system: system.name,
        op: format!("watch x{}", args.watchers),
        clients,
        per_s: all.len() as f64 / took.as_secs_f64(),
        p50_ms: all.value_at_quantile(0.5) as f64 / 1000.0,
        p99_ms: all.value_at_quantile(0.99) as f64 / 1000.0,
        errors: puts.errors,
        rss_mib: system.resident_mib(),
    })
}

fn stamped(begun: Instant, size: usize) -> Bytes {
    let now = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut value = vec![b'v'; size];
    value[..STAMP].copy_from_slice(&now.to_be_bytes());
    value.into()
}

/// Watchers of all keys of the load, spread over the members; they end when the set is dropped.
async fn watch_all(system: &System, watchers: usize, begun: Instant) -> Result<(JoinSet<()>, Vec<Delays>)> {
    let mut running = JoinSet::new();
    let mut delays: Vec<Delays> = Vec::new();
    for number in 0..watchers.div_ceil(PER_CONNECTION) {
        let address = system.addresses[number % system.addresses.len()];
        let connection = system::connection(address).await?;
        let own = Histogram::new_with_bounds(1, LONGEST_DELAY, 3).context("making a histogram")?;
        let own = Arc::new(Mutex::new(own));
        for _ in 0..PER_CONNECTION.min(watchers - number * PER_CONNECTION) {
            let watcher = Watcher::open(&connection, address).await.context("opening a watch")?;
            running.spawn(watcher.follow(own.clone(), begun));
        }
        delays.push(own);
    }
    Ok((running, delays))
}

/// A watch of all keys of the load.
struct Watcher {
    responses: Messages,
    /// The end of the requests would be the watch's end.
    _requests: SendStream<Bytes>,
}

impl Watcher {
    /// Returns once the member says that the watch is there.
    async fn open(connection: &Connection, address: SocketAddr) -> Result<Self> {
        let (key, range_end) = (system::prefix(), system::after_prefix());
        let create = WatchCreateRequest { key, range_end, start_revision: 0 };
        let request = WatchRequest { request: Some(watch_request::Request::Create(create)) };
        let head = http::Request::post(format!("http://{address}/etcdserverpb.Watch/Watch"))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(())?;
        let (answer, requests) = connection.open(head, framed(&request)).await?;
        let mut responses = Messages::of(answer.into_body());
        let first: WatchResponse = responses.next().await?.context("the watch ended")?;
        anyhow::ensure!(first.created, "the watch was not made");
        Ok(Self { responses, _requests: requests })
    }

    async fn follow(mut self, delays: Delays, begun: Instant) {
        while let Ok(Some(response)) = self.responses.next::<WatchResponse>().await {
            let now = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let mut delays = delays.lock();
            for value in response.events.into_iter().filter_map(|event| event.kv).map(|kv| kv.value) {
                let Some(stamp) = value.first_chunk::<STAMP>() else { continue };
                let delay = now.saturating_sub(u64::from_be_bytes(*stamp));
                delays.saturating_record(delay.max(1));
            }
        }
    }
}
