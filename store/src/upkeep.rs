//! Regular chores: measuring the disk, flushing the state so that the log can be cut, dropping old history.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::Fatal;
use tokio::time::MissedTickBehavior;

use crate::clock::now_ms;
use crate::log::Appended;
use crate::node::Node;
use crate::raft_types::TypeConfig;

const TICK: Duration = Duration::from_secs(1);
/// How often the log's growth is looked at; at full speed it grows by some ten megabytes in that time.
const CUT_TICK: Duration = Duration::from_millis(200);
/// Parts of the kept bytes that are told apart.
const GRAINS: u64 = 16;

/// Measures free space every second; a leader asks the other masters for theirs.
pub(crate) async fn watch_disk(node: Arc<Node>) {
    while tick(&node, TICK).await {
        node.disk.measure();
        let leads = node.leadership.borrow().acting;
        node.disk.record_others(leads && others_low(&node).await);
    }
}

async fn others_low(node: &Node) -> bool {
    let others = node.members().into_iter().filter(|member| member.id != node.me.id);
    let asked = others.map(|member| async move { node.ping(&member).await.is_some_and(|reply| reply.disk_low) });
    futures::future::join_all(asked).await.contains(&true)
}

/// Flushes the state once enough has been appended, then cuts the log behind it, but for what followers that lag a little
/// still need. What is cut before RocksDB writes its memtable to a file is never written to one.
pub(crate) async fn cut_log(node: Arc<Node>) {
    let mut growth = Growth::default();
    let mut flushed = node.log.appended();
    let mut cut = 0;
    while tick(&node, CUT_TICK).await {
        let now = node.log.appended();
        growth.record(now, node.tuning.log_bytes_kept);
        let (bytes, entries) = (now.bytes - flushed.bytes, now.entries - flushed.entries);
        if bytes >= node.tuning.snapshot_log_bytes || entries >= node.tuning.snapshot_log_entries {
            flushed = now;
            report("flush the state", node.raft.trigger().snapshot().await);
        }
        let upto = growth.dispensable.min(flushed_index(&node));
        if upto > cut {
            cut = upto;
            report("cut the log", node.raft.trigger().purge_log(upto).await);
        }
    }
}

fn report(what: &str, outcome: Result<(), Fatal<TypeConfig>>) {
    if let Err(error) = outcome {
        tracing::debug!(%error, what, "refused");
    }
}

/// The last entry whose effects are on disk.
fn flushed_index(node: &Node) -> u64 {
    node.raft.metrics().borrow_watched().snapshot.as_ref().map_or(0, |id| id.index)
}

/// How the log grew of late, to tell which entries lie further back than the bytes to be kept.
#[derive(Default)]
struct Growth {
    seen: VecDeque<Appended>,
    /// Entries up to this index are not needed any more.
    dispensable: u64,
}

impl Growth {
    fn record(&mut self, now: Appended, kept: u64) {
        if self.seen.back().is_none_or(|last| last.bytes + kept / GRAINS < now.bytes) {
            self.seen.push_back(now);
        }
        while let Some(old) = self.seen.pop_front_if(|old| old.bytes + kept <= now.bytes) {
            self.dispensable = old.last;
        }
    }
}

/// Drops history older than it is kept. Each master does so by itself; no outcome depends on it.
pub(crate) async fn compact(node: Arc<Node>) {
    let kept = u64::try_from(node.tuning.history.as_millis()).unwrap_or(u64::MAX);
    while tick(&node, node.tuning.compact_every).await {
        let db = node.state.db();
        let before = now_ms().saturating_sub(kept);
        match crate::thread::blocking(move || db.compact(before)).await {
            Ok(Ok(Some(floor))) => tracing::debug!(floor = floor.0, "history compacted"),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot compact history"),
            Err(error) => tracing::error!(%error, "compaction ended"),
        }
    }
}

/// Waits; `false` once the node stops.
async fn tick(node: &Node, every: Duration) -> bool {
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::select! {
        () = node.stop.cancelled() => false,
        _ = interval.tick() => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_kept_bytes_is_dispensable() {
        let mut growth = Growth::default();
        for step in 1..=10 {
            growth.record(Appended { bytes: step * 100, entries: step, last: step }, 350);
        }
        assert_eq!(growth.dispensable, 6, "1000 - 350 bytes were appended with entry 6 at the latest");
        growth.record(Appended { bytes: 1000, entries: 10, last: 10 }, 350);
        assert_eq!(growth.dispensable, 6);
    }

    #[test]
    fn steps_that_are_small_beside_the_kept_bytes_are_not_told_apart() {
        let mut growth = Growth::default();
        for step in 1..=10_000 {
            growth.record(Appended { bytes: step, entries: step, last: step }, 1_600);
        }
        assert!(growth.seen.len() <= 17, "{} samples", growth.seen.len());
        assert!((8_300..=8_400).contains(&growth.dispensable), "{}", growth.dispensable);
    }
}
