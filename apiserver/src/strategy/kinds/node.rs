//! Nodes.

use std::cmp::Ordering;

use mainstay_api::field::{Error, ErrorList, Path, Shown, go_quote};
use mainstay_api::{meta, names};
use serde_json::Value;

use crate::strategy::rules::{CHECK_FIRST, Rules};
use crate::strategy::validate::{At, Errors, annotated, gates, ip, quantities};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, base};

/// Nodes. Unlike others they keep the status that their creator gives them.
pub(crate) struct Node;

impl crate::strategy::Strategy for Node {
    fn prepare_create(&self, _cx: &Context<'_>, obj: &mut Value) {
        sync_cidrs(obj);
        CONFIG.into_iter().for_each(|path| base::remove(obj, path));
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        sync_cidrs(new);
        base::prepare_update(cx, new, old);
        for path in CONFIG.into_iter().filter(|path| old.pointer(&path.replace('.', "/")).is_none()) {
            base::remove(new, path);
        }
    }

    fn validate_create(&self, cx: &Context<'_>, obj: &Value) -> ErrorList {
        RULES.validate_create(cx, obj)
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        RULES.validate_update(cx, new, old)
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if cx.subresource == "status" { Vec::new() } else { objects::node(new) }
    }
}

/// What a kubelet was once configured by: nobody can set that any more.
const CONFIG: [&str; 2] = [".spec.configSource", ".status.config"];

const RULES: Rules = Rules {
    check: |_, obj, errors| node(obj, errors),
    change: |_, new, old, errors| changes(new, old, errors),
    status: |_, new, old, errors| changes(new, old, errors),
    parts: CHECK_FIRST,
    ..Rules::PLAIN
};

/// The first of `podCIDRs` is `podCIDR`.
fn sync_cidrs(obj: &mut Value) {
    let one = obj.pointer("/spec/podCIDR").and_then(Value::as_str).unwrap_or_default().to_owned();
    let many = obj.pointer("/spec/podCIDRs").and_then(Value::as_array).filter(|list| !list.is_empty()).cloned();
    match (one.is_empty(), many) {
        (true, Some(many)) => base::set(obj, "/spec/podCIDR", many[0].clone()),
        (false, None) => base::set(obj, "/spec/podCIDRs", Value::Array(vec![one.into()])),
        _ => {}
    }
}

fn node(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    annotations(obj, errors);
    own_taints(&spec, errors);
    capacity(obj, errors);
    swap(obj, errors);
    features(obj, errors);
    networks(&spec.get("podCIDRs"), errors);
}

/// The networks of the pods, one of a family at the most.
fn networks(cidrs: &At<'_>, errors: &mut Errors) {
    let families: Vec<_> =
        cidrs.items().map(|cidr| ip::network(&cidr, errors).map(|network| network.addr().is_ipv4())).collect();
    if families.len() < 2 {
        return;
    }
    let odd = families.iter().zip(cidrs.strings()).enumerate().find(|(_, (family, _))| family.is_none());
    if let Some((index, (_, text))) = odd {
        let why = format!("invalid CIDR[{index}]: <nil> (invalid CIDR address: {text})");
        let why = format!("invalid PodCIDRs. failed to check with dual stack with error:{why}");
        errors.0.push(Error::internal(&cidrs.path, why));
    }
    if odd.is_some() || families.len() > 2 || families[0] == families[1] {
        errors.invalid(cidrs, "may specify no more than one CIDR for each IP family");
    }
}

/// There is some memory to swap to, if the node tells of it.
fn swap(obj: &Value, errors: &mut Errors) {
    let amount = At::root(obj).get("status").get("nodeInfo").get("swap").get("capacity");
    if !amount.is_null() && amount.int() <= 0 {
        let path = Path::new("metadata").child("nodeSwapStatus").child("capacity");
        errors.invalid(&At::new(amount.value, path), "must be greater than zero");
    }
}

/// The features that the node declares, each once and in order.
fn features(obj: &Value, errors: &mut Errors) {
    let mut before: Option<&str> = None;
    let list = At::root(obj).get("status").get("declaredFeatures");
    for feature in list.items() {
        match before.map(|before| before.cmp(feature.str())) {
            Some(Ordering::Equal) => errors.duplicate(&feature),
            Some(Ordering::Greater) => errors.invalid(&feature, "list must be sorted alphabetically"),
            _ => {}
        }
        let why = if feature.str().len() > 253 {
            "must be no more than 253 characters"
        } else if is_feature(feature.str()) {
            ""
        } else {
            "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
        };
        if !why.is_empty() {
            errors.invalid(&feature, format!("invalid feature name {}: {why}", go_quote(feature.str())));
        }
        before = Some(feature.str());
    }
}

fn is_feature(name: &str) -> bool {
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split('/').all(is_word)
}

fn addresses(obj: &Value, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for address in At::root(obj).get("status").get("addresses").items() {
        let (kind, text) = (address.get("type").str(), address.get("address").str());
        if !seen.insert((kind, text)) {
            let shown = format!("{{\"Type\":{},\"Address\":{}}}", Value::from(kind), Value::from(text));
            let mut error = Error::duplicate(&address.path, "");
            error.value = Shown::Text(shown);
            errors.0.push(error);
        }
    }
}

/// What a node has is never less than nothing, and of things that are counted it is a whole number.
fn capacity(obj: &Value, errors: &mut Errors) {
    let status = At::root(obj).get("status");
    for field in ["capacity", "allocatable"] {
        let amounts = status.get(field);
        for (name, amount) in amounts.entries() {
            quantities::resource_amount(name, &At::new(amount.value, amounts.path.child(name)), errors);
        }
    }
}

/// Annotations that were there before the fields that have followed them.
fn annotations(obj: &Value, errors: &mut Errors) {
    const TAINTS: &str = "scheduler.alpha.kubernetes.io/taints";
    const AVOIDED: &str = "scheduler.alpha.kubernetes.io/preferAvoidPods";
    let list = At::root(obj).get("metadata").get("annotations");
    let of = |key: &str| list.get(key).str();
    if !of(TAINTS).is_empty() {
        match annotated::read(of(TAINTS), &annotated::TAINTS) {
            Ok(read) => taints(&At::new(&read, list.path.child(TAINTS)), errors),
            Err(why) => errors.0.push(Error::invalid(&list.path, TAINTS, why)),
        }
    }
    if !of(AVOIDED).is_empty() {
        match annotated::read(of(AVOIDED), &annotated::AVOIDED_PODS) {
            Ok(read) => avoided(&At::new(&read["preferAvoidPods"], list.path.child(AVOIDED)), errors),
            Err(why) => errors.0.push(Error::invalid(&list.path.child("AvoidPods"), AVOIDED, why)),
        }
    }
}

/// Pods that had better run elsewhere are told by their controller.
fn avoided(list: &At<'_>, errors: &mut Errors) {
    for entry in list.items() {
        let owner = entry.get("podSignature").get("podController");
        let path = entry.path.child("PodSignature");
        if owner.is_null() {
            errors.0.push(Error::required(&path, ""));
        } else if !owner.get("controller").bool() {
            let path = path.child("PodController").child("Controller");
            errors.0.push(Error::invalid(&path, false, "must point to a controller"));
        }
    }
}

/// The path of the field is that of old, when it was an annotation.
fn own_taints(spec: &At<'_>, errors: &mut Errors) {
    taints(&At::new(spec.get("taints").value, Path::new("metadata").child("taints")), errors);
}

fn taints(list: &At<'_>, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for at in list.items() {
        let (key, value) = (at.get("key"), at.get("value"));
        errors.extend(meta::validate_label_name(key.str(), &key.path));
        let texts = names::is_label_value(value.str());
        if !texts.is_empty() {
            errors.0.push(Error::invalid(&value.path, value.str(), texts.join(";")));
        }
        gates::taint_effect(&at.get("effect"), errors);
        if !seen.insert((key.str(), at.get("effect").str())) {
            let added = at.opt("timeAdded").map_or_else(|| "null".to_owned(), |at| at.value.to_string());
            let shown = format!(
                "{{\"Key\":{},\"Value\":{},\"Effect\":{},\"TimeAdded\":{added}}}",
                Value::from(key.str()),
                Value::from(value.str()),
                Value::from(at.get("effect").str())
            );
            let mut error = Error::duplicate(&at.path, "").with_detail("taints must be unique by key and effect pair");
            error.value = Shown::Text(shown);
            errors.0.push(error);
        }
    }
}

fn changes(new: &Value, old: &Value, errors: &mut Errors) {
    annotations(new, errors);
    capacity(new, errors);
    features(new, errors);
    addresses(new, errors);
    let (now, was) = (At::spec(new), At::spec(old));
    let (cidrs, before) = (now.get("podCIDRs"), was.get("podCIDRs"));
    let moved = match (before.len(), cidrs.len() == before.len()) {
        (0, _) => 0,
        (_, false) => 1,
        (_, true) => before.strings().zip(cidrs.strings()).filter(|(old, new)| old != new).count(),
    };
    for _ in 0..moved {
        errors.forbidden(&cidrs, "node updates may not change podCIDR except from \"\" to valid");
    }
    let (provider, before) = (now.get("providerID"), was.get("providerID"));
    if !before.str().is_empty() && provider.str() != before.str() {
        errors.forbidden(&provider, "node updates may not change providerID except from \"\" to valid");
    }
    own_taints(&now, errors);
    if now.get("externalID").str() != was.get("externalID").str() {
        errors.forbidden(&now.get("externalID"), "may not be updated");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::Strategy;
    use crate::strategy::testing::context;

    fn texts(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_node_may_come_with_any_status_but_that_of_its_resources() {
        let twice = json!([{"type": "InternalIP", "address": "1.2.3.4"}, {"type": "InternalIP", "address": "1.2.3.4"}]);
        let node = json!({
            "metadata": {"name": "a"},
            "spec": {"podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]},
            "status": {"addresses": twice, "capacity": {"pods": "1500m"}},
        });
        assert_eq!(
            texts(&context("", "nodes", |cx| Node.validate_create(cx, &node))),
            [
                "status.capacity.pods: Invalid value: \"1500m\": must be an integer",
                "spec.podCIDRs: Invalid value: [\"10.0.0.0/24\",\"10.0.0.0/24\"]: may specify no more than one CIDR for each IP family",
            ]
        );
    }

    #[test]
    fn what_is_no_network_is_told_thrice() {
        let node = json!({"metadata": {"name": "a"}, "spec": {"podCIDRs": ["10.0.0.0/24", "x"]}});
        let told = texts(&context("", "nodes", |cx| Node.validate_create(cx, &node)));
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(
            told[1],
            "spec.podCIDRs: Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[1]: <nil> (invalid CIDR address: x)"
        );
    }

    #[test]
    fn features_are_named_once_and_in_order() {
        let of = |list: Value| {
            let mut errors = Errors::default();
            let swap = json!({"swap": {"capacity": 0}});
            node(&json!({"status": {"declaredFeatures": list, "nodeInfo": swap}}), &mut errors);
            texts(&errors.0)
        };
        let swap = "metadata.nodeSwapStatus.capacity: Invalid value: 0: must be greater than zero";
        assert_eq!(of(json!(["A/b", "B2"])), [swap]);
        let told = of(json!(["B", "B", "A", "b-"]));
        assert_eq!(
            told[..3],
            [
                swap,
                "status.declaredFeatures[1]: Duplicate value: \"B\"",
                "status.declaredFeatures[2]: Invalid value: \"A\": list must be sorted alphabetically",
            ]
        );
        assert!(told[3].starts_with(
            "status.declaredFeatures[3]: Invalid value: \"b-\": invalid feature name \"b-\": must start with"
        ));
    }

    #[test]
    fn annotations_of_old_are_judged() {
        let told = |key: &str, text: &str| {
            let mut errors = Errors::default();
            node(&json!({"metadata": {"annotations": {key: text}}}), &mut errors);
            texts(&errors.0)
        };
        let (taints, avoided) =
            ("scheduler.alpha.kubernetes.io/taints", "scheduler.alpha.kubernetes.io/preferAvoidPods");
        assert!(told(taints, r#"[{"key": "a", "effect": "NoSchedule"}]"#).is_empty());
        assert_eq!(
            told(taints, "{}"),
            [format!(
                "metadata.annotations: Invalid value: \"{taints}\": json: cannot unmarshal object into Go value of type \
                 []core.Taint"
            )]
        );
        let entry = |owner: Value| json!({"preferAvoidPods": [{"podSignature": {"podController": owner}}]}).to_string();
        assert!(told(avoided, &entry(json!({"controller": true}))).is_empty());
        let place = format!("metadata.annotations.{avoided}[0].PodSignature");
        assert_eq!(told(avoided, &entry(Value::Null)), [format!("{place}: Required value")]);
        assert_eq!(
            told(avoided, &entry(json!({"controller": false}))),
            [format!("{place}.PodController.Controller: Invalid value: false: must point to a controller")]
        );
        let found = told(avoided, "x");
        let why = "invalid character 'x' looking for beginning of value";
        assert_eq!(found, [format!("metadata.annotations.AvoidPods: Invalid value: \"{avoided}\": {why}")]);
    }

    #[test]
    fn what_a_node_is_stays() {
        let old = json!({"metadata": {"name": "a"}, "spec": {"podCIDRs": ["10.0.0.0/24"], "externalID": "e"}});
        let new = json!({"metadata": {"name": "a"}, "spec": {"podCIDRs": ["10.0.1.0/24"]}});
        let mut errors = Errors::default();
        changes(&new, &old, &mut errors);
        assert_eq!(
            texts(&errors.0),
            [
                "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
                "spec.externalID: Forbidden: may not be updated",
            ]
        );
    }
}
