//! What flow control counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Gauges of a level.
#[derive(Clone, Default)]
pub(super) struct Gauges {
    pub(super) executing: Gauge,
    pub(super) waiting: Gauge,
    pub(super) nominal: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    flow_schema: String,
    priority_level: String,
}

impl Labels {
    fn of(schema: &str, level: &str) -> Self {
        Self { flow_schema: schema.to_owned(), priority_level: level.to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RejectedLabels {
    flow_schema: String,
    priority_level: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LevelLabels {
    priority_level: String,
}

/// What is counted; the names are those of Kubernetes.
#[derive(Default)]
pub(super) struct Metrics {
    dispatched: Family<Labels, Counter>,
    rejected: Family<RejectedLabels, Counter>,
    executing: Family<LevelLabels, Gauge>,
    waiting: Family<LevelLabels, Gauge>,
    nominal: Family<LevelLabels, Gauge>,
}

impl Metrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, metric: &Family<LevelLabels, Gauge>| {
            registry.register(format!("apiserver_flowcontrol_{name}"), help, metric.clone());
        };
        add("current_executing_requests", "Requests that run, by priority level", &self.executing);
        add("current_inqueue_requests", "Requests that wait, by priority level", &self.waiting);
        add("nominal_limit_seats", "Seats of a priority level before lending", &self.nominal);
        let name = |name| format!("apiserver_flowcontrol_{name}");
        registry.register(name("dispatched_requests"), "Requests that got their turn", self.dispatched.clone());
        registry.register(name("rejected_requests"), "Requests that were turned away", self.rejected.clone());
    }

    /// Counts the requests of a schema that got their turn.
    pub(super) fn dispatched(&self, schema: &str, level: &str) -> Counter {
        self.dispatched.get_or_create(&Labels::of(schema, level)).clone()
    }

    /// Counts a request of a schema that was turned away.
    pub(super) fn rejected(&self, schema: &str, level: &str, reason: &str) {
        let labels = RejectedLabels {
            flow_schema: schema.to_owned(),
            priority_level: level.to_owned(),
            reason: reason.to_owned(),
        };
        self.rejected.get_or_create(&labels).inc();
    }

    pub(super) fn of_level(&self, name: &str) -> Gauges {
        let labels = LevelLabels { priority_level: name.to_owned() };
        Gauges {
            executing: self.executing.get_or_create(&labels).clone(),
            waiting: self.waiting.get_or_create(&labels).clone(),
            nominal: self.nominal.get_or_create(&labels).clone(),
        }
    }
}
