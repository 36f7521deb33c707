//! The addresses of services: ServiceCIDRs and IPAddresses.

use mainstay_api::field::{Error, Shown};
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::{CHECK_FIRST, Part, Rules};
use crate::strategy::validate::{At, Errors, ip};

/// ServiceCIDRs.
pub(crate) const SERVICE_CIDR: Rules = Rules {
    check: |_, obj, errors| service_cidr(obj, errors),
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new).get("cidrs"), At::spec(old).get("cidrs"));
        // A second family may come, what is there stays.
        let grows = (was.len(), now.len()) == (1, 2);
        if !grows && now.len() != was.len() {
            errors.invalid(&now, "field is immutable");
            return;
        }
        for (cidr, before) in now.items().zip(was.items()) {
            errors.immutable(&cidr, &before);
        }
        if grows {
            service_cidr(new, errors);
        }
    },
    parts: &[Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// IPAddresses.
pub(crate) const IP_ADDRESS: Rules = Rules {
    check: |_, obj, errors| {
        let parent = At::spec(obj).get("parentRef");
        if parent.is_null() {
            errors.required(&parent, "");
            return;
        }
        let group = parent.get("group");
        errors.name_if_set(&group, names::is_dns1123_subdomain);
        for field in ["resource", "name"] {
            let at = parent.get(field);
            if at.str().is_empty() {
                errors.required(&at, "");
            } else {
                errors.each(&at, names::is_path_segment(at.str(), false));
            }
        }
        let namespace = parent.get("namespace");
        if !namespace.str().is_empty() {
            errors.each(&namespace, names::is_path_segment(namespace.str(), false));
        }
    },
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new).get("parentRef"), At::spec(old).get("parentRef"));
        errors.immutable_struct(&now, &was, "io.k8s.api.networking.v1.ParentReference");
    },
    parts: CHECK_FIRST,
    names: |name, _| ip::canonical(name),
    draws_names: false,
    ..Rules::PLAIN
};

fn service_cidr(obj: &Value, errors: &mut Errors) {
    let cidrs = At::spec(obj).get("cidrs");
    match cidrs.len() {
        0 => errors.required(&cidrs, "at least one CIDR required"),
        1 | 2 => {
            cidrs.items().for_each(|cidr| ip::canonical_network(&cidr, errors));
            families(&cidrs, errors);
        }
        _ => {
            let shown = Shown::Text(format!("{{\"CIDRs\":{}}}", cidrs.value));
            errors.0.push(Error {
                value: shown,
                ..Error::invalid(&cidrs.path, Value::Null, "may only hold up to 2 values")
            });
        }
    }
}

/// Two networks are of different families, as far as they are networks.
fn families(cidrs: &At<'_>, errors: &mut Errors) {
    let of = |text: &str| ip::sloppy_network(text).map(|network| network.addr().is_ipv4());
    let found: Vec<Option<bool>> = cidrs.strings().map(of).collect();
    if let [Some(first), Some(second)] = found.as_slice()
        && first == second
    {
        errors
            .invalid(cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::of_spec as judge;

    #[test]
    fn a_range_of_services_is_of_each_family_once() {
        let cidrs = |list: &[&str]| judge(service_cidr, json!({"cidrs": list}));
        assert_eq!(cidrs(&["10.0.0.0/24", "fd00::/64"]), Vec::<String>::new());
        assert_eq!(
            cidrs(&["10.0.0.0/24", "fd00::/64", "fd01::/64"]),
            [
                "spec.cidrs: Invalid value: {\"CIDRs\":[\"10.0.0.0/24\",\"fd00::/64\",\"fd01::/64\"]}: may only hold up to 2 values"
            ]
        );
        assert_eq!(
            cidrs(&["10.0.0.0/24", "10.1.0.5/24"]),
            [
                "spec.cidrs[1]: Invalid value: \"10.1.0.5/24\": must not have bits set beyond the prefix length",
                "spec.cidrs: Invalid value: [\"10.0.0.0/24\",\"10.1.0.5/24\"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            ]
        );
        assert_eq!(
            cidrs(&["x", "10.0.0.0/24"]),
            ["spec.cidrs[0]: Invalid value: \"x\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
        );
        assert_eq!(
            cidrs(&["FD00::/64"]),
            ["spec.cidrs[0]: Invalid value: \"FD00::/64\": must be in canonical form (\"fd00::/64\")"]
        );
    }

    #[test]
    fn an_address_is_not_made_up() {
        use crate::strategy::Strategy;
        assert!(SERVICE_CIDR.draws_names() && !IP_ADDRESS.draws_names());
    }
}
