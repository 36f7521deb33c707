//! What `/metrics` tells of requests.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::path::RequestInfo;
use super::process::Process;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: String,
    group: String,
    resource: String,
    subresource: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    verb: String,
    resource: String,
}

/// The counters of a server.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    watchers: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let requests = Family::<RequestLabels, Counter>::default();
        let durations =
            Family::<DurationLabels, Histogram, fn() -> Histogram>::new_with_constructor(seconds as fn() -> Histogram);
        let watchers = Gauge::default();
        registry.register("apiserver_request", "Requests by verb, resource and response code", requests.clone());
        registry.register("apiserver_request_duration_seconds", "Time to answer, in seconds", durations.clone());
        registry.register("apiserver_longrunning_requests", "Watches that are open", watchers.clone());
        registry.register_collector(Box::new(Process));
        Self { registry, requests, durations, watchers }
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

impl Metrics {
    pub(crate) fn count(&self, info: &RequestInfo, code: u16, took: Duration) {
        let verb = info.verb.to_ascii_uppercase();
        let labels = RequestLabels {
            verb: verb.clone(),
            group: info.group.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            code,
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&DurationLabels { verb, resource: info.resource.clone() })
            .observe(took.as_secs_f64());
    }

    /// For counters of others.
    pub(crate) fn registry(&mut self) -> &mut Registry {
        &mut self.registry
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self, watchers: usize) -> String {
        self.watchers.set(i64::try_from(watchers).unwrap_or(i64::MAX));
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(error) => format!("# {error}\n"),
        }
    }
}
