//! Endpoints and EndpointSlices.

use mainstay_api::field::Error;
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

/// Endpoints that were there before are not judged again.
fn slice(obj: &Value, old: Option<&Value>, errors: &mut Errors) {
    let root = At::root(obj);
    let kind = root.get("addressType");
    ports(&root.get("ports"), errors);
    errors.one_of(&kind, &["FQDN", "IPv4", "IPv6"]);
    if !few(&root.get("endpoints"), 1000, errors) {
        return;
    }
    if matches!(kind.str(), "FQDN" | "IPv4" | "IPv6") {
        let before = old.and_then(|old| old.get("endpoints")).and_then(Value::as_array);
        let known = |endpoint: &At<'_>| before.is_some_and(|before| before.contains(endpoint.value));
        let new = root.get("endpoints").items().filter(|endpoint| !known(endpoint));
        new.for_each(|endpoint| self::endpoint(&endpoint, kind.str(), errors));
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
        if kind == "FQDN" {
            domain(&address, errors);
            continue;
        }
        let Some(parsed) = ip::address(&address, errors) else { continue };
        let matches = parsed.is_ipv4() == (kind == "IPv4");
        if !matches {
            let detail = if kind == "IPv4" { "must be an IPv4 address" } else { "must be an IPv6 address" };
            errors.invalid(&At::new(address.value, addresses.path.clone()), detail);
        }
        ip::non_special(parsed, &address, errors);
    }
    if let Some(node) = at.opt("nodeName") {
        errors.each(&node, names::is_dns1123_subdomain(node.str()));
    }
    if let Some(host) = at.opt("hostname") {
        errors.each(&host, names::is_dns1123_label(host.str()));
    }
    if let Some(hints) = at.opt("hints") {
        self::hints(&hints.get("forZones"), names::is_label_value, errors);
        self::hints(&hints.get("forNodes"), names::is_dns1123_subdomain, errors);
    }
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

/// For whom an endpoint is meant.
fn hints(list: &At<'_>, rule: fn(&str) -> Vec<String>, errors: &mut Errors) {
    if !few(list, 8, errors) {
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for name in list.items().map(|hint| hint.get("name")) {
        if !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
        errors.each(&name, rule(name.str()));
    }
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
    use super::*;

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
