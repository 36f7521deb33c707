//! What a namespace uses of its quotas.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service};
use k8s_openapi::api::resource::v1::ResourceClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Wire;
use mainstay_api::quantity::{Format, Quantity};
use mainstay_api::{devices, resource};
use mainstay_client::{DynamicApi, Error, Key, ListParams, Target, object_key};

use crate::claim::absent_is_fine;
use crate::meta::{is_deleting, namespace};
use crate::pod::is_finished;
use crate::runner::{Controller, Keys, Next};
use crate::world::{Informers, World};

/// Kinds that no informer follows are counted so often.
const RECOUNT: Duration = Duration::from_secs(15);
/// Objects in one page of a count.
const PAGE: u32 = 500;
/// Counted under their bare names, too.
const BARE: [&str; 7] =
    ["configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services", "persistentvolumeclaims", "pods"];

/// Amounts by what quotas call them.
type Amounts = BTreeMap<String, Quantity>;

pub(crate) struct Quotas {
    world: World,
}

impl Quotas {
    pub(crate) fn new(world: &World, informers: &mut Informers, queue: &Keys) -> Self {
        let keys = queue.clone();
        informers.quotas.on_change(move |change| {
            keys.add(object_key(&**change.object()));
        });
        let wake = |world: &World, queue: &Keys| {
            let (quotas, keys) = (world.quotas.clone(), queue.clone());
            move |space: &str| {
                for quota in quotas.in_namespace(space) {
                    keys.add(object_key(&*quota));
                }
            }
        };
        let wakes = wake(world, queue);
        informers.pods.on_change(move |change| {
            if let mainstay_client::Change::Updated { old, new } = change
                && is_finished(old) == is_finished(new)
                && old.spec == new.spec
            {
                return;
            }
            wakes(namespace(&change.object().metadata));
        });
        let wakes = wake(world, queue);
        informers.services.on_change(move |change| wakes(namespace(&change.object().metadata)));
        let wakes = wake(world, queue);
        informers.claims.on_change(move |change| wakes(namespace(&change.object().metadata)));
        let wakes = wake(world, queue);
        informers.device_claims.on_change(move |change| {
            // What a claim asks for never changes.
            if !matches!(change, mainstay_client::Change::Updated { .. }) {
                wakes(namespace(&change.object().metadata));
            }
        });
        Quotas { world: world.clone() }
    }

    /// The amount in use of everything that a quota limits; and whether something has to be counted again later.
    async fn used(&self, quota: &ResourceQuota, hard: &BTreeMap<String, Wire>) -> Result<(Amounts, bool), Error> {
        let space = namespace(&quota.metadata);
        let mut used: Amounts = hard.keys().map(|key| (key.clone(), Quantity::zero())).collect();
        let mut recount = false;
        let mut add = |cost: Amounts| {
            for (key, amount) in cost {
                if let Some(sum) = used.get_mut(&key) {
                    *sum = sum.add(amount);
                }
            }
        };
        for pod in self.world.pods.in_namespace(space).iter().filter(|p| in_scope(quota, p)) {
            add(pod_cost(pod));
        }
        if is_scoped(quota) {
            return Ok((used, false));
        }
        self.world.services.in_namespace(space).iter().for_each(|service| add(service_cost(service)));
        self.world.claims.in_namespace(space).iter().for_each(|claim| add(claim_cost(claim)));
        self.world.device_claims.in_namespace(space).iter().for_each(|claim| add(self.device_cost(claim)));
        let seen = ["pods", "services", "persistentvolumeclaims"];
        for (key, target) in hard.keys().filter_map(|key| counted(key).map(|target| (key, target))) {
            if target.group.is_empty() && seen.contains(&target.resource.as_str()) {
                continue;
            }
            recount = true;
            let count = self.count(space, &target).await?;
            used.insert(key.clone(), whole(count));
        }
        Ok((used, recount))
    }

    fn device_cost(&self, claim: &ResourceClaim) -> Amounts {
        let extended = |class: &str| self.world.device_classes.find("", class)?.spec.extended_resource_name.clone();
        devices::cost(claim, extended).into_iter().map(|(name, number)| (name, whole(number))).collect()
    }

    async fn count(&self, space: &str, target: &Target) -> Result<i64, Error> {
        let api = DynamicApi::namespaced(self.world.client.clone(), target.clone(), space);
        let mut params = ListParams { limit: PAGE, resource_version: "0".into(), ..ListParams::default() };
        let mut count = 0;
        loop {
            let page = api.list(&params).await?;
            count += i64::try_from(page.items.len()).unwrap_or(i64::MAX);
            if page.continue_token.is_empty() {
                return Ok(count);
            }
            params.resource_version.clear();
            params.continue_token = page.continue_token;
        }
    }
}

#[async_trait]
impl Controller for Quotas {
    fn name(&self) -> &'static str {
        "resourcequota"
    }

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(quota) = self.world.quotas.get(key).filter(|q| !is_deleting(&q.metadata)) else {
            return Ok(Next::Settled);
        };
        let hard = quota.spec.as_ref().and_then(|s| s.hard.clone()).unwrap_or_default();
        let (used, recount) = self.used(&quota, &hard).await?;
        let used = used.into_iter().map(|(key, amount)| (key, Wire(amount.to_string()))).collect();
        let status = ResourceQuotaStatus { hard: Some(hard), used: Some(used) };
        if quota.status.as_ref() != Some(&status) {
            let changed = ResourceQuota { status: Some(status), ..(*quota).clone() };
            absent_is_fine(self.world.api::<ResourceQuota>(&key.namespace).update_status(&changed).await)?;
        }
        Ok(if recount { Next::After(RECOUNT) } else { Next::Settled })
    }
}

/// The kind whose objects a key counts: `count/deployments.apps`, `secrets`.
fn counted(key: &str) -> Option<Target> {
    let bare = BARE.contains(&key).then_some(key);
    let name = key.strip_prefix("count/").or(bare)?;
    let (name, group) = name.split_once('.').unwrap_or((name, ""));
    let row = resource::builtin().iter().find(|row| row.resource == name && row.group == group)?;
    Some(Target::new(&row.group, &row.version, &row.resource))
}

fn whole(count: i64) -> Quantity {
    Quantity::new(count, Format::DecimalSi)
}

fn is_scoped(quota: &ResourceQuota) -> bool {
    let spec = quota.spec.as_ref();
    spec.and_then(|s| s.scopes.as_ref()).is_some_and(|s| !s.is_empty())
        || spec.and_then(|s| s.scope_selector.as_ref()?.match_expressions.as_ref()).is_some_and(|m| !m.is_empty())
}

/// Whether all scopes of a quota take a pod.
fn in_scope(quota: &ResourceQuota, pod: &Pod) -> bool {
    let Some(spec) = &quota.spec else { return true };
    let plain = spec.scopes.iter().flatten().all(|scope| has_scope(scope, pod));
    let expressions = spec.scope_selector.iter().flat_map(|s| s.match_expressions.iter().flatten());
    let selected = expressions.into_iter().all(|expression| {
        let class = pod.spec.as_ref().and_then(|s| s.priority_class_name.as_deref());
        let listed = || class.is_some_and(|class| expression.values.iter().flatten().any(|v| v == class));
        match (expression.scope_name.as_str(), expression.operator.as_str()) {
            ("PriorityClass", "In") => listed(),
            ("PriorityClass", "NotIn") => !listed(),
            ("PriorityClass", "DoesNotExist") => class.is_none(),
            (scope, _) => has_scope(scope, pod),
        }
    });
    plain && selected
}

fn has_scope(scope: &str, pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let limited = spec.and_then(|s| s.active_deadline_seconds).is_some();
    let best_effort = pod.status.as_ref().and_then(|s| s.qos_class.as_deref()) == Some("BestEffort");
    match scope {
        "Terminating" => limited,
        "NotTerminating" => !limited,
        "BestEffort" => best_effort,
        "NotBestEffort" => !best_effort,
        "PriorityClass" => spec.and_then(|s| s.priority_class_name.as_ref()).is_some(),
        "CrossNamespacePodAffinity" => crosses_namespaces(pod),
        _ => false,
    }
}

fn crosses_namespaces(pod: &Pod) -> bool {
    let Some(affinity) = pod.spec.as_ref().and_then(|s| s.affinity.as_ref()) else { return false };
    let value = serde_json::json!([affinity.pod_affinity, affinity.pod_anti_affinity]);
    let text = value.to_string();
    text.contains("\"namespaces\":[\"") || text.contains("\"namespaceSelector\":{")
}

/// A pod that has ended takes nothing but its place among the objects.
fn pod_cost(pod: &Pod) -> Amounts {
    let mut cost = Amounts::from([("count/pods".to_owned(), whole(1))]);
    if is_finished(pod) {
        return cost;
    }
    cost.insert("pods".into(), whole(1));
    let Some(spec) = &pod.spec else { return cost };
    for (kind, limits) in [("requests", false), ("limits", true)] {
        let of = |container: &k8s_openapi::api::core::v1::Container| -> Amounts {
            let resources = container.resources.as_ref();
            let map = resources.and_then(|r| if limits { r.limits.clone() } else { r.requests.clone() });
            let parsed = map.into_iter().flatten().filter_map(|(k, v)| Some((k, Quantity::parse(&v.0).ok()?)));
            parsed.collect()
        };
        let mut total = Amounts::new();
        for amounts in spec.containers.iter().map(of) {
            sum(&mut total, amounts);
        }
        let mut largest = Amounts::new();
        for container in spec.init_containers.iter().flatten() {
            if container.restart_policy.as_deref() == Some("Always") {
                sum(&mut total, of(container));
            } else {
                larger(&mut largest, of(container));
            }
        }
        larger(&mut total, largest);
        for (key, amount) in total {
            if !limits && matches!(key.as_str(), "cpu" | "memory" | "ephemeral-storage") {
                cost.insert(key.clone(), amount);
            }
            cost.insert(format!("{kind}.{key}"), amount);
        }
    }
    cost
}

fn sum(total: &mut Amounts, more: Amounts) {
    for (key, amount) in more {
        let before = total.remove(&key).unwrap_or_else(Quantity::zero);
        total.insert(key, before.add(amount));
    }
}

fn larger(total: &mut Amounts, other: Amounts) {
    for (key, amount) in other {
        if total.get(&key).is_none_or(|known| *known < amount) {
            total.insert(key, amount);
        }
    }
}

fn service_cost(service: &Service) -> Amounts {
    let mut cost = Amounts::from([("count/services".to_owned(), whole(1)), ("services".to_owned(), whole(1))]);
    let spec = service.spec.clone().unwrap_or_default();
    let ports = i64::try_from(spec.ports.iter().flatten().count()).unwrap_or(0);
    match spec.type_.as_deref() {
        Some("NodePort") => drop(cost.insert("services.nodeports".into(), whole(ports))),
        Some("LoadBalancer") => {
            cost.insert("services.loadbalancers".into(), whole(1));
            let with_node_ports = spec.ports.iter().flatten().filter(|p| p.node_port.is_some_and(|n| n > 0)).count();
            let count = if spec.allocate_load_balancer_node_ports == Some(false) {
                i64::try_from(with_node_ports).unwrap_or(0)
            } else {
                ports
            };
            cost.insert("services.nodeports".into(), whole(count));
        }
        _ => {}
    }
    cost
}

fn claim_cost(claim: &PersistentVolumeClaim) -> Amounts {
    let (count, bare) = ("count/persistentvolumeclaims", "persistentvolumeclaims");
    let mut cost = Amounts::from([(count.to_owned(), whole(1)), (bare.to_owned(), whole(1))]);
    let spec = claim.spec.clone().unwrap_or_default();
    let asked = spec.resources.and_then(|r| r.requests).and_then(|r| r.get("storage").cloned());
    let storage = asked.and_then(|q| Quantity::parse(&q.0).ok());
    if let Some(class) = spec.storage_class_name {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        cost.insert(format!("{prefix}/{bare}"), whole(1));
        cost.extend(storage.map(|amount| (format!("{prefix}/requests.storage"), amount)));
    }
    cost.extend(storage.map(|amount| ("requests.storage".to_owned(), amount)));
    cost
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(phase: &str) -> Pod {
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "spec": {
            "containers": [{"name": "a", "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}}},
                {"name": "b", "resources": {"requests": {"cpu": "200m"}}}],
            "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "250m"}}},
                {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}}]},
            "status": {"phase": phase, "qosClass": "Burstable"}}))
        .unwrap()
    }

    #[test]
    fn containers_add_up_and_init_containers_count_if_larger() {
        let cost = pod_cost(&pod("Running"));
        assert_eq!(cost["requests.cpu"].to_string(), "350m");
        assert_eq!((cost["cpu"].to_string(), cost["limits.cpu"].to_string()), ("350m".into(), "1".into()));
        assert_eq!(cost["pods"].to_string(), "1");
        let ended = pod_cost(&pod("Succeeded"));
        assert_eq!(ended.keys().collect::<Vec<_>>(), ["count/pods"]);
    }

    #[test]
    fn keys_name_what_they_count() {
        let target = counted("count/deployments.apps").unwrap();
        assert_eq!((target.group.as_str(), target.resource.as_str()), ("apps", "deployments"));
        assert!(counted("secrets").is_some() && counted("requests.cpu").is_none());
    }

    #[test]
    fn scopes_pick_pods() {
        let quota = |scope: &str| -> ResourceQuota {
            let value = json!({"apiVersion": "v1", "kind": "ResourceQuota", "spec": {"scopes": [scope]}});
            serde_json::from_value(value).unwrap()
        };
        assert!(in_scope(&quota("NotBestEffort"), &pod("Running")));
        assert!(!in_scope(&quota("Terminating"), &pod("Running")));
    }
}
