//! Disks that are full, that fail, and that forget what was not synced: file systems of the test's own, mounted for it.
//! They need root, and say so where there is none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mainstay_store::{Freshness, Start, Store, StoreError, Tuning, TxnOutcome};
use tempfile::TempDir;

use crate::support::*;

/// A file system at `path`, gone with its handle.
struct Mounted {
    path: PathBuf,
    _temp: TempDir,
}

impl Mounted {
    fn new(arguments: &[&str]) -> Option<Self> {
        let temp = TempDir::new().unwrap();
        let path = temp.path().to_path_buf();
        let mount = Command::new("mount").args(arguments).arg(&path).output().unwrap();
        if !mount.status.success() {
            println!("skipped, cannot mount: {}", String::from_utf8_lossy(&mount.stderr));
            return None;
        }
        Some(Self { path, _temp: temp })
    }

    /// In memory, of so many MiB.
    fn memory(mib: u32) -> Option<Self> {
        Self::new(&["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
    }

    fn resize(&self, mib: u32) {
        let options = format!("remount,size={mib}m");
        assert!(Command::new("mount").args(["-o", &options]).arg(&self.path).status().unwrap().success());
    }

    /// ext4 in the file `image`, which is made if it is not there.
    fn image(image: &Path) -> Option<Self> {
        if !image.exists() {
            fs::File::create(image).unwrap().set_len(256 << 20).unwrap();
            let made = Command::new("mkfs.ext4").args(["-q", "-J", "size=4"]).arg(image).status();
            assert!(made.unwrap().success(), "mkfs.ext4");
        }
        Self::new(&["-o", "loop", &image.display().to_string()])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "cannot unmount {}", self.path.display());
    }
}

async fn open(cluster: &Cluster, dir: &Path, tuning: Tuning) -> Result<Store, StoreError> {
    let mut config = cluster.config("a", Start::Bootstrap);
    config.data_dir = dir.join("a");
    config.tuning = tuning;
    Store::open(config).await
}

/// Short waits: a master whose disk has failed does not answer.
fn hasty(cluster: &Cluster) -> Tuning {
    Tuning { propose_timeout: Duration::from_secs(2), ..cluster.tuning.clone() }
}

/// Writes values of 64 KiB until it fails; how many were acknowledged, and how it failed.
async fn fill(store: &Store) -> (u32, StoreError) {
    for number in 0..10_000 {
        match store.propose(put(format!("k{number}"), "v".repeat(64 << 10))).await {
            Ok(TxnOutcome::Committed(_)) => {}
            Ok(refused) => panic!("{refused:?}"),
            Err(error) => return (number, error),
        }
    }
    panic!("the disk is never full");
}

async fn all_there(store: &Store, acknowledged: u32) {
    for number in 0..acknowledged {
        let (entry, _) = store.get(format!("k{number}").as_bytes(), Freshness::Consistent).await.unwrap();
        assert!(entry.is_some_and(|entry| entry.value.len() == 64 << 10), "k{number} of {acknowledged}");
    }
}

/// It says so, and names the place.
async fn ended(store: &Store, dir: &Path) {
    let error = tokio::time::timeout(Duration::from_secs(30), store.fatal()).await.expect("it goes on");
    assert!(error.to_string().contains(&dir.display().to_string()), "{error} names no place");
    println!("{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_without_space_ends_and_loses_nothing() {
    let Some(disk) = Mounted::memory(32) else { return };
    let cluster = Cluster::new();
    let store = open(&cluster, &disk.path, hasty(&cluster)).await.unwrap();
    let (acknowledged, error) = fill(&store).await;
    println!("{acknowledged} writes, then: {error}");
    assert!(acknowledged > 50);
    ended(&store, &disk.path).await;
    store.shutdown().await;
    drop(store);
    disk.resize(256);
    let store = open(&cluster, &disk.path, hasty(&cluster)).await.unwrap();
    all_there(&store, acknowledged).await;
    commit(&store, put("more", "v")).await;
    store.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_mark_puts_wait_and_nothing_breaks() {
    let Some(disk) = Mounted::memory(160) else { return };
    let cluster = Cluster::new();
    let tuning = Tuning { disk_low_bytes: 64 << 20, ..hasty(&cluster) };
    let store = open(&cluster, &disk.path, tuning).await.unwrap();
    // A second passes between two looks at the disk; nobody writes all of it in that time.
    let acknowledged = fill_slowly(&store).await;
    commit(&store, delete("k0")).await;
    assert!(store.get(b"k1", Freshness::Consistent).await.unwrap().0.is_some());
    disk.resize(512);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.propose(put("k0", "v".repeat(64 << 10))).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    all_there(&store, acknowledged).await;
    store.shutdown().await;
}

async fn fill_slowly(store: &Store) -> u32 {
    for number in 0..10_000 {
        match store.propose(put(format!("k{number}"), "v".repeat(64 << 10))).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(StoreError::DiskFull) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the mark is never reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_whose_disk_fails_ends_and_loses_nothing() {
    // The device under ext4 is a file with holes in a full file system: writing it back fails.
    let Some(below) = Mounted::memory(40) else { return };
    let image = below.path.join("image");
    let Some(disk) = Mounted::image(&image) else { return };
    let cluster = Cluster::new();
    let store = open(&cluster, &disk.path, hasty(&cluster)).await.unwrap();
    commit(&store, put("before", "v")).await;
    let ballast = below.path.join("ballast");
    let free = nix::sys::statvfs::statvfs(&below.path).unwrap();
    let left = free.blocks_available() * free.fragment_size();
    fs::write(&ballast, vec![1; usize::try_from(left - (4 << 20)).unwrap()]).unwrap();
    let (acknowledged, error) = fill(&store).await;
    println!("{acknowledged} writes, then: {error}");
    ended(&store, &disk.path).await;
    store.shutdown().await;
    drop(store);
    drop(disk);
    fs::remove_file(&ballast).unwrap();
    let disk = mounted_again(&image).await;
    match open(&cluster, &disk.path, hasty(&cluster)).await {
        Ok(store) => {
            all_there(&store, acknowledged).await;
            assert!(store.get(b"before", Freshness::Consistent).await.unwrap().0.is_some());
            store.shutdown().await;
        }
        // Refused and named is fine, too; silently less is not.
        Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "{error}"),
    }
}

/// Once what was mounted before has let go.
async fn mounted_again(image: &Path) -> Mounted {
    for _ in 0..100 {
        let used = Command::new("losetup").arg("-j").arg(image).output().unwrap();
        if used.stdout.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Its journal was interrupted; what is recovered of it is what a start finds.
    let checked = Command::new("fsck.ext4").arg("-y").arg(image).output().unwrap();
    println!("{}", String::from_utf8_lossy(&checked.stdout));
    Mounted::image(image).expect("it was mounted before")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_on_the_device_when_power_is_lost() {
    let temp = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let image = temp.path().join("image");
    let Some(disk) = Mounted::image(&image) else { return };
    let cluster = Cluster::new();
    let store = open(&cluster, &disk.path, hasty(&cluster)).await.unwrap();
    let mut acknowledged = 0;
    for round in 1..=5 {
        for _ in 0..20 {
            commit(&store, put(format!("k{acknowledged}"), "v".repeat(64 << 10))).await;
            acknowledged += 1;
        }
        // What the device holds, without what the kernel still keeps in memory.
        let copy = temp.path().join(format!("copy{round}"));
        fs::copy(&image, &copy).unwrap();
        let after = Mounted::image(&copy).expect("the image was mounted, so is its copy");
        let survived = open(&cluster, &after.path, hasty(&cluster)).await.unwrap();
        all_there(&survived, acknowledged).await;
        survived.shutdown().await;
        drop(survived);
        drop(after);
    }
    store.shutdown().await;
}
