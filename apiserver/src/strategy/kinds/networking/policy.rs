//! NetworkPolicies.

use mainstay_api::field::Error;
use serde_json::Value;

use crate::strategy::rules::Rules;
use crate::strategy::validate::{At, Errors, ip, probes, selectors};
use crate::strategy::warnings::objects;

/// NetworkPolicies.
pub(crate) const NETWORK_POLICY: Rules = Rules {
    check: |_, obj, errors| network_policy(obj, errors),
    warn: |new, _| objects::network_policy(new),
    ..Rules::PLAIN
};

fn network_policy(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    selectors::label_selector(&spec.get("podSelector"), errors);
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.get(list).items() {
            rule.get("ports").items().for_each(|port| policy_port(&port, errors));
            rule.get(peers).items().for_each(|peer| policy_peer(&peer, errors));
        }
    }
    let types = spec.get("policyTypes");
    if types.len() > 2 {
        errors.invalid(&types, "may not specify more than two policyTypes");
        return;
    }
    for kind in types.items() {
        if !matches!(kind.str(), "Ingress" | "Egress") {
            errors.unsupported(&kind, &["Ingress", "Egress"]);
        }
    }
}

fn policy_port(at: &At<'_>, errors: &mut Errors) {
    let (protocol, port, end) = (at.get("protocol"), at.get("port"), at.get("endPort"));
    if !protocol.is_null() && !matches!(protocol.str(), "TCP" | "UDP" | "SCTP") {
        errors.unsupported(&protocol, &["TCP", "UDP", "SCTP"]);
    }
    if port.is_null() {
        if !end.is_null() {
            errors.invalid(&end, "may not be specified when `port` is not specified");
        }
        return;
    }
    if !port.value.is_number() && !end.is_null() {
        errors.invalid(&end, "may not be specified when `port` is non-numeric");
    }
    probes::port(&port, errors);
    if port.value.is_number() && !end.is_null() {
        if end.int() < port.int() {
            errors.0.push(Error::invalid(&end.path, port.int(), "must be greater than or equal to `port`"));
        }
        errors.in_range_port(&end);
    }
}

fn policy_peer(at: &At<'_>, errors: &mut Errors) {
    let others = ["podSelector", "namespaceSelector"];
    for field in others {
        selectors::label_selector(&at.get(field), errors);
    }
    let (count, block) = (at.present(&others).len(), at.opt("ipBlock"));
    if let Some(block) = &block {
        ip_block(block, errors);
    }
    match block {
        None if count == 0 => errors.required(at, "must specify a peer"),
        Some(_) if count > 0 => errors.forbidden(at, "may not specify both ipBlock and another peer"),
        _ => {}
    }
}

fn ip_block(at: &At<'_>, errors: &mut Errors) {
    let cidr = at.get("cidr");
    if cidr.str().is_empty() {
        errors.required(&cidr, "");
        return;
    }
    let Some(network) = ip::network(&cidr, errors) else { return };
    for except in at.get("except").items() {
        let Some(inner) = ip::network(&except, errors) else { continue };
        if !network.contains(&inner.network()) || network.prefix_len() >= inner.prefix_len() {
            errors.invalid(&except, "must be a strict subset of `cidr`");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::of_spec as judge;

    #[test]
    fn a_policy_is_judged_port_before_end() {
        let ports = json!([{"port": 0, "endPort": -1}]);
        assert_eq!(
            judge(network_policy, json!({"egress": [{"ports": ports}]})),
            [
                "spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.egress[0].ports[0].endPort: Invalid value: 0: must be greater than or equal to `port`",
                "spec.egress[0].ports[0].endPort: Invalid value: -1: must be between 1 and 65535, inclusive",
            ]
        );
    }
}
