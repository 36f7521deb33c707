//! What single flows of a level have: while others ask too, none takes so much that they are slowed down by it.

use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use tokio::time::Instant;

/// For so long after a request a flow counts as one that asks.
const ASKING: Duration = Duration::from_secs(1);

/// A flow, by its schema and what tells it apart from the schema's others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowId(u64);

impl FlowId {
    pub(super) fn of(schema: &str, flow: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        (schema, flow).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The flows of a level.
#[derive(Default)]
pub(super) struct Flows {
    /// Seats of a flow at the most while it is not alone.
    pub(super) most: u32,
    /// Seats of flows that have some.
    taken: foldhash::HashMap<FlowId, u32>,
    last: Option<(FlowId, Instant)>,
    /// Several have asked a moment ago.
    shared_until: Option<Instant>,
}

impl Flows {
    /// A flow asks.
    pub(super) fn ask(&mut self, flow: FlowId, now: Instant) {
        if self.last.is_some_and(|(last, at)| last != flow && now < at + ASKING) {
            self.shared_until = Some(now + ASKING);
        }
        self.last = Some((flow, now));
    }

    /// Whether a flow has to wait for requests of its own to end. One of them may always run.
    pub(super) fn is_full(&self, flow: FlowId, seats: u32, now: Instant) -> bool {
        let taken = self.taken.get(&flow).copied().unwrap_or_default();
        taken > 0 && taken + seats > self.most && self.shared_until.is_some_and(|until| now < until)
    }

    pub(super) fn begin(&mut self, flow: FlowId, seats: u32) {
        *self.taken.entry(flow).or_default() += seats;
    }

    pub(super) fn end(&mut self, flow: FlowId, seats: u32) {
        let Entry::Occupied(mut taken) = self.taken.entry(flow) else { return };
        *taken.get_mut() = taken.get().saturating_sub(seats);
        if *taken.get() == 0 {
            taken.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_is_alone_takes_what_there_is() {
        let (own, other) = (FlowId::of("s", "own"), FlowId::of("s", "other"));
        let mut flows = Flows { most: 2, ..Flows::default() };
        let now = Instant::now();
        flows.ask(own, now);
        flows.begin(own, 2);
        assert!(!flows.is_full(own, 1, now));
        flows.ask(other, now);
        assert!(flows.is_full(own, 1, now) && !flows.is_full(other, 3, now));
        assert!(!flows.is_full(own, 1, now + ASKING), "nobody else asks any more");
        flows.end(own, 2);
        assert!(!flows.is_full(own, 3, now) && flows.taken.is_empty());
    }

    #[test]
    fn flows_are_told_apart_by_schema_and_user() {
        assert_ne!(FlowId::of("a", "bc"), FlowId::of("ab", "c"));
        assert_eq!(FlowId::of("a", "b"), FlowId::of("a", "b"));
    }
}
