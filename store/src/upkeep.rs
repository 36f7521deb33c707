//! Regular chores: measuring the disk, flushing the state so that the log can be cut, dropping old history.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::node::Node;
use crate::proposer::now_ms;

const TICK: Duration = Duration::from_secs(1);

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

/// Lets openraft flush the state and cut the log once enough has been appended.
pub(crate) async fn cut_log(node: Arc<Node>) {
    let appended = node.log.appended();
    let mut done = (0, 0);
    while tick(&node, TICK).await {
        let now = appended.read();
        let (bytes, entries) = (now.0 - done.0, now.1 - done.1);
        if bytes < node.tuning.snapshot_log_bytes && entries < node.tuning.snapshot_log_entries {
            continue;
        }
        done = now;
        if let Err(error) = node.raft.trigger().snapshot().await {
            tracing::debug!(%error, "cannot cut the log");
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
