//! Quotas: what a namespace may have altogether.

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::resource::v1::ResourceClaim;
use mainstay_api::quantity::Quantity;
use mainstay_api::status::ApiResult;
use mainstay_api::{devices, meta};
use serde_json::Value;

use super::usage::{self, Amounts};
use super::{Attributes, Operation, Plugin};
use crate::strategy::validate::At;
use crate::strategy::{SideWrite, qos_class};

/// Kinds that no quota counts.
const FREE: &[&str] = &[
    "bindings",
    "componentstatuses",
    "events",
    "tokenreviews",
    "selfsubjectreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "localsubjectaccessreviews",
    "selfsubjectrulesreviews",
];
/// Kinds that have been counted under their bare names.
const LEGACY: &[&str] = &[
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
    "services",
    "persistentvolumeclaims",
    "pods",
];
const NEED_VALUES: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// ResourceQuota. Usage is what the quota's status says; what a write adds to it is written in the same transaction.
pub(crate) struct ResourceQuota;

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        if !writes
            || request.namespace.is_empty()
            || FREE.contains(&&*request.resource.resource)
            || request.is("", "namespaces")
        {
            return Ok(());
        }
        let resize = request.is("", "pods") && request.subresource == "resize";
        // A pod takes all that it ever will when it is made, unless it is resized.
        let changed = request.operation == Operation::Update && request.is("", "pods");
        if (!request.subresource.is_empty() || changed) && !resize {
            return Ok(());
        }
        let Some(object) = request.object.as_ref() else { return Ok(()) };
        let quotas = request.reader.list("", "resourcequotas", Some(request.namespace));
        let mut side = Vec::new();
        for quota in quotas.iter().filter(|quota| in_scope(quota, request, object)) {
            side.extend(judge(request, quota, object)?);
        }
        request.side.extend(side);
        Ok(())
    }
}

/// The quota with what the write takes of it, if it takes anything.
fn judge(request: &Attributes<'_>, quota: &Arc<Value>, object: &Value) -> ApiResult<Option<SideWrite>> {
    let status = At::root(quota).get("status");
    let (hard, used) = (usage::amounts(&status.get("hard")), usage::amounts(&status.get("used")));
    if hard.is_empty() {
        return Ok(None);
    }
    let name = meta::name(quota);
    if request.is("", "pods") {
        need_values(request, name, &hard, object)?;
    }
    let mut wanted = cost(request, object);
    if let Some(old) = request.old_object.as_ref().filter(|_| request.operation == Operation::Update) {
        let before = cost(request, old);
        wanted = wanted
            .into_iter()
            .map(|(key, value)| {
                let less = before.get(&key).cloned().unwrap_or_else(Quantity::zero);
                (key, value.sub(less))
            })
            .collect();
    }
    wanted.retain(|key, value| hard.contains_key(key) && !value.is_zero());
    let unknown: Vec<&str> = wanted.keys().filter(|key| !used.contains_key(*key)).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(request.forbidden(format!("status unknown for quota: {name}, resources: {}", unknown.join(","))));
    }
    let over: Vec<&String> =
        wanted.keys().filter(|key| !wanted[*key].is_negative() && used[*key].add(wanted[*key]) > hard[*key]).collect();
    if over.is_empty() {
        return Ok(charge(quota, &used, &wanted));
    }
    let list =
        |amounts: &Amounts| over.iter().map(|key| format!("{key}={}", amounts[*key])).collect::<Vec<_>>().join(",");
    Err(request.forbidden(format!(
        "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
        list(&wanted),
        list(&used),
        list(&hard)
    )))
}

fn charge(quota: &Arc<Value>, used: &Amounts, wanted: &Amounts) -> Option<SideWrite> {
    if wanted.is_empty() {
        return None;
    }
    let mut charged = quota.as_ref().clone();
    for (key, amount) in wanted {
        charged["status"]["used"][key] = used[key].add(*amount).to_string().into();
    }
    Some(SideWrite::Replace {
        group: "",
        resource: "resourcequotas",
        namespace: meta::namespace(quota).to_owned(),
        name: meta::name(quota).to_owned(),
        object: charged,
    })
}

/// A quota on compute resources wants every container to say what it needs.
fn need_values(request: &Attributes<'_>, quota: &str, hard: &Amounts, pod: &Value) -> ApiResult<()> {
    let spec = At::spec(pod);
    let mut missing = Vec::new();
    for key in hard.keys().filter(|key| NEED_VALUES.contains(&key.as_str())) {
        let (list, name) = key.split_once('.').unwrap_or(("requests", key));
        let lacks = |container: &At<'_>| container.get("resources").get(list).opt(name).is_none();
        let containers = spec.get("containers").items().chain(spec.get("initContainers").items());
        let mut names: Vec<&str> = containers.filter(lacks).map(|container| container.get("name").str()).collect();
        names.sort_unstable();
        if !names.is_empty() && spec.get("resources").get(list).opt(name).is_none() {
            missing.push(format!("{key} for: {}", names.join(",")));
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(request.forbidden(format!("failed quota: {quota}: must specify {}", missing.join("; "))))
    }
}

fn one() -> Quantity {
    Quantity::new(1, mainstay_api::quantity::Format::DecimalSi)
}

/// What an object takes of everything that quotas count.
fn cost(request: &Attributes<'_>, object: &Value) -> Amounts {
    let (group, resource) = (&*request.resource.group, &*request.resource.resource);
    let counted = if group.is_empty() { format!("count/{resource}") } else { format!("count/{resource}.{group}") };
    let mut cost = Amounts::from([(counted, one())]);
    if group.is_empty() && LEGACY.contains(&resource) {
        cost.insert(resource.to_owned(), one());
    }
    match (group, resource) {
        ("", "pods") => pod_cost(object, &mut cost),
        ("", "services") => service_cost(object, &mut cost),
        ("", "persistentvolumeclaims") => claim_cost(object, &mut cost),
        ("resource.k8s.io", "resourceclaims") => device_cost(request, object, &mut cost),
        _ => {}
    }
    cost
}

fn pod_cost(pod: &Value, cost: &mut Amounts) {
    let phase = At::root(pod).get("status").get("phase").str();
    if matches!(phase, "Failed" | "Succeeded") {
        cost.retain(|key, _| key == "count/pods");
        return;
    }
    for (name, quantity) in usage::pod(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            cost.insert(name.clone(), quantity);
        }
        cost.insert(format!("requests.{name}"), quantity);
    }
    for (name, quantity) in usage::pod(pod, "limits") {
        cost.insert(format!("limits.{name}"), quantity);
    }
}

fn service_cost(service: &Value, cost: &mut Amounts) {
    let spec = At::spec(service);
    let ports = i64::try_from(spec.get("ports").len()).unwrap_or(i64::MAX);
    let count = |number| Quantity::new(number, mainstay_api::quantity::Format::DecimalSi);
    match spec.get("type").str() {
        "NodePort" => drop(cost.insert("services.nodeports".to_owned(), count(ports))),
        "LoadBalancer" => {
            let ports = if spec.opt("allocateLoadBalancerNodePorts").is_some_and(|at| !at.bool()) {
                spec.get("ports")
                    .items()
                    .filter(|port| port.get("nodePort").int() != 0)
                    .count()
                    .try_into()
                    .unwrap_or(i64::MAX)
            } else {
                ports
            };
            cost.insert("services.nodeports".to_owned(), count(ports));
            cost.insert("services.loadbalancers".to_owned(), one());
        }
        _ => {}
    }
}

fn claim_cost(claim: &Value, cost: &mut Amounts) {
    let storage = At::spec(claim).get("resources").get("requests").get("storage").quantity();
    let annotated = meta::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let class = annotated.unwrap_or_else(|| At::spec(claim).get("storageClassName").str()).to_owned();
    cost.insert("requests.storage".to_owned(), storage);
    if !class.is_empty() {
        cost.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
        cost.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage);
    }
}

/// The devices that a claim may get.
fn device_cost(request: &Attributes<'_>, claim: &Value, cost: &mut Amounts) {
    let Ok(claim) = serde_json::from_value::<ResourceClaim>(claim.clone()) else { return };
    let extended = |class: &str| {
        let class = request.reader.get("resource.k8s.io", "deviceclasses", "", class)?;
        class.pointer("/spec/extendedResourceName").and_then(Value::as_str).map(str::to_owned)
    };
    let count = |number| Quantity::new(number, mainstay_api::quantity::Format::DecimalSi);
    cost.extend(devices::cost(&claim, extended).into_iter().map(|(name, number)| (name, count(number))));
}

/// A quota with scopes is about the pods and claims that match all of them.
fn in_scope(quota: &Value, request: &Attributes<'_>, object: &Value) -> bool {
    let spec = At::spec(quota);
    let mut scopes: Vec<(String, String, Vec<String>)> =
        spec.get("scopes").strings().map(|scope| (scope.to_owned(), "Exists".to_owned(), Vec::new())).collect();
    for at in spec.get("scopeSelector").get("matchExpressions").items() {
        let values = at.get("values").strings().map(str::to_owned).collect();
        scopes.push((at.get("scopeName").str().to_owned(), at.get("operator").str().to_owned(), values));
    }
    scopes.iter().all(|(scope, operator, values)| match scope.as_str() {
        "VolumeAttributesClass" => {
            request.is("", "persistentvolumeclaims") && matches_class(&attributes_classes(object), operator, values)
        }
        scope => request.is("", "pods") && matches_scope(object, scope, operator, values),
    })
}

fn matches_scope(pod: &Value, scope: &str, operator: &str, values: &[String]) -> bool {
    let spec = At::spec(pod);
    let class = spec.get("priorityClassName").str();
    match scope {
        "Terminating" => spec.opt("activeDeadlineSeconds").is_some(),
        "NotTerminating" => spec.opt("activeDeadlineSeconds").is_none(),
        "BestEffort" => qos_class(pod) == "BestEffort",
        "NotBestEffort" => qos_class(pod) != "BestEffort",
        "PriorityClass" => {
            let classes: Vec<&str> = if class.is_empty() { Vec::new() } else { vec![class] };
            matches_class(&classes, operator, values)
        }
        "CrossNamespacePodAffinity" => looks_at_other_namespaces(&spec),
        _ => false,
    }
}

/// Whether any of the classes that an object is of is one of those that are counted.
fn matches_class(classes: &[&str], operator: &str, values: &[String]) -> bool {
    let named = |class: &&str| values.iter().any(|value| value == class);
    match operator {
        "In" => classes.iter().any(named),
        "NotIn" => classes.is_empty() || !classes.iter().all(named),
        "DoesNotExist" => classes.is_empty(),
        _ => !classes.is_empty(),
    }
}

/// The classes of attributes that a claim has, and will have.
fn attributes_classes(claim: &Value) -> Vec<&str> {
    let status = At::root(claim).get("status");
    let all = [
        At::spec(claim).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        status.get("modifyVolumeStatus").get("targetVolumeAttributesClassName"),
    ];
    all.iter().map(At::str).filter(|class| !class.is_empty()).collect()
}

/// Whether a pod wants to be near pods of other namespaces, or far from them.
fn looks_at_other_namespaces(spec: &At<'_>) -> bool {
    let crosses = |term: &At<'_>| !term.get("namespaces").is_empty() || term.opt("namespaceSelector").is_some();
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = spec.get("affinity").get(kind);
        let mut required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution").items();
        let mut preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items();
        required.any(|term| crosses(&term)) || preferred.any(|at| crosses(&at.get("podAffinityTerm")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scopes_tell_pods_and_claims_apart() {
        let near = json!({"spec": {"affinity": {"podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}],
        }}}});
        assert!(matches_scope(&near, "CrossNamespacePodAffinity", "Exists", &[]));
        assert!(!matches_scope(&json!({}), "CrossNamespacePodAffinity", "Exists", &[]));
        let claim = json!({"spec": {"volumeAttributesClassName": "gold"}});
        let gold = ["gold".to_owned()];
        assert!(matches_class(&attributes_classes(&claim), "In", &gold));
        assert!(!matches_class(&attributes_classes(&claim), "NotIn", &gold));
        assert!(matches_class(&[], "NotIn", &gold));
    }
}
