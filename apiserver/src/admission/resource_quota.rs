//! Quotas: what a namespace may have altogether.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use mainstay_api::quantity::Quantity;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::ApiResult;
use mainstay_api::{meta, types};
use serde_json::Value;

use super::quota_costs::{LEGACY, cost, count_name};
use super::quota_scopes::{in_scope, is_terminating};
use super::usage::{self, Amounts};
use super::{Attributes, Operation, Plugin};
use crate::engine::SERVER;
use crate::strategy::SideWrite;
use crate::strategy::validate::At;

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
const NEED_VALUES: &[&str] = &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];

/// ResourceQuota. Usage is what the quota's status says; what a write adds to it is written in the same transaction.
pub(crate) struct ResourceQuota;

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let free = FREE.contains(&&*request.resource.resource) || request.is("", "namespaces");
        let Some(object) = request.object.as_ref().filter(|_| !request.namespace.is_empty() && !free) else {
            return Ok(());
        };
        if !is_counted(request, object) {
            return Ok(());
        }
        let quotas = request.reader.list("", "resourcequotas", Some(request.namespace));
        if quotas.is_empty() {
            return Ok(());
        }
        let wanted = cost(request, object);
        let mut held = Vec::new();
        for quota in &quotas {
            held.extend(Held::of(request, quota, object, &wanted)?);
        }
        let old = request.old_object.as_ref().filter(|_| request.operation == Operation::Update);
        let before = old.map(|old| (old, cost(request, old)));
        let mut side = Vec::new();
        for held in &held {
            // Who was not in scope before takes everything now.
            let before = before.as_ref().filter(|(old, _)| in_scope(held.quota, request, old));
            side.extend(held.judge(request, &growth(&wanted, before.map(|(_, cost)| cost)))?);
        }
        request.side.extend(side);
        Ok(())
    }
}

/// Whether a write can take anything of a quota.
fn is_counted(request: &Attributes<'_>, object: &Value) -> bool {
    match (request.operation, request.subresource) {
        (Operation::Create, "") => true,
        (Operation::Update, "resize") => request.is("", "pods"),
        // A pod takes all that it ever will when it is made, unless it is resized or comes under other quotas.
        (Operation::Update, "") if request.is("", "pods") => {
            request.old_object.as_ref().is_some_and(|old| is_terminating(old) != is_terminating(object))
        }
        (Operation::Update, "") => {
            request.is("", "services")
                || request.is("", "persistentvolumeclaims")
                || request.is("resource.k8s.io", "resourceclaims")
        }
        _ => false,
    }
}

/// What a write takes that was not taken before; what it gives back shows when everything is counted again.
fn growth(wanted: &Amounts, before: Option<&Amounts>) -> Amounts {
    let less = |key: &String| before.and_then(|before| before.get(key)).copied().unwrap_or_else(Quantity::zero);
    let all = wanted.iter().map(|(key, value)| (key.clone(), value.sub(less(key))));
    all.filter(|(_, grown)| !grown.is_zero() && !grown.is_negative()).collect()
}

/// A quota that a write is about.
struct Held<'q> {
    quota: &'q Arc<Value>,
    hard: Amounts,
    used: Amounts,
}

impl<'q> Held<'q> {
    /// The quota, if it limits anything that the object may take.
    fn of(
        request: &Attributes<'_>,
        quota: &'q Arc<Value>,
        object: &Value,
        wanted: &Amounts,
    ) -> ApiResult<Option<Self>> {
        let (name, status) = (meta::name(quota), At::root(quota).get("status"));
        let (hard, used) = (usage::amounts(&status.get("hard")), usage::amounts(&status.get("used")));
        let limits = |key: &&str| wanted.contains_key(*key) || may_take(request, key);
        let limited: Vec<&str> = hard.keys().map(String::as_str).filter(limits).collect();
        if limited.is_empty() || !in_scope(quota, request, object) {
            return Ok(None);
        }
        if request.is("", "pods") {
            need_values(request, name, &hard, object)?;
        }
        if limited.iter().any(|key| !used.contains_key(*key)) {
            let why = format!("status unknown for quota: {name}, resources: {}", limited.join(","));
            return Err(request.forbidden(why));
        }
        Ok(Some(Self { quota, hard, used }))
    }

    /// The quota with what the write takes of it, if it takes anything.
    fn judge(&self, request: &Attributes<'_>, grown: &Amounts) -> ApiResult<Option<SideWrite>> {
        let Self { quota, hard, used } = self;
        let limited = grown.iter().filter(|(key, _)| hard.contains_key(*key));
        let wanted: Amounts = limited.map(|(key, value)| (key.clone(), *value)).collect();
        let over: Vec<&String> = wanted.keys().filter(|key| used[*key].add(wanted[*key]) > hard[*key]).collect();
        if over.is_empty() {
            return Ok(charge(quota, used, &wanted, request.now));
        }
        let list =
            |amounts: &Amounts| over.iter().map(|key| format!("{key}={}", amounts[*key])).collect::<Vec<_>>().join(",");
        Err(request.forbidden(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            meta::name(quota),
            list(&wanted),
            list(used),
            list(hard)
        )))
    }
}

/// Whether objects of a resource may take what a quota limits by this name.
fn may_take(request: &Attributes<'_>, name: &str) -> bool {
    let (group, resource) = (&*request.resource.group, &*request.resource.resource);
    let counts = name == count_name(request) || (group.is_empty() && LEGACY.contains(&resource) && name == resource);
    counts
        || match (group, resource) {
            ("", "pods") => pods_may_take(name),
            ("", "services") => matches!(name, "services.nodeports" | "services.loadbalancers"),
            ("", "persistentvolumeclaims") => {
                let of_class = name.split_once(".storageclass.storage.k8s.io/").map(|(_, what)| what);
                name == "requests.storage" || matches!(of_class, Some("persistentvolumeclaims" | "requests.storage"))
            }
            ("resource.k8s.io", "resourceclaims") => name.ends_with(".deviceclass.resource.k8s.io/devices"),
            _ => false,
        }
}

fn pods_may_take(name: &str) -> bool {
    let (list, resource) = match name.split_once('.') {
        Some((list @ ("requests" | "limits"), resource)) => (list, resource),
        _ => ("", name),
    };
    let is_extended = list == "requests" && resource.contains('/') && !resource.contains("kubernetes.io/");
    matches!(resource, "cpu" | "memory" | "ephemeral-storage")
        || (resource.starts_with("hugepages-") && list != "limits")
        || is_extended
}

fn charge(quota: &Arc<Value>, used: &Amounts, wanted: &Amounts, now: Timestamp) -> Option<SideWrite> {
    if wanted.is_empty() {
        return None;
    }
    let mut charged = quota.as_ref().clone();
    for (key, amount) in wanted {
        charged["status"]["used"][key] = used[key].add(*amount).to_string().into();
    }
    own(quota, &mut charged, now);
    Some(SideWrite::Replace {
        group: "",
        resource: "resourcequotas",
        namespace: meta::namespace(quota).to_owned(),
        name: meta::name(quota).to_owned(),
        object: charged,
    })
}

/// The server owns what it counts, as if it had updated the status like any client.
fn own(quota: &Value, charged: &mut Value, now: Timestamp) {
    let schema = types::type_of("", "v1", "ResourceQuota").map_or(Schema::Deduced, Schema::Struct);
    let ignored = FieldSet::of_fields(&[&["spec"]]);
    let write = Write { schema, manager: SERVER, api_version: "v1", subresource: "status", ignored: &ignored, now };
    ssa::track_update(Some(quota), charged, &write);
}

/// A quota on compute resources wants every container to say what it needs, unless the pod says anything as a whole.
fn need_values(request: &Attributes<'_>, quota: &str, hard: &Amounts, pod: &Value) -> ApiResult<()> {
    let spec = At::spec(pod);
    if ["requests", "limits"].into_iter().any(|list| !spec.get("resources").get(list).map().is_empty()) {
        return Ok(());
    }
    let mut missing = Vec::new();
    for key in hard.keys().filter(|key| NEED_VALUES.contains(&key.as_str())) {
        let (list, name) = key.split_once('.').unwrap_or(("requests", key));
        let lacks = |container: &At<'_>| container.get("resources").get(list).opt(name).is_none();
        let containers = spec.get("containers").items().chain(spec.get("initContainers").items());
        let mut names: Vec<&str> = containers.filter(lacks).map(|container| container.get("name").str()).collect();
        names.sort_unstable();
        if !names.is_empty() {
            missing.push(format!("{key} for: {}", names.join(",")));
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(request.forbidden(format!("failed quota: {quota}: must specify {}", missing.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_growth_is_taken() {
        let amounts = |value: Value| usage::amounts(&At::root(&value));
        let wanted = amounts(json!({"services": "1", "services.nodeports": "1", "services.loadbalancers": "1"}));
        let before = amounts(json!({"services": "1", "services.nodeports": "3"}));
        assert_eq!(growth(&wanted, Some(&before)).into_keys().collect::<Vec<_>>(), ["services.loadbalancers"]);
        assert_eq!(growth(&wanted, None).len(), 3);
    }

    #[test]
    fn the_server_owns_what_it_counts() {
        let amounts = |value: Value| usage::amounts(&At::root(&value));
        let used = json!({"pods": "1", "secrets": "1"});
        let owned = json!({
            "manager": "m", "operation": "Update", "apiVersion": "v1", "subresource": "status",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:status": {"f:used": {".": {}, "f:pods": {}, "f:secrets": {}}}},
        });
        let quota = Arc::new(json!({
            "apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": "n", "uid": "u", "managedFields": [owned]},
            "status": {"hard": {"pods": "2", "secrets": "2"}, "used": used},
        }));
        let charged = charge(&quota, &amounts(used), &amounts(json!({"pods": "1"})), Timestamp::UNIX_EPOCH);
        let Some(SideWrite::Replace { object, .. }) = charged else { panic!("nothing is charged") };
        let fields = |manager: &str| {
            let mut entries = meta::managed_fields(&object).iter();
            entries.find(|entry| entry["manager"] == manager).map(|entry| entry["fieldsV1"].clone())
        };
        assert_eq!(fields(SERVER), Some(json!({"f:status": {"f:used": {"f:pods": {}}}})));
        assert_eq!(fields("m"), Some(json!({"f:status": {"f:used": {".": {}, "f:secrets": {}}}})));
    }

    #[test]
    fn what_pods_may_take_is_known_by_name() {
        for name in ["cpu", "limits.memory", "hugepages-2Mi", "requests.hugepages-2Mi", "requests.example.com/gpu"] {
            assert!(pods_may_take(name), "{name}");
        }
        for name in ["requests.storage", "limits.hugepages-2Mi", "services.nodeports", "limits.example.com/gpu"] {
            assert!(!pods_may_take(name), "{name}");
        }
    }
}
