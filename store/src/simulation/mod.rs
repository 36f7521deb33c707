//! The store under simulation: three masters, their clients, their network and their clocks in one thread, driven by a
//! seed. The code is the store's own, with another network ([`net`], turmoil's) and another writer of the log ([`disk`]).
//! What clients did and saw is judged by `mainstay_history`.
//!
//! Time is simulated and stands still while a database works, so what RocksDB's own threads do (flushes, compactions)
//! takes no time; it is the one part that a seed does not repeat exactly. Random numbers come from the operating system
//! through a shim that repeats them ([`repeat`]).

mod clients;
pub(crate) mod disk;
mod faults;
mod hosts;
mod master;
mod net;
mod repeat;
mod tests;
mod watchers;
mod world;

use std::rc::Rc;
use std::time::Duration;

use mainstay_history::{Violation, linearizable, revisions};
use mainstay_proto::raft as pb;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use turmoil::Sim;

use crate::config::PeerTls;
use crate::identity::Identity;
use crate::planted::{Bug, planted};
use faults::{Fault, Planned};
use world::{MASTERS, Order, World};

/// The first masters find each other.
const START: Duration = Duration::from_secs(20);
/// After the last fault everything works again within this.
const RECOVERY: Duration = Duration::from_secs(40);
/// Between a crash that was not asked for and the next start.
const RESTART: Duration = Duration::from_millis(300);

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) violations: Vec<Violation>,
    pub(crate) committed: usize,
    pub(crate) readings: usize,
    pub(crate) faults: usize,
    pub(crate) events: usize,
    /// Over all that was seen and when; the same for the same seed, if all was repeated.
    pub(crate) fingerprint: u32,
}

/// Milliseconds since 1970 on the host that asks, in a simulation.
pub(crate) fn now_ms() -> Option<u64> {
    let since = turmoil::since_epoch()?;
    let millis = i64::try_from(since.as_millis()).ok()? + hosts::clock_offset();
    u64::try_from(millis).ok()
}

/// A batch as it is applied: turned around on one master if that bug is planted.
pub(crate) fn disordered(mut batch: pb::Batch) -> pb::Batch {
    if planted(Bug::ApplyOrder) && hosts::current() == Some(1) {
        batch.txns.reverse();
    }
    batch
}

/// Runs the masters for `length` under the faults that `seed` chooses, then lets them recover, and judges.
pub(crate) fn run(seed: u64, length: Duration) -> Report {
    let root = scratch();
    let mut random = StdRng::seed_from_u64(seed);
    // The masters' own random numbers begin elsewhere for every seed.
    for _ in 0..seed % 4096 {
        rand::random::<u64>();
    }
    let world = Rc::new(World::new(root.path(), certificate()));
    *world.sessions.borrow_mut() = watchers::sessions(&world);
    let plan = faults::plan(&mut random, length);
    let faults = plan.len();
    let mut driver = Driver { sim: simulation(seed), world: world.clone(), random, restarts: [None; MASTERS.len()] };
    driver.host_all();
    driver.run(plan, length);
    drop(driver);
    report(&world, faults)
}

/// In memory if possible: nothing of it has to survive.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

fn simulation<'a>(seed: u64) -> Sim<'a> {
    turmoil::Builder::new()
        .rng_seed(seed)
        .epoch(std::time::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
        .simulation_duration(Duration::from_secs(86_400))
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(8))
        .tcp_capacity(4096)
        .enable_random_order()
        .build()
}

/// The connections are in clear; the store wants one anyway.
pub(crate) fn certificate() -> PeerTls {
    let mut params = rcgen::CertificateParams::new(vec!["m".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "system:mainstay:masters");
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    PeerTls { ca_pem: pem.clone(), cert_pem: pem, key_pem: key.serialize_pem() }
}

fn report(world: &World, faults: usize) -> Report {
    let record = world.record.borrow();
    let mut violations = world.violations.borrow().clone();
    violations.extend(revisions::check(&record));
    violations.extend(linearizable::check(&world.calls.borrow()));
    let committed = |attempt: &&revisions::Attempt| matches!(attempt.fate, revisions::Fate::Committed(_));
    let batches = record.watches.iter().flat_map(|watch| &watch.batches);
    Report {
        violations,
        committed: record.attempts.iter().filter(committed).count(),
        readings: record.readings.len(),
        faults,
        events: batches.map(|batch| batch.changes.len()).sum(),
        fingerprint: crc32c::crc32c(format!("{record:?}").as_bytes()),
    }
}

/// Steps through time, breaks things and mends them.
struct Driver<'a> {
    sim: Sim<'a>,
    world: Rc<World>,
    random: StdRng,
    /// When each master that is down starts again.
    restarts: [Option<Duration>; MASTERS.len()],
}

impl Driver<'_> {
    fn host_all(&mut self) {
        for (master, name) in MASTERS.iter().enumerate() {
            let world = self.world.clone();
            self.sim.host(*name, move || {
                let world = world.clone();
                async move {
                    hosts::enter(master, &world);
                    master::run(world, master).await
                }
            });
        }
    }

    fn run(&mut self, mut plan: Vec<Planned>, length: Duration) {
        if !self.until(START, |world| world.serving.borrow().iter().all(|serves| *serves)) {
            return self.world.violated("masters start", "not all of them serve".to_owned());
        }
        self.world.founded.set(true);
        let start = self.sim.elapsed();
        plan.sort_by_key(|planned| planned.begin);
        let mut begun: Vec<Planned> = Vec::new();
        let mut ahead = plan.into_iter().peekable();
        while self.sim.elapsed() < start + length || ahead.peek().is_some() || !begun.is_empty() {
            let now = self.sim.elapsed() - start;
            while let Some(mut planned) = ahead.next_if(|planned| planned.begin <= now) {
                if let (Fault::IsolateLeader, Some(leader)) = (&planned.fault, self.world.leader.get()) {
                    planned.fault = Fault::Isolate(leader);
                }
                self.begin(&planned.fault, start + planned.end);
                begun.push(planned);
            }
            for planned in begun.extract_if(.., |planned| planned.end <= now) {
                self.mend(&planned.fault);
            }
            self.step();
        }
        self.finish();
    }

    /// Waits for everything to work, and for all masters to agree on where they are.
    fn finish(&mut self) {
        self.world.busy.set(false);
        self.advance(Duration::from_secs(4));
        let last = self.world.record.borrow().watches.iter().flat_map(|w| w.batches.last()).map(|b| b.revision).max();
        self.world.goal.set(last);
        if !self.until(RECOVERY, |world| world.reached.borrow().iter().all(|reached| *reached)) {
            let reached = *self.world.reached.borrow();
            let (serving, leader) = (*self.world.serving.borrow(), self.world.leader.get());
            let seen = format!("goal {last:?} reached by {reached:?}, serving {serving:?}, leader {leader:?}");
            self.world.violated("the cluster recovers", seen);
        }
        // What is on its way to watchers arrives.
        self.advance(Duration::from_secs(2));
    }

    fn advance(&mut self, time: Duration) {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.step();
        }
    }

    /// Steps until `reached`, `limit` at the most; whether it was.
    fn until(&mut self, limit: Duration, reached: impl Fn(&World) -> bool) -> bool {
        let end = self.sim.elapsed() + limit;
        while !reached(&self.world) {
            if self.sim.elapsed() >= end {
                return false;
            }
            self.step();
        }
        true
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            self.world.violated("masters go on", error.to_string());
        }
        let now = self.sim.elapsed();
        for (master, name) in MASTERS.iter().enumerate() {
            if self.restarts[master].is_some_and(|at| at <= now) {
                self.restarts[master] = None;
                self.sim.bounce(*name);
            } else if self.restarts[master].is_none() && !self.sim.is_host_running(*name) {
                // Whoever watches over it follows what it said when it ended.
                let removed = std::mem::take(&mut self.world.removed.borrow_mut()[master]);
                if removed { self.wipe(master, false, now + RESTART) } else { self.crash(master, false, now + RESTART) }
            }
        }
    }

    fn crash(&mut self, master: usize, power_lost: bool, back: Duration) {
        let from = self.world.dir(master);
        let to = self.world.next_dir(master);
        if from.exists() {
            disk::crash(&from, &to, power_lost, &mut self.random);
        }
        self.down(master, back);
        std::fs::remove_dir_all(&from).ok();
    }

    fn down(&mut self, master: usize, back: Duration) {
        self.sim.crash(MASTERS[master]);
        self.world.serving.borrow_mut()[master] = false;
        self.restarts[master] = Some(back);
        if self.world.leader.get() == Some(master) {
            self.world.leader.set(None);
        }
        for session in self.world.sessions.borrow_mut().iter_mut().filter(|s| !s.records && s.home == master) {
            session.home = (master + self.random.random_range(1..MASTERS.len())) % MASTERS.len();
            session.turn += 1;
        }
    }

    fn begin(&mut self, fault: &Fault, end: Duration) {
        tracing::info!(at = ?self.sim.elapsed(), ?fault, "begins");
        let others = |master: usize| (0..MASTERS.len()).filter(move |other| *other != master);
        match fault {
            Fault::Crash { masters, power_lost } => {
                masters.iter().for_each(|master| self.crash(*master, *power_lost, end));
            }
            Fault::Cut(a, b) => self.sim.partition(MASTERS[*a], MASTERS[*b]),
            Fault::CutOneWay(a, b) => self.sim.partition_oneway(MASTERS[*a], MASTERS[*b]),
            Fault::Isolate(master) => others(*master).for_each(|o| self.sim.partition(MASTERS[*master], MASTERS[o])),
            Fault::IsolateLeader => {}
            Fault::Hold(master) => others(*master).for_each(|other| self.sim.hold(MASTERS[*master], MASTERS[other])),
            Fault::Slow(latency) => self.sim.set_max_message_latency(*latency),
            Fault::Lossy => self.sim.set_fail_rate(0.01),
            Fault::Wipe { master, remove } => self.wipe(*master, *remove, end),
            Fault::Transfer => {
                if let Some(leader) = self.world.leader.get() {
                    self.world.orders.borrow_mut().insert(leader, Order::TransferLeader);
                }
            }
            Fault::Clock { master, by_ms } => self.world.clocks.borrow_mut()[*master] = *by_ms,
        }
    }

    fn wipe(&mut self, master: usize, remove: bool, back: Duration) {
        let from = self.world.dir(master);
        // The operator means the one whose disk is gone, however late the order is carried out.
        let meant = remove.then(|| Identity::load(&from).ok()).flatten();
        self.world.next_dir(master);
        self.down(master, back);
        std::fs::remove_dir_all(&from).ok();
        if let Some(Identity { id, .. }) = meant {
            let operator = (master + 1) % MASTERS.len();
            self.world.orders.borrow_mut().insert(operator, Order::Remove { master, id });
        }
    }

    fn mend(&mut self, fault: &Fault) {
        let others = |master: usize| (0..MASTERS.len()).filter(move |other| *other != master);
        match fault {
            Fault::Cut(a, b) => self.sim.repair(MASTERS[*a], MASTERS[*b]),
            Fault::CutOneWay(a, b) => self.sim.repair_oneway(MASTERS[*a], MASTERS[*b]),
            Fault::Isolate(master) => others(*master).for_each(|o| self.sim.repair(MASTERS[*master], MASTERS[o])),
            Fault::Hold(master) => others(*master).for_each(|o| self.sim.release(MASTERS[*master], MASTERS[o])),
            Fault::Slow(_) => self.sim.set_max_message_latency(Duration::from_millis(8)),
            Fault::Lossy => self.sim.set_fail_rate(0.0),
            // Nobody led.
            Fault::IsolateLeader => {}
            Fault::Crash { .. } | Fault::Wipe { .. } | Fault::Transfer | Fault::Clock { .. } => {}
        }
    }
}
