//! What has come of the checks, as Prometheus reads it.

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::rest::process::Process;

/// The check, and the path that it was looked at for.
type Check = [(&'static str, String); 2];
/// The same, and how it was.
type Outcome = [(&'static str, String); 3];

/// What came of each check when it was last looked at, and how often what came of it; the names are those of Kubernetes.
pub(crate) struct Outcomes {
    registry: Registry,
    latest: Family<Check, Gauge>,
    all: Family<Outcome, Counter>,
}

impl Default for Outcomes {
    fn default() -> Self {
        let mut registry = Registry::default();
        let (latest, all) = (Family::<Check, Gauge>::default(), Family::<Outcome, Counter>::default());
        registry.register("kubernetes_healthcheck", "Whether a health check went well the last time", latest.clone());
        registry.register("kubernetes_healthchecks", "Health checks by what came of them", all.clone());
        registry.register_collector(Box::new(Process));
        Self { registry, latest, all }
    }
}

impl Outcomes {
    /// A check has been looked at for the path of all.
    pub(super) fn note(&self, whole: &str, name: &str, is_well: bool) {
        let (name, whole) = (("name", name.to_owned()), ("type", whole.to_owned()));
        let status = if is_well { "success" } else { "error" };
        self.latest.get_or_create(&[name.clone(), whole.clone()]).set(i64::from(is_well));
        self.all.get_or_create(&[name, ("status", status.to_owned()), whole]).inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            Err(error) => format!("# {error}\n"),
        }
    }

    /// Begins anew.
    pub(crate) fn forget(&self) {
        self.latest.clear();
        self.all.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_kept_and_counted() {
        let outcomes = Outcomes::default();
        outcomes.note("livez", "ping", true);
        outcomes.note("livez", "etcd", true);
        outcomes.note("livez", "etcd", false);
        let told = outcomes.render();
        for line in [
            "kubernetes_healthcheck{name=\"ping\",type=\"livez\"} 1",
            "kubernetes_healthcheck{name=\"etcd\",type=\"livez\"} 0",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"success\",type=\"livez\"} 1",
            "kubernetes_healthchecks_total{name=\"etcd\",status=\"error\",type=\"livez\"} 1",
        ] {
            assert!(told.lines().any(|own| own == line), "{line} in {told}");
        }
        outcomes.forget();
        assert!(!outcomes.render().contains("livez"));
    }
}
