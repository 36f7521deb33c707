//! Addresses.

use std::net::IpAddr;

use super::{At, Errors};

/// What Kubernetes answers for what is no address.
pub(crate) const NOT_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
/// What Kubernetes answers for what is no network.
pub(crate) const NOT_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// What Kubernetes answers for what is no address within a network.
const NOT_INTERFACE: &str = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";

/// What Kubernetes answers for an IPv4 address that is written as an IPv6 one.
const MAPPED: &str = "must not be an IPv4-mapped IPv6 address";
/// What Kubernetes answers for octets that might be octal.
const ZEROS: &str = "must not have leading 0s";

/// An address in the form that everybody reads in the same way.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// An address; octets with leading zeros count as decimal here.
pub(crate) fn sloppy(text: &str) -> Option<IpAddr> {
    let zeros = || -> Option<IpAddr> {
        let octets: Vec<u8> = text.split('.').map(octet).collect::<Option<_>>()?;
        Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?))
    };
    parse(text).or_else(zeros)
}

fn octet(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// Why an address is not to be taken, though it may be read as one.
fn flaw(text: &str) -> Option<&'static str> {
    match (sloppy(text), parse(text)) {
        (None, _) => Some(NOT_IP),
        (Some(_), None) => Some(ZEROS),
        (Some(ip), _) => is_mapped(ip).then_some(MAPPED),
    }
}

/// What is wrong with the one form that an address may be named in.
pub(crate) fn canonical(text: &str) -> Vec<String> {
    match (flaw(text), parse(text)) {
        (Some(why), _) => vec![why.to_owned()],
        (None, Some(parsed)) if parsed.to_string() != text => vec![format!("must be in canonical form (\"{parsed}\")")],
        _ => Vec::new(),
    }
}

/// Must be an address.
pub(crate) fn address(at: &At<'_>, errors: &mut Errors) -> Option<IpAddr> {
    match flaw(at.str()) {
        Some(why) => {
            errors.each(at, vec![why.to_owned()]);
            None
        }
        None => parse(at.str()),
    }
}

/// Must be a network, without bits beyond its prefix.
pub(crate) fn network(at: &At<'_>, errors: &mut Errors) -> Option<ipnet::IpNet> {
    let parsed = sloppy_network(at.str());
    let why = match parsed {
        None => NOT_CIDR,
        Some(_) if has_zeros(at.str()) => "must not have leading 0s in IP or prefix length",
        Some(network) if is_mapped(network.addr()) => "must not have an IPv4-mapped IPv6 address",
        Some(network) if network.addr() != network.network() => "must not have bits set beyond the prefix length",
        Some(_) => return parsed,
    };
    errors.each(at, vec![why.to_owned()]);
    parsed
}

fn has_zeros(network: &str) -> bool {
    let (address, prefix) = network.split_once('/').unwrap_or_default();
    parse(address).is_none() || (prefix.len() > 1 && prefix.starts_with('0'))
}

/// A network of which the numbers may have leading zeros.
pub(crate) fn sloppy_network(text: &str) -> Option<ipnet::IpNet> {
    let (address, prefix) = text.split_once('/')?;
    ipnet::IpNet::new(sloppy(address)?, octet(prefix)?).ok()
}

/// Must be a network in the one form that it may be written in.
pub(crate) fn canonical_network(at: &At<'_>, errors: &mut Errors) {
    let before = errors.0.len();
    let Some(network) = network(at, errors) else { return };
    if errors.0.len() == before && network.to_string() != at.str() {
        errors.invalid(at, format!("must be in canonical form (\"{network}\")"));
    }
}

/// Must be an address of an interface with the length of its network, in the one form that both may be written in.
pub(crate) fn interface_address(at: &At<'_>, errors: &mut Errors) {
    let Some(network) = sloppy_network(at.str()) else {
        return errors.each(at, vec![NOT_INTERFACE.to_owned()]);
    };
    let length = network.prefix_len();
    let canonical = match network.addr() {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            // The bits before an IPv4 address do not count.
            Some(mapped) if length > 32 => format!("{mapped}/{}", length.saturating_sub(96)),
            Some(mapped) => format!("{mapped}/{length}"),
            None => format!("{ip}/{length}"),
        },
        IpAddr::V4(ip) => format!("{ip}/{length}"),
    };
    if canonical != at.str() {
        errors.invalid(at, format!("must be in canonical form (\"{canonical}\")"));
    }
}

/// An address that another node can send to.
pub(crate) fn non_special(ip: IpAddr, at: &At<'_>, errors: &mut Errors) {
    if ip.is_unspecified() {
        errors.invalid(at, format!("may not be unspecified ({})", at.str()));
    }
    if ip.is_loopback() {
        errors.invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    }
    if is_link_local(ip) {
        errors.invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    }
    if is_link_local_multicast(ip) {
        errors.invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn is_link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
        IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn odd_forms_are_told_apart() {
        let judge = |text: &str, rule: fn(&At<'_>, &mut Errors)| -> Vec<String> {
            let (value, mut errors) = (Value::from(text), Errors::default());
            rule(&At::new(&value, mainstay_api::field::Path::new("p")), &mut errors);
            errors.0.iter().map(|error| error.detail.clone()).collect()
        };
        let ip: fn(&At<'_>, &mut Errors) = |at, errors| {
            address(at, errors);
        };
        let net: fn(&At<'_>, &mut Errors) = |at, errors| {
            network(at, errors);
        };
        assert_eq!(judge("10.0.0.1", ip), Vec::<String>::new());
        assert_eq!(judge("", ip), [NOT_IP]);
        assert_eq!(judge("10.0.0.256", ip), [NOT_IP]);
        assert_eq!(judge("010.0.0.1", ip), [ZEROS]);
        assert_eq!(judge("::ffff:10.0.0.1", ip), [MAPPED]);
        assert_eq!(judge("10.0.0.0/33", net), [NOT_CIDR]);
        assert_eq!(judge("010.0.0.0/8", net), ["must not have leading 0s in IP or prefix length"]);
        assert_eq!(judge("10.0.0.0/08", net), ["must not have leading 0s in IP or prefix length"]);
        assert_eq!(judge("10.1.2.3/8", net), ["must not have bits set beyond the prefix length"]);
        assert_eq!(judge("2001:DB8::/32", canonical_network), ["must be in canonical form (\"2001:db8::/32\")"]);
    }
}
