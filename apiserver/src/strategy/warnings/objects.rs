//! Other kinds than those with pods in them.

use mainstay_api::field::Path;
use serde_json::Value;

use super::{address, labels, volumes};
use crate::strategy::validate::At;

const OLD_CLASS: &str = "deprecated since v1.8; use \"storageClassName\" attribute instead";
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";

fn annotated(obj: &Value, key: &str, text: &str) -> Option<String> {
    let annotations = At::root(obj).get("metadata").get("annotations");
    annotations.opt(key).map(|_| format!("{}: {text}", annotations.path.key(key)))
}

/// A persistent volume.
pub(crate) fn volume(obj: &Value) -> Vec<String> {
    let spec = At::spec(obj);
    let mut out = Vec::new();
    out.extend(annotated(obj, CLASS, OLD_CLASS));
    out.extend(annotated(obj, MOUNT_OPTIONS, "deprecated since v1.31; use \"mountOptions\" attribute instead"));
    if spec.get("persistentVolumeReclaimPolicy").str() == "Recycle" {
        out.push("spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.".to_owned());
    }
    let terms = spec.get("nodeAffinity").get("required").get("nodeSelectorTerms");
    terms.items().for_each(|term| labels::term(&term, false, &mut out));
    volumes::dead(&spec, &mut out);
    out
}

/// A claim.
pub(crate) fn claim(obj: &Value) -> Vec<String> {
    let mut out: Vec<String> = annotated(obj, CLASS, OLD_CLASS).into_iter().collect();
    volumes::claim(&At::spec(obj), &mut out);
    out
}

/// A class of storage.
pub(crate) fn storage_class(obj: &Value) -> Vec<String> {
    let topologies = At::root(obj).get("allowedTopologies");
    let expressions = topologies.items().flat_map(|at| at.get("matchLabelExpressions").items());
    expressions
        .map(|at| at.get("key"))
        .filter_map(|key| labels::old(key.str()).map(|text| format!("{}: {text}", key.path)))
        .collect()
}

/// A class of runtimes.
pub(crate) fn runtime_class(obj: &Value) -> Vec<String> {
    let selector = At::root(obj).get("scheduling").get("nodeSelector");
    selector.map().keys().filter_map(|key| labels::old(key)).map(|text| format!("{}: {text}", selector.path)).collect()
}

/// How much storage there is where.
pub(crate) fn storage_capacity(obj: &Value) -> Vec<String> {
    labels::selector(&At::root(obj).get("nodeTopology"))
}

/// A service.
pub(crate) fn service(obj: &Value) -> Vec<String> {
    let spec = At::spec(obj);
    let (kind, headless) = (spec.get("type").str(), spec.get("clusterIP").str() == "None");
    let headless = headless && kind == "ClusterIP";
    let mut out = Vec::new();
    if At::root(obj).get("metadata").get("annotations").opt("service.kubernetes.io/topology-aware-hints").is_some() {
        out.push("annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead".to_owned());
    }
    if !headless {
        out.extend(spec.get("clusterIPs").items().filter_map(|at| address::ip(&at)));
    }
    let external = spec.get("externalIPs");
    let ignored = [
        (!spec.get("loadBalancerIP").str().is_empty(), "spec.loadBalancerIP"),
        (!external.is_empty(), "spec.externalIPs"),
        (spec.get("sessionAffinity").str() != "None", "spec.SessionAffinity"),
    ];
    for (_, field) in ignored.iter().filter(|(set, _)| headless && *set) {
        out.push(format!("{field} is ignored for headless services"));
    }
    out.extend(external.items().filter_map(|at| address::ip(&at)));
    if !external.is_empty() && !headless && kind != "ExternalName" {
        out.push("spec.externalIPs is deprecated and may no longer be implemented in some clusters".to_owned());
    }
    out.extend(address::ip(&spec.get("loadBalancerIP")));
    out.extend(spec.get("loadBalancerSourceRanges").items().flat_map(|at| address::network(&at)));
    if kind == "ExternalName" && !external.is_empty() {
        out.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if kind != "ExternalName" && !spec.get("externalName").str().is_empty() {
        out.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    if spec.get("trafficDistribution").str() == "PreferClose" {
        out.push("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"".to_owned());
    }
    out
}

/// The addresses that a load balancer has given a service or an ingress.
pub(crate) fn load_balancer(obj: &Value) -> Vec<String> {
    let list = At::root(obj).get("status").get("loadBalancer").get("ingress");
    list.items().filter_map(|at| address::ip(&At::new(at.get("ip").value, at.path))).collect()
}

/// Whether one of Kubernetes' own controllers writes the object, whose addresses nobody needs to be told of.
fn is_kept(obj: &Value, label: &str, controllers: &[&str]) -> bool {
    mainstay_api::meta::label(obj, label).is_some_and(|by| controllers.contains(&by))
}

/// The endpoints of a service, in the old form.
pub(crate) fn endpoints(obj: &Value) -> Vec<String> {
    if is_kept(obj, "endpoints.kubernetes.io/managed-by", &["endpoint-controller"]) {
        return Vec::new();
    }
    let subsets = At::root(obj).get("subsets");
    let lists = subsets.items().flat_map(|subset| [subset.get("addresses"), subset.get("notReadyAddresses")]);
    lists.flat_map(|list| list.items()).filter_map(|at| address::ip(&at.get("ip"))).collect()
}

/// A slice of endpoints; of names that are no addresses only a new one is warned.
pub(crate) fn slice(obj: &Value, old: Option<&Value>) -> Vec<String> {
    const KEEPERS: [&str; 2] = ["endpointslice-controller.k8s.io", "endpointslicemirroring-controller.k8s.io"];
    let root = At::root(obj);
    if root.get("addressType").str() == "FQDN" {
        let text = "spec.addressType: FQDN endpoints are deprecated".to_owned();
        return if old.is_none() { vec![text] } else { Vec::new() };
    }
    if is_kept(obj, "endpointslice.kubernetes.io/managed-by", &KEEPERS) {
        return Vec::new();
    }
    let addresses = root.get("endpoints");
    let addresses = addresses.items().flat_map(|endpoint| endpoint.get("addresses").items());
    addresses.filter_map(|at| address::ip(&at)).collect()
}

/// A network policy.
pub(crate) fn network_policy(obj: &Value) -> Vec<String> {
    let spec = At::spec(obj);
    let peers = [("ingress", "from"), ("egress", "to")].into_iter().flat_map(|(list, peers)| {
        spec.get(list).items().flat_map(move |rule| rule.get(peers).items()).collect::<Vec<_>>()
    });
    let blocks = peers.filter_map(|peer| peer.opt("ipBlock"));
    blocks
        .flat_map(|block| std::iter::once(block.get("cidr")).chain(block.get("except").items()).collect::<Vec<_>>())
        .flat_map(|at| address::network(&at))
        .collect()
}

/// A service account that bounds the secrets of its pods.
pub(crate) fn service_account(new: &Value, old: Option<&Value>) -> Vec<String> {
    const KEY: &str = "kubernetes.io/enforce-mountable-secrets";
    const TEXT: &str = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets";
    let had = old.is_some_and(|old| annotated(old, KEY, TEXT).is_some());
    annotated(new, KEY, TEXT).filter(|_| !had).into_iter().collect()
}

/// A node.
pub(crate) fn node(obj: &Value) -> Vec<String> {
    let spec = At::spec(obj);
    let mut out = Vec::new();
    if spec.opt("configSource").is_some() {
        out.push("spec.configSource: the feature is no longer supported".to_owned());
    }
    if !spec.get("externalID").str().is_empty() {
        out.push("spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned());
    }
    let path = Path::new("spec").child("podCIDRs");
    let cidrs = At::new(spec.get("podCIDRs").value, path);
    out.extend(cidrs.items().flat_map(|at| address::network(&at)));
    out
}
