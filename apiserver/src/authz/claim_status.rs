//! Who may write which part of a ResourceClaim's status: its devices and users for those who place pods, what is said of
//! a device for its driver (<https://kep.k8s.io/4817>).

use std::collections::{BTreeMap, BTreeSet};

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::names;
use serde_json::Value;

use super::{Authorizer, AuthzAttributes};
use crate::user::UserInfo;

const GROUP: &str = "resource.k8s.io";
const RESOURCE: &str = "resourceclaims";
/// Where a service account's token says on which node it is used.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// A change of a claim's status.
pub struct StatusWrite<'a> {
    /// Who writes.
    pub user: &'a UserInfo,
    /// `update` or `patch`.
    pub verb: &'a str,
    /// The claim's namespace.
    pub namespace: &'a str,
    /// The claim as it will be.
    pub new: &'a Value,
    /// The claim as it is.
    pub old: &'a Value,
}

impl StatusWrite<'_> {
    fn changes(&self, pointer: &str) -> bool {
        self.new.pointer(pointer) != self.old.pointer(pointer)
    }
}

/// What of the change its writer may not make.
#[must_use]
pub fn errors(authorizer: &Authorizer, write: &StatusWrite<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    if write.changes("/status/allocation") || write.changes("/status/reservedFor") {
        errors.extend(binding(authorizer, write));
    }
    let drivers = changed_drivers(write);
    if drivers.is_empty() {
        return errors;
    }
    let verbs = verbs(write);
    errors.extend(drivers.iter().filter_map(|driver| of_driver(authorizer, write, &verbs, driver)));
    errors
}

fn binding(authorizer: &Authorizer, write: &StatusWrite<'_>) -> Option<Error> {
    let asked = AuthzAttributes::resource(write.user, write.verb, GROUP, RESOURCE, "", "").with_subresource("binding");
    let refusal = authorizer.require(&asked).err()?;
    let why = format!(
        "changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"{}\" permission: {}",
        write.verb, refusal.message,
    );
    Some(Error::forbidden(&Path::new("status"), why))
}

/// One of the verbs is enough; the first refusal is told.
fn of_driver(authorizer: &Authorizer, write: &StatusWrite<'_>, verbs: &[String], driver: &str) -> Option<Error> {
    let mut first = None;
    for verb in verbs {
        let asked = AuthzAttributes::resource(write.user, verb, GROUP, RESOURCE, write.namespace, driver);
        match authorizer.require(&asked.with_subresource("driver")) {
            Ok(()) => return None,
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    let why = format!(
        "changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[{}]\" permission: {}",
        verbs.join(" "),
        first?.message,
    );
    Some(Error::forbidden(&Path::new("status").child("devices"), why))
}

/// A driver on the node of the devices needs less than one that is anywhere.
fn verbs(write: &StatusWrite<'_>) -> Vec<String> {
    let anywhere = format!("arbitrary-node:{}", write.verb);
    match node_of(write.new).is_some_and(|node| is_on(write.user, node)) {
        true => vec![format!("associated-node:{}", write.verb), anywhere],
        false => vec![anywhere],
    }
}

/// The drivers of the devices that something else is said of.
fn changed_drivers(write: &StatusWrite<'_>) -> BTreeSet<String> {
    let (new, old) = (statuses(write.new), statuses(write.old));
    let keys = new.keys().chain(old.keys()).filter(|key| new.get(*key) != old.get(*key));
    keys.map(|[driver, ..]| (*driver).to_owned()).collect()
}

/// What is said of each device: by driver, pool, device, share.
fn statuses(claim: &Value) -> BTreeMap<[&str; 4], &Value> {
    let devices = claim.pointer("/status/devices").and_then(Value::as_array);
    devices.into_iter().flatten().map(|device| (key(device), device)).collect()
}

fn key(device: &Value) -> [&str; 4] {
    ["driver", "pool", "device", "shareID"].map(|field| device.get(field).and_then(Value::as_str).unwrap_or_default())
}

/// The node that all of the claim's devices are on, if they are on one.
fn node_of(claim: &Value) -> Option<&str> {
    let [term] = claim.pointer("/status/allocation/nodeSelector/nodeSelectorTerms")?.as_array()?.as_slice() else {
        return None;
    };
    let length = |field: &str| term.get(field).and_then(Value::as_array).map_or(0, Vec::len);
    if length("matchExpressions") != 0 || length("matchFields") != 1 {
        return None;
    }
    let field = term.pointer("/matchFields/0")?;
    let [node] = field.get("values")?.as_array()?.as_slice() else { return None };
    let by_name = field.get("key")? == "metadata.name" && field.get("operator")? == "In";
    node.as_str().filter(|_| by_name)
}

/// Whether a user is a service account whose token is bound to a node.
fn is_on(user: &UserInfo, node: &str) -> bool {
    let parts: Vec<&str> = user.name.split(':').collect();
    let account = matches!(parts.as_slice(), ["system", "serviceaccount", namespace, name]
        if !namespace.is_empty() && !name.is_empty());
    let bound = user.extra.get(NODE_NAME).map(Vec::as_slice);
    account && matches!(bound, Some([bound]) if bound == node && names::is_dns1123_subdomain(bound).is_empty())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::strategy::testing::Objects;

    fn authorizer(rules: Value) -> Authorizer {
        let role = json!({"metadata": {"name": "r"}, "rules": rules});
        let subject = json!({"kind": "ServiceAccount", "namespace": "n", "name": "d"});
        let binding =
            json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [subject]});
        let group = "rbac.authorization.k8s.io";
        Authorizer::new(Arc::new(Objects(vec![(group, "clusterroles", role), (group, "clusterrolebindings", binding)])))
    }

    fn driver_on(node: &str) -> UserInfo {
        let extra = BTreeMap::from([(NODE_NAME.to_owned(), vec![node.to_owned()])]);
        UserInfo { name: "system:serviceaccount:n:d".to_owned(), extra, ..UserInfo::default() }
    }

    fn judge(rules: Value, user: &UserInfo, new: &Value, old: &Value) -> Vec<String> {
        let write = StatusWrite { user, verb: "update", namespace: "n", new, old };
        errors(&authorizer(rules), &write).iter().map(ToString::to_string).collect()
    }

    fn rule(resource: &str, verb: &str) -> Value {
        json!([{"apiGroups": [GROUP], "resources": [resource], "verbs": [verb]}])
    }

    fn claim(devices: Value) -> Value {
        let field = json!({"key": "metadata.name", "operator": "In", "values": ["n1"]});
        let selector = json!({"nodeSelectorTerms": [{"matchFields": [field]}]});
        json!({"status": {"allocation": {"nodeSelector": selector}, "devices": devices}})
    }

    #[test]
    fn devices_are_given_by_those_who_bind() {
        let (new, old) = (claim(json!([])), json!({}));
        let found = judge(json!([]), &driver_on("n1"), &new, &old);
        assert_eq!(
            found,
            [
                "status: Forbidden: changing status.allocation or status.reservedFor requires resource=\"resourceclaims/binding\", verb=\"update\" permission: resourceclaims.resource.k8s.io is forbidden: User \"system:serviceaccount:n:d\" cannot update resource \"resourceclaims/binding\" in API group \"resource.k8s.io\" at the cluster scope"
            ]
        );
        assert!(judge(rule("resourceclaims/binding", "update"), &driver_on("n1"), &new, &old).is_empty());
    }

    #[test]
    fn a_driver_speaks_of_its_own_devices_from_their_node() {
        let said = json!([{"driver": "d.example.com", "pool": "p", "device": "a"}]);
        let (new, old) = (claim(said), claim(json!([])));
        let near = rule("resourceclaims/driver", "associated-node:update");
        let far = rule("resourceclaims/driver", "arbitrary-node:update");
        assert!(judge(near.clone(), &driver_on("n1"), &new, &old).is_empty());
        assert!(judge(far.clone(), &driver_on("n1"), &new, &old).is_empty());
        assert!(judge(far, &driver_on("n2"), &new, &old).is_empty());
        let found = judge(near, &driver_on("n2"), &new, &old);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("status.devices: Forbidden: changing status.devices requires resource=\"resourceclaims/driver\", verb=\"[arbitrary-node:update]\" permission: "));
        // What has not changed needs nothing.
        assert!(judge(json!([]), &driver_on("n2"), &new, &new).is_empty());
    }
}
