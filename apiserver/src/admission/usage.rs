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

/// The requests or limits (`list`) of a pod as [`own`] has them, with its overhead on top.
pub(crate) fn pod(pod: &Value, list: &str) -> Amounts {
    let spec = At::spec(pod);
    let mut total = own(&spec, list);
    let overhead = amounts(&spec.get("overhead"));
    if list == "requests" {
        add(&mut total, &overhead);
    } else {
        let known: Amounts = overhead.into_iter().filter(|(name, _)| total.contains_key(name)).collect();
        add(&mut total, &known);
    }
    total
}

/// The requests or limits (`list`) that the spec of a pod says: containers and sidecars together, or its greediest init
/// step; pod-level values instead of sums where they are given.
pub(crate) fn own(spec: &At<'_>, list: &str) -> Amounts {
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
    total
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn overhead_is_on_top_of_what_the_spec_says() {
        let value = json!({"spec": {
            "overhead": {"cpu": "1", "memory": "1Gi"},
            "containers": [{"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}],
        }});
        let cpu = |amounts: &Amounts| amounts.get("cpu").map(Quantity::value);
        assert_eq!(cpu(&own(&At::spec(&value), "requests")), Some(1));
        assert_eq!(cpu(&pod(&value, "requests")), Some(2));
        assert_eq!(cpu(&pod(&value, "limits")), Some(3));
        assert!(!pod(&value, "limits").contains_key("memory"));
    }
}
