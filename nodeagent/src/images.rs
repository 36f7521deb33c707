//! Removes images that nothing uses when the disk gets full, the longest unused first.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::runtime::{Runtime, RuntimeError};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(60);
/// Percent of the disk in use above which images go, and below which they stay.
const HIGH: u64 = 85;
const LOW: u64 = 80;
/// An image that was used so recently stays: a pod may be about to start.
const YOUNG: Duration = Duration::from_secs(120);

/// An image as the collector sees it.
#[derive(Clone, Debug)]
struct Seen {
    id: String,
    bytes: u64,
    /// Time since something used it, or since it was first seen.
    idle: Duration,
    used: bool,
    pinned: bool,
}

/// Bytes of a disk.
#[derive(Clone, Copy, Debug)]
struct Disk {
    all: u64,
    free: u64,
}

impl Disk {
    fn of(path: &Path) -> Option<Disk> {
        let stat = nix::sys::statvfs::statvfs(path).ok()?;
        let size = stat.fragment_size();
        Some(Disk { all: stat.blocks() * size, free: stat.blocks_available() * size })
    }

    /// Bytes to free so that no more than `percent` are in use; none below the high mark.
    fn surplus(self) -> u64 {
        let used = self.all.saturating_sub(self.free);
        if self.all == 0 || used * 100 <= self.all * HIGH { 0 } else { used.saturating_sub(self.all / 100 * LOW) }
    }
}

/// Which images to remove to free so many bytes.
fn victims(mut images: Vec<Seen>, surplus: u64) -> Vec<Seen> {
    images.retain(|image| !image.used && !image.pinned && image.idle >= YOUNG);
    images.sort_by_key(|image| std::cmp::Reverse(image.idle));
    let mut freed = 0;
    images
        .into_iter()
        .take_while(|image| {
            let wanted = freed < surplus;
            freed += image.bytes;
            wanted
        })
        .collect()
}

/// Looks after the images until the agent stops.
pub(crate) async fn collect(runtime: Arc<dyn Runtime>, disk: std::path::PathBuf, stop: CancellationToken) {
    let mut last_used: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let surplus = Disk::of(&disk).map_or(0, Disk::surplus);
        if let Err(error) = look(&*runtime, &mut last_used, surplus).await {
            tracing::debug!(%error, "images not looked after");
        }
    }
}

async fn look(
    runtime: &dyn Runtime,
    last_used: &mut BTreeMap<String, Instant>,
    surplus: u64,
) -> Result<(), RuntimeError> {
    let used: BTreeSet<String> = runtime.images_in_use().await?.into_iter().collect();
    let images = runtime.images().await?;
    let now = Instant::now();
    last_used.retain(|id, _| images.iter().any(|image| image.id == *id));
    let seen = images.into_iter().map(|image| {
        let names = image.repo_tags.iter().chain(&image.repo_digests).chain([&image.id]);
        let busy = names.into_iter().any(|name| used.contains(name));
        let since = last_used.entry(image.id.clone()).or_insert(now);
        if busy {
            *since = now;
        }
        Seen { idle: since.elapsed(), bytes: image.size, used: busy, pinned: image.pinned, id: image.id }
    });
    for image in victims(seen.collect(), surplus) {
        tracing::info!(image = image.id, bytes = image.bytes, "the disk is full: an unused image goes");
        runtime.remove_image(&image.id).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(id: &str, idle: u64, used: bool) -> Seen {
        Seen { id: id.into(), bytes: 10, idle: Duration::from_secs(idle), used, pinned: false }
    }

    #[test]
    fn the_longest_unused_go_until_there_is_room() {
        let images =
            vec![image("new", 10, false), image("busy", 900, true), image("old", 800, false), image("mid", 500, false)];
        let ids = |surplus| victims(images.clone(), surplus).into_iter().map(|i| i.id).collect::<Vec<_>>();
        assert_eq!(ids(5), ["old"]);
        assert_eq!(ids(11), ["old", "mid"]);
        assert!(ids(0).is_empty());
    }

    #[test]
    fn only_a_full_disk_has_a_surplus() {
        assert_eq!(Disk { all: 1000, free: 200 }.surplus(), 0);
        assert_eq!(Disk { all: 1000, free: 100 }.surplus(), 100);
    }
}
