//! Flow control: whose requests run when there are too many at once, by the cluster's FlowSchemas and
//! PriorityLevelConfigurations.
//!
//! A request is classified by the first FlowSchema that matches ([`config`]). Its priority level runs as many at once as
//! its share of the server's seats, and what other levels lend it; the rest wait in queues that are dealt out to flows by
//! shuffle sharding, and the queue that got least so far is next ([`level`]). So a client that floods waits for itself; and
//! as what runs at once slows down what runs beside it, no flow has more than a part of the seats while others of its level
//! ask ([`flows`]).
//! Watches take a seat only until they have begun; streams to nodes and superusers take none.

mod config;
mod flows;
mod level;
mod metrics;
mod queues;
mod seats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mainstay_api::status::Status;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::authz::AuthzAttributes;
use crate::cache::{Caches, Scope};
use crate::startup::{self, Startup};
use config::Plan;
use flows::FlowId;
use level::{Level, Ticket};
use metrics::Metrics;

pub(crate) use seats::for_list;

/// The group of the objects that configure this.
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// How long a request waits for its turn: a quarter of what it may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// A flow that is not alone in its level has one of so many parts of all seats.
const PARTS: u32 = 4;
/// Between looks for the configuration after its watch was cut.
const RETRY: Duration = Duration::from_millis(200);

/// How many requests a server runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowConfig {
    /// Seats in all, over all priority levels; 0 turns flow control off.
    pub seats: u32,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self { seats: 600 }
    }
}

/// The requests in flight; a cheap handle.
#[derive(Clone)]
pub(crate) struct Flow(Arc<Inner>);

struct Inner {
    seats: u32,
    state: Mutex<State>,
    metrics: Metrics,
}

struct State {
    plan: Arc<Plan>,
    levels: HashMap<Arc<str>, Level>,
    next_ticket: u64,
}

/// A request that may run; dropping it frees its seats.
pub(crate) struct Permit {
    flow: Arc<Inner>,
    level: Arc<str>,
    queue: Option<usize>,
    id: FlowId,
    seats: u32,
    began: Instant,
}

/// How a request was classified; what it is told in headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Class {
    /// UID of the FlowSchema.
    pub schema: Arc<str>,
    /// UID of the PriorityLevelConfiguration.
    pub level: Arc<str>,
}

/// A request's turn.
pub(crate) struct Turn {
    /// Where it belongs; `None` if flow control is off.
    pub class: Option<Class>,
    /// The seats, or the refusal.
    pub outcome: Result<Option<Permit>, Box<Status>>,
}

type Woken = Vec<(oneshot::Sender<Permit>, Permit)>;

impl Flow {
    /// With the mandatory objects only, until [`Flow::follow`] finds the cluster's.
    pub fn new(config: FlowConfig) -> Self {
        let metrics = Metrics::default();
        let plan = Arc::new(Plan::compile(&[], &[], &metrics));
        let mut state = State { plan: plan.clone(), levels: HashMap::new(), next_ticket: 0 };
        state.take_over(plan, config.seats, &metrics);
        Self(Arc::new(Inner { seats: config.seats, state: Mutex::new(state), metrics }))
    }

    /// Whether requests are held back at all.
    pub fn is_on(&self) -> bool {
        self.0.seats > 0
    }

    /// Adds what is counted to the metrics.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.0.metrics.register(registry);
    }

    /// Waits for a request's turn; `seats` is how wide it is.
    pub async fn admit(&self, request: &AuthzAttributes<'_>, seats: impl FnOnce() -> u32) -> Turn {
        if self.0.seats == 0 {
            return Turn { class: None, outcome: Ok(None) };
        }
        let plan = self.0.state.lock().plan.clone();
        let schema = plan.classify(request);
        let class = Some(schema.class.clone());
        if schema.exempt || crate::authz::is_superuser(request.user) {
            schema.dispatched.inc();
            return Turn { class, outcome: Ok(None) };
        }
        let seats = seats();
        let flow = schema.distinguisher.of(request);
        let outcome = match self.enter(schema, flow, seats) {
            Entered::Runs(permit) => Ok(permit),
            Entered::Waits(waiting) => waiting.turn().await,
            Entered::Refused => Err("queue-full"),
        };
        let outcome = outcome.map_err(|reason| {
            self.0.metrics.rejected(&schema.name, &schema.level, reason);
            Box::new(Status::too_many_requests("Too many requests, please try again later.", 1))
        });
        if outcome.is_ok() {
            schema.dispatched.inc();
        }
        Turn { class, outcome: outcome.map(Some) }
    }

    fn enter(&self, schema: &config::Schema, flow: &str, seats: u32) -> Entered {
        let (id, now) = (FlowId::of(&schema.name, flow), Instant::now());
        let mut state = self.0.state.lock();
        state.next_ticket += 1;
        let number = state.next_ticket;
        let borrowable = state.borrowable();
        let Some(level) = state.levels.get_mut(&schema.level) else { return Entered::Refused };
        let queue = level.deal(&schema.name, flow);
        let name = schema.level.clone();
        level.ask(id, now);
        if level.may_run_at_once(id, seats, borrowable, now) {
            level.begin(queue, id, seats);
            return Entered::Runs(Permit { flow: self.0.clone(), level: name, queue, id, seats, began: now });
        }
        let (wake, woken) = oneshot::channel();
        let Some(queue) = queue.filter(|queue| level.wait(*queue, Ticket { number, flow: id, seats, wake })) else {
            return Entered::Refused;
        };
        // Those who wait for requests of their own leave the seats to others.
        let others = if level.has_seats(seats, borrowable) { state.dispatch(&self.0) } else { Woken::new() };
        drop(state);
        self::wake(others);
        Entered::Waits(Waiting { flow: self.0.clone(), level: name, queue, number, woken })
    }

    /// Takes over the cluster's objects whenever they change, until `stop`.
    pub async fn follow(self, caches: Arc<Caches>, startup: Arc<Startup>, stop: CancellationToken) {
        if !self.is_on() {
            return;
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.follow_until_cut(&caches, &startup) => {}
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn follow_until_cut(&self, caches: &Caches, startup: &Startup) {
        let cache = |resource| caches.of(GROUP, resource);
        let (schemas, levels) = (cache("flowschemas"), cache("prioritylevelconfigurations"));
        let mut watches = (schemas.subscribe(Scope::All, None), levels.subscribe(Scope::All, None));
        loop {
            let objects = |cache: &crate::cache::ResourceCache| -> Vec<Arc<serde_json::Value>> {
                cache.snapshot().objects.values().map(|object| object.parse()).collect()
            };
            self.configure(&objects(&schemas), &objects(&levels));
            startup.finish(startup::FLOW_SCHEMAS);
            let changed = tokio::select! {
                event = watches.0.events.recv() => event,
                event = watches.1.events.recv() => event,
            };
            if changed.is_none() {
                return;
            }
            // Many at once when a cluster begins: one compilation for all that are there by now.
            while watches.0.events.try_recv().is_ok() || watches.1.events.try_recv().is_ok() {}
        }
    }

    fn configure(&self, schemas: &[Arc<serde_json::Value>], levels: &[Arc<serde_json::Value>]) {
        let plan = Arc::new(Plan::compile(schemas, levels, &self.0.metrics));
        let woken = {
            let mut state = self.0.state.lock();
            state.take_over(plan, self.0.seats, &self.0.metrics);
            state.dispatch(&self.0)
        };
        wake(woken);
    }
}

enum Entered {
    Runs(Permit),
    Waits(Waiting),
    Refused,
}

/// A place in a queue; dropping it gives it up.
struct Waiting {
    flow: Arc<Inner>,
    level: Arc<str>,
    queue: usize,
    number: u64,
    woken: oneshot::Receiver<Permit>,
}

impl Waiting {
    async fn turn(mut self) -> Result<Permit, &'static str> {
        match tokio::time::timeout(PATIENCE, &mut self.woken).await {
            Ok(Ok(permit)) => Ok(permit),
            // A level that goes away drops who waits in it.
            Ok(Err(_)) => Err("cancelled"),
            Err(_) => Err("time-out"),
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(level) = self.flow.state.lock().levels.get_mut(&self.level) {
            level.leave(self.queue, self.number);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let woken = {
            let mut state = self.flow.state.lock();
            if let Some(level) = state.levels.get_mut(&self.level) {
                level.end(self.queue, self.id, self.seats, took);
            }
            state.dispatch(&self.flow)
        };
        wake(woken);
    }
}

/// Outside the lock: who has gone meanwhile drops the permit, which takes the lock again.
fn wake(woken: Woken) {
    for (waiter, permit) in woken {
        drop(waiter.send(permit));
    }
}

impl State {
    /// Seats that levels lend and nobody has borrowed yet.
    fn borrowable(&self) -> u32 {
        let lent: u32 = self.levels.values().map(Level::lends).sum();
        let borrowed: u32 = self.levels.values().map(Level::borrows).sum();
        lent.saturating_sub(borrowed)
    }

    /// Lets run whoever may now.
    fn dispatch(&mut self, flow: &Arc<Inner>) -> Woken {
        let (mut woken, now) = (Vec::new(), Instant::now());
        let waiting: Vec<Arc<str>> =
            self.levels.iter().filter(|(_, level)| level.waits()).map(|(name, _)| name.clone()).collect();
        for name in waiting {
            loop {
                let borrowable = self.borrowable();
                let Some(level) = self.levels.get_mut(&name) else { break };
                let Some((queue, ticket)) = level.next(borrowable, now) else { break };
                let permit = Permit {
                    flow: flow.clone(),
                    level: name.clone(),
                    queue: Some(queue),
                    id: ticket.flow,
                    seats: ticket.seats,
                    began: now,
                };
                woken.push((ticket.wake, permit));
            }
        }
        woken
    }

    /// Makes the levels as a plan says, keeping what runs and waits in them.
    fn take_over(&mut self, plan: Arc<Plan>, seats: u32, metrics: &Metrics) {
        let shares: u32 = plan.levels.iter().map(|spec| spec.shares).sum();
        for spec in &plan.levels {
            let nominal = (u64::from(seats) * u64::from(spec.shares)).div_ceil(u64::from(shares.max(1)));
            let nominal = u32::try_from(nominal).unwrap_or(u32::MAX);
            let level =
                self.levels.entry(spec.name.clone()).or_insert_with(|| Level::new(metrics.of_level(&spec.name)));
            level.configure(spec.clone(), nominal, seats.div_ceil(PARTS));
        }
        self.levels.retain(|name, _| plan.levels.iter().any(|spec| spec.name == *name));
        self.plan = plan;
    }
}
