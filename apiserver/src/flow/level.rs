//! A priority level while it runs: its seats, and its queues by the time that each has got.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Permit;
use super::config::{LevelSpec, Limit};
use super::flows::{FlowId, Flows};
use super::metrics::Gauges;
use super::queues;

/// What a request is taken to cost until it has ended, in seconds.
const ESTIMATE: f64 = 0.003;

/// A request that waits.
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) flow: FlowId,
    pub(super) seats: u32,
    pub(super) wake: oneshot::Sender<Permit>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Ticket>,
    /// Seats taken by requests of this queue.
    taken: u32,
    /// Seat-seconds that it has got, counted from where the others were when it came alive.
    got: f64,
}

impl Queue {
    fn idle(&self) -> bool {
        self.waiting.is_empty() && self.taken == 0
    }

    fn load(&self) -> u32 {
        self.taken + self.waiting.iter().map(|ticket| ticket.seats).sum::<u32>()
    }
}

/// A level's requests.
pub(super) struct Level {
    limit: Limit,
    nominal: u32,
    lendable: u32,
    borrowing: u32,
    taken: u32,
    waiting: usize,
    queues: Vec<Queue>,
    flows: Flows,
    /// What the queue that was served last had got then.
    clock: f64,
    gauges: Gauges,
}

impl Level {
    pub(super) fn new(gauges: Gauges) -> Self {
        let limit = Limit::Reject;
        let (nominal, lendable, borrowing, taken, waiting) = (0, 0, 0, 0, 0);
        let (queues, flows) = (Vec::new(), Flows::default());
        Self { limit, nominal, lendable, borrowing, taken, waiting, queues, flows, clock: 0.0, gauges }
    }

    /// Queues only become more, as there may be somebody in those that would go; none is dealt out any more then. `most` is
    /// for a flow that is not alone.
    pub(super) fn configure(&mut self, spec: LevelSpec, nominal: u32, most: u32) {
        let percent = |percent: u32| u32::try_from(u64::from(nominal) * u64::from(percent) / 100).unwrap_or(u32::MAX);
        if let Limit::Queue { queues, .. } = spec.limit {
            self.queues.resize_with(self.queues.len().max(queues), Queue::default);
        }
        self.lendable = percent(spec.lendable_percent);
        self.borrowing = spec.borrowing_percent.map_or(u32::MAX, percent);
        (self.limit, self.nominal, self.flows.most) = (spec.limit, nominal, most);
        self.gauges.nominal.set(i64::from(nominal));
    }

    /// A flow asks for something.
    pub(super) fn ask(&mut self, flow: FlowId, now: Instant) {
        self.flows.ask(flow, now);
    }

    /// The queue for a request of a flow: of its hand the one with the least in it.
    pub(super) fn deal(&self, schema: &str, flow: &str) -> Option<usize> {
        let Limit::Queue { queues, hand, .. } = self.limit else { return None };
        queues::hand(schema, flow, queues, hand).into_iter().min_by_key(|queue| self.queues[*queue].load())
    }

    /// Seats that others may use now.
    pub(super) fn lends(&self) -> u32 {
        self.lendable.min(self.nominal.saturating_sub(self.taken))
    }

    /// Seats of others that are used here.
    pub(super) fn borrows(&self) -> u32 {
        self.taken.saturating_sub(self.nominal)
    }

    pub(super) fn waits(&self) -> bool {
        self.waiting > 0
    }

    pub(super) fn has_seats(&self, seats: u32, borrowable: u32) -> bool {
        let wanted = self.taken + seats;
        if wanted <= self.nominal || self.taken == 0 && self.nominal > 0 {
            return true;
        }
        // What it lends itself it cannot borrow.
        let others = borrowable.saturating_sub(self.lends());
        let missing = wanted - self.nominal.max(self.taken);
        missing <= others && wanted - self.nominal <= self.borrowing
    }

    /// There are seats for the flow, and nobody waits for any.
    pub(super) fn may_run_at_once(&self, flow: FlowId, seats: u32, borrowable: u32, now: Instant) -> bool {
        self.waiting == 0 && self.has_seats(seats, borrowable) && !self.flows.is_full(flow, seats, now)
    }

    /// A request of a queue begins to run.
    pub(super) fn begin(&mut self, queue: Option<usize>, flow: FlowId, seats: u32) {
        self.taken += seats;
        self.flows.begin(flow, seats);
        self.gauges.executing.inc();
        if let Some(queue) = queue.and_then(|queue| self.queues.get_mut(queue)) {
            if queue.idle() {
                queue.got = queue.got.max(self.clock);
            }
            queue.taken += seats;
            queue.got += f64::from(seats) * ESTIMATE;
        }
    }

    /// It has ended after this time.
    pub(super) fn end(&mut self, queue: Option<usize>, flow: FlowId, seats: u32, took: Duration) {
        self.taken = self.taken.saturating_sub(seats);
        self.flows.end(flow, seats);
        self.gauges.executing.dec();
        if let Some(queue) = queue.and_then(|queue| self.queues.get_mut(queue)) {
            queue.taken = queue.taken.saturating_sub(seats);
            queue.got += f64::from(seats) * (took.as_secs_f64() - ESTIMATE);
        }
    }

    /// Puts a request into its queue; `false` if that is full.
    pub(super) fn wait(&mut self, queue: usize, ticket: Ticket) -> bool {
        let Limit::Queue { length, .. } = self.limit else { return false };
        let queue = &mut self.queues[queue];
        if queue.waiting.len() >= length {
            return false;
        }
        if queue.idle() {
            queue.got = queue.got.max(self.clock);
        }
        queue.waiting.push_back(ticket);
        self.waiting += 1;
        self.gauges.waiting.inc();
        true
    }

    /// Takes a request out that waits no longer, if it is still there.
    pub(super) fn leave(&mut self, queue: usize, number: u64) {
        let Some(queue) = self.queues.get_mut(queue) else { return };
        let before = queue.waiting.len();
        queue.waiting.retain(|ticket| ticket.number != number);
        if queue.waiting.len() < before {
            self.waiting -= 1;
            self.gauges.waiting.dec();
        }
    }

    /// The request whose turn it is, if there are seats for it; it runs then.
    pub(super) fn next(&mut self, borrowable: u32, now: Instant) -> Option<(usize, Ticket)> {
        let may = |first: &Ticket| !self.flows.is_full(first.flow, first.seats, now);
        let some = self.queues.iter().enumerate().filter(|(_, queue)| queue.waiting.front().is_some_and(may));
        let (index, queue) = some.min_by(|a, b| a.1.got.total_cmp(&b.1.got))?;
        let seats = queue.waiting.front()?.seats;
        if !self.has_seats(seats, borrowable) {
            return None;
        }
        let queue = &mut self.queues[index];
        let ticket = queue.waiting.pop_front()?;
        self.clock = self.clock.max(queue.got);
        self.waiting -= 1;
        self.gauges.waiting.dec();
        self.begin(Some(index), ticket.flow, seats);
        Some((index, ticket))
    }
}
