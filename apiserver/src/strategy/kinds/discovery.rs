//! Endpoints and EndpointSlices.

use mainstay_api::field::{Error, Path};
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, ip};
use crate::strategy::warnings::objects;

/// Endpoints.
pub(crate) const ENDPOINTS: Rules = Rules {
    check: |_, obj, errors| endpoints(obj, errors),
    warn: |new, _| objects::endpoints(new),
    parts: &[Part::MetaUpdate, Part::Meta, Part::Check, Part::Change],
    ..Rules::PLAIN
};

/// EndpointSlices.
pub(crate) const SLICE: Rules = Rules {
    check: |_, obj, errors| slice(obj, None, errors),
    warn: objects::slice,
    parts: &[Part::MetaUpdate, Part::Change],
    // The topology of old is what the fields for it cannot say, and nothing that anybody may write.
    settle: |new, old| {
        if old.is_none_or(|old| old.get("endpoints") != new.get("endpoints")) {
            let endpoints = new.get_mut("endpoints").and_then(Value::as_array_mut).into_iter().flatten();
            endpoints.filter_map(Value::as_object_mut).for_each(|endpoint| drop(endpoint.remove("deprecatedTopology")));
        }
    },
    change: |_, new, old, errors| {
        slice(new, Some(old), errors);
        errors.immutable_plain(&At::root(new).get("addressType"), &At::root(old).get("addressType"));
    },
    ..Rules::PLAIN
};

const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

fn endpoints(obj: &Value, errors: &mut Errors) {
    for subset in At::root(obj).get("subsets").items() {
        let (ready, not_ready, ports) = (subset.get("addresses"), subset.get("notReadyAddresses"), subset.get("ports"));
        if ready.is_empty() && not_ready.is_empty() {
            errors.required(&subset, "must specify `addresses` or `notReadyAddresses`");
        }
        for address in ready.items().chain(not_ready.items()) {
            let ip = address.get("ip");
            ip::address(&ip, errors);
            errors.name_if_set(&address.get("hostname"), names::is_dns1123_label);
            if let Some(node) = address.opt("nodeName") {
                errors.each(&node, names::is_dns1123_subdomain(node.str()));
            }
            match ip::sloppy(ip.str()) {
                Some(parsed) => ip::non_special(parsed, &ip, errors),
                None => errors.each(&ip, vec!["must be a valid IP address".to_owned()]),
            }
        }
        for port in ports.items() {
            let name = port.get("name");
            if name.str().is_empty() {
                if ports.len() > 1 {
                    errors.required(&name, "");
                }
            } else {
                errors.each(&name, names::is_dns1123_label(name.str()));
            }
            errors.in_range_port(&port.get("port"));
            errors.one_of(&port.get("protocol"), PROTOCOLS);
            if let Some(app) = port.opt("appProtocol") {
                errors.each(&app, names::is_qualified_name(app.str()));
            }
        }
    }
}

/// Endpoints that are all as they were before are not judged again.
fn slice(obj: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::root(obj);
    let (kind, endpoints) = (root.get("addressType"), root.get("endpoints"));
    errors.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    ports(&root.get("ports"), errors);
    let as_before = old.is_some_and(|old| old.get("endpoints") == obj.get("endpoints"));
    if !as_before && few(&endpoints, 1000, errors) {
        endpoints.items().for_each(|endpoint| self::endpoint(&endpoint, kind.str(), errors));
    }
}

fn endpoint(at: &At<'_>, kind: &str, errors: &mut Errors) {
    let addresses = at.get("addresses");
    if addresses.is_empty() {
        errors.required(&addresses, "must contain at least 1 address");
    } else if addresses.len() > 100 {
        errors.0.push(Error::too_many(&addresses.path, addresses.len().try_into().unwrap_or(i64::MAX), 100));
    }
    for address in addresses.items() {
        match kind {
            "FQDN" => domain(&address, errors),
            "IPv4" | "IPv6" => self::address(&address, kind, &addresses.path, errors),
            // Of what is no kind of address nobody knows what it looks like.
            _ => {}
        }
    }
    if let Some(node) = at.opt("nodeName") {
        errors.each(&node, names::is_dns1123_subdomain(node.str()));
    }
    if let Some(host) = at.opt("hostname") {
        errors.each(&host, names::is_dns1123_label(host.str()));
    }
    if let Some(hints) = at.opt("hints") {
        // Where there are too many zones, no node is judged.
        if self::hints(&hints.get("forZones"), names::is_label_value, errors) {
            self::hints(&hints.get("forNodes"), names::is_dns1123_subdomain, errors);
        }
    }
}

/// An address of the slice's family; one of IPv6 has the one form that it may be written in.
fn address(at: &At<'_>, kind: &str, list: &Path, errors: &mut Errors) {
    let parsed = if kind == "IPv4" {
        ip::address(at, errors)
    } else {
        let texts = ip::canonical(at.str());
        let parsed = ip::parse(at.str()).filter(|_| texts.is_empty());
        errors.each(at, texts);
        parsed
    };
    let Some(parsed) = parsed else { return };
    if parsed.is_ipv4() != (kind == "IPv4") {
        errors.invalid(&At::new(at.value, list.clone()), format!("must be an {kind} address"));
    }
    ip::non_special(parsed, at, errors);
}

/// A name of a machine with all of its domain.
fn domain(at: &At<'_>, errors: &mut Errors) {
    let name = at.str().strip_suffix('.').unwrap_or(at.str());
    let texts = names::is_dns1123_subdomain(name);
    if at.str().is_empty() {
        errors.required(at, "");
    } else if !texts.is_empty() {
        errors.0.push(Error::invalid(&at.path, name, texts.join(",")));
    } else if !name.contains('.') {
        errors.0.push(Error::invalid(
            &at.path,
            name,
            "should be a domain with at least two segments separated by dots",
        ));
    } else {
        // A domain may have labels that are too long for each of them.
        let mut judged = name.split('.').map(|label| (label, names::is_dns1123_label(label)));
        let bad = judged.find(|(_, texts)| !texts.is_empty());
        errors.0.extend(bad.map(|(label, texts)| Error::invalid(&at.path, label, texts.join(","))));
    }
}

/// Whether a list is no longer than it may be.
fn few(list: &At<'_>, most: i64, errors: &mut Errors) -> bool {
    let found = i64::try_from(list.len()).unwrap_or(i64::MAX);
    if found > most {
        errors.0.push(Error::too_many(&list.path, found, most));
    }
    found <= most
}

/// For whom an endpoint is meant; false if there are too many to be judged.
fn hints(list: &At<'_>, rule: fn(&str) -> Vec<String>, errors: &mut Errors) -> bool {
    if !few(list, 8, errors) {
        return false;
    }
    let mut seen = std::collections::HashSet::new();
    for name in list.items().map(|hint| hint.get("name")) {
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
        errors.each(&name, rule(name.str()));
    }
    true
}

fn ports(list: &At<'_>, errors: &mut Errors) {
    if !few(list, 20_000, errors) {
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for port in list.items() {
        let name = port.get("name");
        if !name.str().is_empty() {
            errors.each(&name, names::is_dns1123_label(name.str()));
        }
        if !seen.insert(name.str()) {
            errors.0.push(Error::duplicate(&name.path, name.str()));
        }
        errors.one_of(&port.get("protocol"), PROTOCOLS);
        if let Some(app) = port.opt("appProtocol") {
            errors.each(&app, names::is_qualified_name(app.str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(slice: &Value, old: Option<&Value>) -> Vec<String> {
        let mut errors = Errors::default();
        super::slice(slice, old, &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_slice_is_judged_from_its_kind_of_addresses_on() {
        let endpoint = json!({"addresses": ["10.0.0.1"], "hostname": "A"});
        let port = json!({"name": "", "protocol": "X"});
        let found = judge(&json!({"addressType": "IPv9", "endpoints": [endpoint], "ports": [port]}), None);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("addressType: Unsupported value: \"IPv9\""), "{found:?}");
        assert!(found[1].starts_with("ports[0].protocol: Unsupported value"), "{found:?}");
        assert!(found[2].starts_with("endpoints[0].hostname: Invalid value"), "{found:?}");
    }

    #[test]
    fn an_ipv6_address_has_one_form() {
        let of = |kind: &str, address: &str| {
            judge(&json!({"addressType": kind, "endpoints": [{"addresses": [address]}]}), None)
        };
        assert_eq!(of("IPv6", "2001:db8::1"), Vec::<String>::new());
        assert_eq!(
            of("IPv6", "2001:DB8::1"),
            ["endpoints[0].addresses[0]: Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"]
        );
        assert_eq!(
            of("IPv6", "10.0.0.1"),
            ["endpoints[0].addresses: Invalid value: \"10.0.0.1\": must be an IPv6 address"]
        );
        assert_eq!(
            of("IPv4", "2001:db8::1"),
            ["endpoints[0].addresses: Invalid value: \"2001:db8::1\": must be an IPv4 address"]
        );
    }

    #[test]
    fn too_many_zones_hide_the_nodes() {
        let of = |zones: usize| {
            let hints = json!({"forZones": vec![json!({"name": "z"}); zones], "forNodes": [{"name": "A"}]});
            judge(&json!({"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "hints": hints}]}), None)
        };
        assert_eq!(of(9), ["endpoints[0].hints.forZones: Too many: 9: must have at most 8 items"]);
        assert!(of(1)[0].starts_with("endpoints[0].hints.forNodes[0].name: Invalid value: \"A\""));
    }

    #[test]
    fn endpoints_stay_only_as_a_whole() {
        let bad = json!({"addresses": ["127.0.0.1"]});
        let old = json!({"addressType": "IPv4", "endpoints": [bad]});
        assert_eq!(judge(&old, Some(&old)), Vec::<String>::new());
        let more = json!({"addressType": "IPv4", "endpoints": [bad, {"addresses": ["10.0.0.1"]}]});
        assert_eq!(judge(&more, Some(&old)).len(), 1);
    }

    #[test]
    fn each_label_of_a_domain_is_short_enough() {
        let told = |name: String| -> Vec<String> {
            let name = Value::from(name);
            let mut errors = Errors::default();
            domain(&At::root(&name), &mut errors);
            errors.0.iter().map(|error| error.detail.clone()).collect()
        };
        assert_eq!(told("a.b.".to_owned()), Vec::<String>::new());
        assert_eq!(told("a".to_owned()), ["should be a domain with at least two segments separated by dots"]);
        let long = "a".repeat(64);
        assert_eq!(told(format!("{long}.b.{long}")), ["must be no more than 63 characters"]);
    }
}
