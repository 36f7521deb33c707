//! The steps of the server's start, as far as this server has what Kubernetes' post-start hooks stand for.

use jiff::Timestamp;
use mainstay_api::{meta, time};

use crate::aggregation::unregistered;
use crate::bootstrap;
use crate::registry::Registry;
use crate::rest::Rest;
use crate::startup;
use crate::strategy::Reader;

const NOT_FINISHED: &str = "not finished";
/// The leader of a new cluster has made its objects within this, in seconds.
const FOUNDING: i64 = 60;

/// What a step waits for.
enum Wanted {
    /// A part of the server notes that it is done.
    Noted,
    /// The watch caches are filled.
    Caches,
    /// The leader makes it.
    Made(Made),
}

/// What the leader makes.
enum Made {
    /// The cluster's own objects of these kinds.
    Kinds(&'static [&'static str]),
    /// An object of the core group: its resource, namespace and name.
    Object(&'static str, &'static str, &'static str),
    /// The APIServices of what every server serves.
    Registrations,
}

/// In Kubernetes' order.
static STEPS: [(&str, Wanted); 14] = [
    ("poststarthook/generic-apiserver-start-informers", Wanted::Caches),
    (startup::FLOW_SCHEMAS, Wanted::Noted),
    (startup::DEFINITIONS_KEPT, Wanted::Noted),
    (startup::DEFINITIONS, Wanted::Noted),
    ("poststarthook/start-system-namespaces-controller", Wanted::Made(Made::Kinds(&["Namespace"]))),
    (
        "poststarthook/start-cluster-authentication-info-controller",
        Wanted::Made(Made::Object("configmaps", "kube-system", "extension-apiserver-authentication")),
    ),
    (startup::CAUGHT_UP, Wanted::Noted),
    (
        "poststarthook/rbac/bootstrap-roles",
        Wanted::Made(Made::Kinds(&["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"])),
    ),
    ("poststarthook/scheduling/bootstrap-system-priority-classes", Wanted::Made(Made::Kinds(&["PriorityClass"]))),
    (
        "poststarthook/priority-and-fairness-config-producer",
        Wanted::Made(Made::Kinds(&["FlowSchema", "PriorityLevelConfiguration"])),
    ),
    ("poststarthook/bootstrap-controller", Wanted::Made(Made::Object("services", "default", "kubernetes"))),
    ("poststarthook/start-kubernetes-service-cidr-controller", Wanted::Made(Made::Kinds(&["ServiceCIDR"]))),
    (startup::REMOTES, Wanted::Noted),
    ("autoregister-completion", Wanted::Made(Made::Registrations)),
];

/// The names of the steps. Without flow control nobody takes over what configures it.
pub(super) fn names(flow_control: bool) -> impl Iterator<Item = &'static str> {
    STEPS.iter().map(|(name, _)| *name).filter(move |name| flow_control || *name != startup::FLOW_SCHEMAS)
}

/// What is wrong with a step; nothing once it has been done.
pub(super) fn fault(rest: &Rest, name: &str) -> Option<String> {
    let (step, wanted) = STEPS.iter().find(|(own, _)| *own == name)?;
    if rest.startup.is_finished(step) {
        return None;
    }
    let fault = match wanted {
        Wanted::Noted => Some(NOT_FINISHED.to_owned()),
        Wanted::Caches => super::unfilled(rest),
        Wanted::Made(_) if is_left_to_others(rest) => None,
        Wanted::Made(made) => missing(&rest.engine.reader, rest.engine.registry(), made),
    };
    if fault.is_none() {
        rest.startup.finish(step);
    }
    fault
}

/// A master that does not lead is not held back in a cluster that has been founded: what its release has more than the
/// leader's, and what users have removed since, comes with the next leader.
fn is_left_to_others(rest: &Rest) -> bool {
    !rest.engine.store.leadership().borrow().acting && is_founded(&rest.engine.reader, Timestamp::now())
}

/// Whether a cluster is not that new. The namespace that tells is one of its first objects, and never removed.
fn is_founded(reader: &dyn Reader, now: Timestamp) -> bool {
    let first = reader.get("", "namespaces", "", "kube-system");
    let founded = first.as_deref().and_then(meta::creation_timestamp).and_then(time::read);
    founded.is_some_and(|founded| now.as_second() - founded.as_second() > FOUNDING)
}

/// What is missing of what the leader makes.
fn missing(reader: &dyn Reader, registry: &Registry, made: &Made) -> Option<String> {
    let is_there = match made {
        Made::Kinds(kinds) => bootstrap::are_made(reader, kinds),
        Made::Object(resource, namespace, name) => reader.get("", resource, namespace, name).is_some(),
        Made::Registrations => {
            let mut rows = registry.all();
            rows.retain(|row| !row.custom);
            let names = unregistered(reader, &rows);
            return (!names.is_empty()).then(|| format!("missing APIService: [{}]", names.join(" ")));
        }
    };
    (!is_there).then(|| NOT_FINISHED.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::Objects;

    fn namespace(name: &str, created: &str) -> (&'static str, &'static str, serde_json::Value) {
        ("", "namespaces", json!({"metadata": {"name": name, "creationTimestamp": created}}))
    }

    #[test]
    fn objects_are_there_when_all_of_them_are() {
        let registry = Registry::builtin();
        let kinds = Made::Kinds(&["Namespace"]);
        let names = ["default", "kube-system", "kube-public", "kube-node-lease"];
        let mut objects = Objects(names.iter().map(|name| namespace(name, "2026-01-01T00:00:00Z")).collect());
        assert_eq!(missing(&objects, &registry, &kinds), None);
        objects.0.pop();
        assert_eq!(missing(&objects, &registry, &kinds).unwrap(), NOT_FINISHED);
        let one = Made::Object("services", "default", "kubernetes");
        assert_eq!(missing(&objects, &registry, &one).unwrap(), NOT_FINISHED);
        objects.0.push(("", "services", json!({"metadata": {"name": "kubernetes", "namespace": "default"}})));
        assert_eq!(missing(&objects, &registry, &one), None);
    }

    #[test]
    fn missing_registrations_are_named() {
        let told = missing(&Objects::default(), &Registry::builtin(), &Made::Registrations).unwrap();
        assert!(told.starts_with("missing APIService: [v1. v1.admissionregistration.k8s.io "), "{told}");
    }

    #[test]
    fn a_cluster_is_founded_after_a_minute() {
        let objects = Objects(vec![namespace("kube-system", "2026-01-01T00:00:00Z")]);
        let at = |text: &str| is_founded(&objects, text.parse().unwrap());
        assert!(!at("2026-01-01T00:01:00Z"));
        assert!(at("2026-01-01T00:01:01Z"));
        assert!(!is_founded(&Objects::default(), "2026-01-01T00:01:01Z".parse().unwrap()));
    }

    #[test]
    fn without_flow_control_nobody_waits_for_it() {
        assert_eq!(names(true).count(), STEPS.len());
        assert!(names(false).all(|name| name != startup::FLOW_SCHEMAS));
    }
}
