//! Pressure on processors and memory: helpers that do nothing but burn and hold. A helper ends by itself when the harness
//! is gone.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;

use super::active::Active;
use super::kind::Kind;
use crate::cluster::Cluster;
use crate::process::Known;
use crate::undo::{Guard, Journal, Undo};

/// More than there are processors, so that everybody has to wait.
const BURNERS_PER_PROCESSOR: usize = 2;
/// Most of the memory that is free, and never all of it.
const SHARE_OF_FREE_PERCENT: u64 = 70;

/// Helpers at work.
pub(super) struct Pressure {
    what: String,
    helpers: Vec<(Child, Guard)>,
}

pub(super) fn start(kind: Kind, journal: &Arc<Journal>) -> Result<Pressure> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (count, megabytes) = match kind {
        Kind::BurnCpu => (processors * BURNERS_PER_PROCESSOR, 0),
        _ => (1, free_megabytes()? * SHARE_OF_FREE_PERCENT / 100),
    };
    let what = match kind {
        Kind::BurnCpu => format!("burn {processors} processors with {count} helpers"),
        _ => format!("hold {megabytes} MB of memory"),
    };
    let mut pressure = Pressure { what, helpers: Vec::new() };
    for _ in 0..count {
        pressure.helper(megabytes, journal)?;
    }
    Ok(pressure)
}

fn free_megabytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("reading /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kilobytes: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Ok(kilobytes / 1024)
}

impl Pressure {
    fn helper(&mut self, megabytes: u64, journal: &Arc<Journal>) -> Result<()> {
        let own = std::env::current_exe().context("finding this executable")?;
        let parent = std::process::id().to_string();
        let mut command = Command::new(own);
        command.args(["burn", "--parent", &parent, "--megabytes", &megabytes.to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting a helper")?;
        let pid = i32::try_from(child.id()).context("a process id out of range")?;
        let process = Known::of(pid).context("the helper ended at once")?;
        self.helpers.push((child, journal.before(Undo::End { process })?));
        Ok(())
    }

    fn put_right(&mut self) -> Result<()> {
        for (mut child, mut guard) in self.helpers.drain(..) {
            guard.undo()?;
            child.wait().context("reaping a helper")?;
        }
        Ok(())
    }
}

/// Holds memory and burns until `parent` is gone.
pub fn burn(parent: i32, megabytes: usize) {
    let held: Vec<u8> = (0..megabytes << 20).map(|at| (at % 251) as u8).collect();
    let mut sum = 0_u64;
    while Known::of(parent).is_some() {
        if megabytes > 0 {
            // A look at every page keeps it in memory.
            sum = sum.wrapping_add(held.iter().step_by(4096).map(|byte| u64::from(*byte)).sum::<u64>());
            std::thread::sleep(Duration::from_millis(100));
        }
        sum = (0..5_000_000_u64).fold(std::hint::black_box(sum), |sum, n| sum.rotate_left(5) ^ n);
    }
    std::hint::black_box(sum);
}

#[async_trait]
impl Active for Pressure {
    fn what(&self) -> String {
        self.what.clone()
    }

    async fn undo(&mut self, _cluster: &Cluster) -> Result<()> {
        self.put_right()
    }
}

impl Drop for Pressure {
    fn drop(&mut self) {
        if let Err(error) = self.put_right() {
            tracing::error!(error = format!("{error:#}"), "a helper still runs");
        }
    }
}
