//! Addresses.

use std::net::IpAddr;

use super::{At, Errors};

/// What Kubernetes answers for what is no address.
pub(crate) const NOT_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
/// What Kubernetes answers for what is no network.
pub(crate) const NOT_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address; octets with leading zeros have always been let through as decimal.
pub(crate) fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// What is wrong with the one form that an address may be named in.
pub(crate) fn canonical(text: &str) -> Vec<String> {
    let zeros = text.split('.').any(|part| part.len() > 1 && part.starts_with('0'));
    match parse(text) {
        None if text.contains('.') && zeros => vec!["must not have leading 0s".to_owned()],
        None => vec![NOT_IP.to_owned()],
        Some(parsed) if parsed.to_string() != text => vec![format!("must be in canonical form (\"{parsed}\")")],
        Some(_) => Vec::new(),
    }
}

/// Must be an address.
pub(crate) fn address(at: &At<'_>, errors: &mut Errors) -> Option<IpAddr> {
    let parsed = parse(at.str());
    if parsed.is_none() {
        errors.invalid(at, NOT_IP);
    }
    parsed
}

/// Must be a network.
pub(crate) fn network(at: &At<'_>, errors: &mut Errors) -> Option<ipnet::IpNet> {
    let parsed = at.str().parse::<ipnet::IpNet>().ok();
    if parsed.is_none() {
        errors.invalid(at, NOT_CIDR);
    }
    parsed
}

/// An address that another node can send to.
pub(crate) fn non_special(ip: IpAddr, at: &At<'_>, errors: &mut Errors) {
    if ip.is_unspecified() {
        errors.invalid(at, format!("may not be unspecified ({ip})"));
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
