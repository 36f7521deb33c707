//! What pods ask for altogether.

use std::collections::BTreeMap;

use mainstay_api::quantity::Quantity;
use serde_json::Value;

use crate::strategy::validate::At;

/// Amounts by resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a list of requests or limits.
pub(crate) fn amounts(list: &At<'_>) -> Amounts {
    list.entries().map(|(name, at)| (name.to_owned(), at.quantity())).collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, quantity) in more {
        let sum = total.remove(name).unwrap_or_else(Quantity::zero).add(*quantity);
        total.insert(name.clone(), sum);
    }
}

fn raise(total: &mut Amounts, other: &Amounts) {
    for (name, quantity) in other {
        if total.get(name).is_none_or(|own| own < quantity) {
            total.insert(name.clone(), *quantity);
        }
    }
}

/// The requests or limits (`list`) of a pod: containers and sidecars together, or its greediest init step; pod-level
/// values instead of sums where they are given; overhead on top.
pub(crate) fn pod(pod: &Value, list: &str) -> Amounts {
    let spec = At::spec(pod);
    let mut total = Amounts::new();
    for container in spec.get("containers").items() {
        add(&mut total, &amounts(&container.get("resources").get(list)));
    }
    let (mut sidecars, mut steps) = (Amounts::new(), Amounts::new());
    for container in spec.get("initContainers").items() {
        let own = amounts(&container.get("resources").get(list));
        if container.get("restartPolicy").str() == "Always" {
            add(&mut total, &own);
            add(&mut sidecars, &own);
            raise(&mut steps, &sidecars);
        } else {
            let mut step = sidecars.clone();
            add(&mut step, &own);
            raise(&mut steps, &step);
        }
    }
    raise(&mut total, &steps);
    for (name, quantity) in amounts(&spec.get("resources").get(list)) {
        total.insert(name, quantity);
    }
    let overhead = amounts(&spec.get("overhead"));
    if list == "requests" {
        add(&mut total, &overhead);
    } else {
        let known: Amounts = overhead.into_iter().filter(|(name, _)| total.contains_key(name)).collect();
        add(&mut total, &known);
    }
    total
}
