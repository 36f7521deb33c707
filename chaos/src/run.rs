//! A run: start the workload, go through the scenario's steps, let things settle, check.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use crate::check::leaks::{self, Holdings};
use crate::check::{Violation, acknowledged, availability, conserved, identity, linearizable, one_leader, watched};
use crate::cluster::Cluster;
use crate::expectation::Measured;
use crate::fault::{self, Dice};
use crate::observer::Observer;
use crate::page::Timeline;
use crate::report::{FaultRecord, Report, measured_line, millis};
use crate::scenario::{Scenario, Step};
use crate::undo::Journal;
use crate::workload::{ACCOUNTS, Finished, Notes, Workload};

/// Ordinary work before, between and after faults.
const CALM: Duration = Duration::from_millis(1500);
/// How long what the workload made may take to go, and to be gone from memory; and as much for each object.
const LEFT_LIMIT: Duration = Duration::from_secs(90);
const LEFT_LIMIT_OBJECT: Duration = Duration::from_millis(1);
/// How long the first acknowledged write after a fault is waited for.
const WRITE_LIMIT: Duration = Duration::from_secs(60);

/// Runs a scenario against a cluster and judges it.
///
/// # Errors
/// When the cluster or the harness itself fails; a property that does not hold is in the report instead.
pub async fn run(
    scenario: &Scenario,
    cluster: &Cluster,
    journal: &Arc<Journal>,
    seed: u64,
    url: Option<String>,
) -> Result<(Report, Timeline)> {
    let before = Holdings::of(cluster, &cluster.file()?);
    let workload = Workload::start(cluster, scenario, url).await?;
    tokio::time::sleep(CALM).await;
    let dice = Dice { random: StdRng::seed_from_u64(seed), serving: BTreeSet::new() };
    let mut course = Course { cluster, workload: &workload, journal, dice, begun: 0, faults: Vec::new() };
    let mut plan = Plan::of(scenario);
    while let Some(step) = plan.next(&mut course.dice) {
        course.fault(step, false).await?;
        tokio::time::sleep(CALM).await;
    }
    let faults = course.faults;
    let finished = workload.finish().await?;
    let objects = finished.notes.acknowledged.lock().len();
    let left = left_over(&before, cluster, objects).await?;
    Ok(judge(scenario, seed, faults, &finished, left))
}

/// What is still there when the time is over in which `objects` objects have to go.
async fn left_over(before: &Holdings, cluster: &Cluster, objects: usize) -> Result<Vec<Violation>> {
    let limit = LEFT_LIMIT + LEFT_LIMIT_OBJECT * u32::try_from(objects).unwrap_or(u32::MAX);
    let until = Instant::now() + limit;
    loop {
        let left = leaks::check(before, &Holdings::of(cluster, &cluster.file()?));
        if left.is_empty() || Instant::now() > until {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// All properties, over all that was written down.
fn judge(
    scenario: &Scenario,
    seed: u64,
    faults: Vec<FaultRecord>,
    finished: &Finished,
    left: Vec<Violation>,
) -> (Report, Timeline) {
    let (notes, found) = (&finished.notes, &finished.found);
    let calls = notes.history.calls();
    let acknowledged_names = notes.acknowledged.lock().clone();
    let seen = notes.seen.lock().clone();
    let mut violations = linearizable::check(&calls);
    violations.extend(acknowledged::check(&acknowledged_names, found));
    violations.extend(watched::check(&acknowledged_names, &seen));
    violations.extend(one_leader::check(&notes.fenced.lock()));
    violations.extend(conserved::check(&notes.sums.lock(), ACCOUNTS));
    violations.extend(identity::check(&notes.living.lock()));
    violations.extend(finished.differences.iter().cloned());
    violations.extend(left);
    violations.extend(faults.iter().flat_map(FaultRecord::violations));
    let (answered, failed) = notes.availability.counts();
    if scenario.web {
        violations.extend(availability::check(answered, failed, scenario.web_budget_percent));
    }
    let fetches = notes.availability.fetches();
    let timeline = Timeline {
        acknowledgements: notes.history.acknowledgements(),
        calls: calls.clone(),
        fetches,
        leaders: notes.leaders.lock().clone(),
    };
    let report = Report {
        scenario: scenario.name.clone(),
        seed,
        command: String::new(),
        faults,
        acknowledged_writes: notes.history.acknowledged(),
        register_calls: calls.len(),
        watch_events: seen.len(),
        longest_gap_ms: millis(notes.history.longest_gap()),
        settled_ms: millis(finished.settled_in),
        fenced_writes: notes.fenced.lock().len(),
        audits: notes.sums.lock().len(),
        curls_answered: answered,
        curls_failed: failed,
        violations,
    };
    (report, timeline)
}

/// Which step comes next: all in order, so often, or any for some time.
struct Plan<'a> {
    scenario: &'a Scenario,
    done: usize,
    storm_ends: Instant,
}

impl<'a> Plan<'a> {
    fn of(scenario: &'a Scenario) -> Self {
        Self { scenario, done: 0, storm_ends: Instant::now() + Duration::from_secs(scenario.storm_minutes * 60) }
    }

    fn next(&mut self, dice: &mut Dice) -> Option<&'a Step> {
        let steps = &self.scenario.steps;
        if self.scenario.storm_minutes > 0 {
            return steps.choose(&mut dice.random).filter(|_| Instant::now() < self.storm_ends);
        }
        let number = self.done;
        self.done += 1;
        steps.get(number % steps.len()).filter(|_| number < steps.len() * self.scenario.rounds as usize)
    }
}

/// A run under way.
struct Course<'a> {
    cluster: &'a Cluster,
    workload: &'a Workload,
    journal: &'a Arc<Journal>,
    dice: Dice,
    /// Faults that were begun.
    begun: usize,
    /// Those that are over.
    faults: Vec<FaultRecord>,
}

impl Course<'_> {
    /// Goes through a step. While another fault is in force (`within`) not all masters need to be well at the end.
    async fn fault(&mut self, step: &Step, within: bool) -> Result<()> {
        let (cluster, workload) = (self.cluster, self.workload);
        let notes = workload.notes();
        let mut observer = Observer::before(workload.client(), workload.askers(), self.begun).await?;
        self.begun += 1;
        self.dice.serving.clone_from(observer.serving());
        let (at, since) = (notes.now(), Instant::now());
        let mut active = fault::start(step, cluster, self.journal, &mut self.dice).await?;
        let what = active.what();
        eprintln!("{:>8.1} s  {what}", at.as_secs_f64());
        observer.aim(active.node());
        let mut measured = observer.measure(&step.expect, since).await;
        tell(&measured);
        for inner in &step.meanwhile {
            Box::pin(self.fault(inner, true)).await?;
        }
        tokio::time::sleep_until(since + step.hold()).await;
        let held_ms = millis(since.elapsed());
        active.undo(cluster).await?;
        let undone = Instant::now();
        let calm = observer.undisturbed(Duration::from_millis(step.undisturbed_ms));
        let (calm, after) = tokio::join!(calm, observer.measure(&step.afterwards, undone));
        tell(&after);
        measured.extend(after);
        resumed(notes, at, undone + WRITE_LIMIT).await;
        let well = recovered(cluster, within, undone + step.recovery()).await;
        well.with_context(|| format!("after {what}"))?;
        let recovered_ms = millis(undone.elapsed());
        eprintln!("    all well {recovered_ms} ms after its end");
        observer.clean().await?;
        let leader_after = cluster.leader().await.with_context(|| format!("after {what}"))?;
        // Answers that were under way arrive even after a kill: the gap is the longest silence, not the time to the next one.
        let resumed = notes.history.gap_after(at);
        let write_gap_ms = resumed.map(|_| millis(notes.history.longest_gap_within(at, notes.now())));
        self.faults.push(FaultRecord {
            label: step.label(),
            what,
            at_ms: millis(at),
            held_ms,
            write_gap_ms,
            recovered_ms,
            leader_after,
            measured,
            disturbed: calm.err(),
        });
        Ok(())
    }
}

/// Waits for the first acknowledged write after `at`.
async fn resumed(notes: &Notes, at: Duration, until: Instant) {
    while notes.history.gap_after(at).is_none() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Progress for whoever looks on.
fn tell(measured: &[Measured]) {
    for one in measured {
        eprintln!("{}", measured_line(one));
    }
}

/// Waits until every master is a member in good health, or, while another fault is in force, until one leads.
async fn recovered(cluster: &Cluster, within: bool, until: Instant) -> Result<()> {
    loop {
        let now = match within {
            true => cluster.leader().await.map(|leader| leader.is_some()),
            false => cluster.all_healthy().await,
        };
        if matches!(now, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > until {
            now.context("asking for the cluster's state")?;
            anyhow::bail!("not all masters are in good health again in time");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
