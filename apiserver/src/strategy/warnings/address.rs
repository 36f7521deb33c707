//! Addresses that are taken as they are, but will not be one day.

use std::net::IpAddr;

use mainstay_api::field::{Path, go_quote};

use crate::strategy::validate::At;

/// The warning about an address, if it is none of the form that everybody agrees on.
pub(crate) fn ip(at: &At<'_>) -> Option<String> {
    if at.str().is_empty() {
        return None;
    }
    let (value, path) = (at.str(), &at.path);
    match value.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(v4) => Some(odd("IP address", path, value, &v4.to_string())),
            None if v6.to_string() != value => Some(format!(
                "{path}: IPv6 address {} should be in RFC 5952 canonical format ({})",
                go_quote(value),
                go_quote(&v6.to_string())
            )),
            None => None,
        },
        Ok(IpAddr::V4(_)) => None,
        Err(_) => sloppy(value).map(|plain| odd("IP address", path, value, &plain)),
    }
}

/// The warnings about a network: bits beyond its mask, and what is said of addresses.
pub(crate) fn network(at: &At<'_>) -> Vec<String> {
    let (value, path) = (at.str(), &at.path);
    let Some((text, prefix)) = value.split_once('/') else { return Vec::new() };
    let strict = text.parse::<IpAddr>().ok();
    let mapped = matches!(strict, Some(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some());
    let plain = strict.map(|ip| ip.to_string()).or_else(|| sloppy(text)).unwrap_or_default();
    let Ok(net) = format!("{plain}/{prefix}").parse::<ipnet::IpNet>() else { return Vec::new() };
    let mut warnings = Vec::new();
    let masked = net.trunc().to_string();
    if net.addr() != net.network() {
        let single = format!("{}/{}", net.addr(), net.max_prefix_len());
        warnings.push(format!(
            "{path}: CIDR value {} is ambiguous in this context (should be {} or {}?)",
            go_quote(value),
            go_quote(&masked),
            go_quote(&single)
        ));
    }
    if strict.is_none() || mapped {
        warnings.push(odd("CIDR value", path, value, &masked));
    }
    if warnings.is_empty() && net.to_string() != value && net.addr().is_ipv6() {
        warnings.push(format!(
            "{path}: IPv6 CIDR value {} should be in RFC 5952 canonical format ({})",
            go_quote(value),
            go_quote(&net.to_string())
        ));
    }
    warnings
}

fn odd(what: &str, path: &Path, value: &str, better: &str) -> String {
    format!(
        "{path}: non-standard {what} {} will be considered invalid in a future Kubernetes release: use {}",
        go_quote(value),
        go_quote(better)
    )
}

/// An address of which the octets have leading zeros, without them.
fn sloppy(value: &str) -> Option<String> {
    let octets: Vec<u8> = value.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    (octets.len() == 4).then(|| octets.iter().map(u8::to_string).collect::<Vec<_>>().join("."))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn at(value: &Value) -> At<'_> {
        At::new(value, Path::new("p"))
    }

    #[test]
    fn odd_addresses_are_told() {
        let warn = |text: &str| ip(&at(&text.into()));
        assert_eq!(warn("10.0.0.1"), None);
        assert_eq!(warn("2001:db8::1"), None);
        assert_eq!(
            warn("010.0.0.1").as_deref(),
            Some(
                "p: non-standard IP address \"010.0.0.1\" will be considered invalid in a future Kubernetes release: use \"10.0.0.1\""
            )
        );
        assert_eq!(
            warn("2001:DB8::1").as_deref(),
            Some("p: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")")
        );
    }

    #[test]
    fn bits_beyond_the_mask_are_told() {
        assert!(network(&at(&"10.0.0.0/8".into())).is_empty());
        assert_eq!(
            network(&at(&"10.1.2.3/8".into())),
            [
                "p: CIDR value \"10.1.2.3/8\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.1.2.3/32\"?)"
            ]
        );
    }
}
