//! Nodes.

use mainstay_api::field::{Error, Path, Shown};
use mainstay_api::{meta, names};
use serde_json::Value;

use crate::strategy::rules::{CHECK_FIRST, Rules};
use crate::strategy::validate::{At, Errors, gates, ip};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, base};

/// Nodes. Unlike others they keep the status that their creator gives them.
pub(crate) struct Node;

impl crate::strategy::Strategy for Node {
    fn prepare_create(&self, _cx: &Context<'_>, obj: &mut Value) {
        sync_cidrs(obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        sync_cidrs(new);
        base::prepare_update(cx, new, old);
    }

    fn validate_create(&self, cx: &Context<'_>, obj: &Value) -> mainstay_api::field::ErrorList {
        RULES.validate_create(cx, obj)
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> mainstay_api::field::ErrorList {
        RULES.validate_update(cx, new, old)
    }

    fn warnings(&self, _cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        objects::node(new)
    }
}

const RULES: Rules = Rules {
    check: |_, obj, errors| node(obj, errors),
    change: |_, new, old, errors| changes(new, old, errors),
    status: |_, new, _, errors| {
        addresses(new, errors);
        capacity(new, errors);
    },
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
    taints(&spec.get("taints"), errors);
    capacity(obj, errors);
    for cidr in spec.get("podCIDRs").items() {
        ip::network(&cidr, errors);
    }
    let families: Vec<bool> = spec.get("podCIDRs").strings().map(|cidr| cidr.contains(':')).collect();
    if families.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.invalid(&spec.get("podCIDRs"), detail);
    }
    addresses(obj, errors);
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

/// What a node has is never less than nothing.
fn capacity(obj: &Value, errors: &mut Errors) {
    let status = At::root(obj).get("status");
    for field in ["capacity", "allocatable"] {
        let amounts = status.get(field);
        for (name, amount) in amounts.entries() {
            if amount.quantity().is_negative() {
                let path = amounts.path.child(name);
                errors.0.push(Error::invalid(&path, amount.value.clone(), "must be greater than or equal to 0"));
            }
        }
    }
}

/// Taints; their path is that of old, when they were an annotation.
fn taints(list: &At<'_>, errors: &mut Errors) {
    let base_path = Path::new("metadata").child("taints");
    let mut seen = std::collections::HashSet::new();
    for (index, taint) in list.items().enumerate() {
        let at = At::new(taint.value, base_path.index(index));
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
    taints(&At::spec(new).get("taints"), errors);
    let (new, old) = (At::spec(new), At::spec(old));
    if !old.get("podCIDRs").is_empty() && new.get("podCIDRs").value != old.get("podCIDRs").value {
        errors.forbidden(&new.get("podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
    }
    let provider = (new.get("providerID"), old.get("providerID"));
    if !provider.1.str().is_empty() && provider.0.str() != provider.1.str() {
        errors.forbidden(&provider.0, "node updates may not change providerID except from \"\" to valid");
    }
}
