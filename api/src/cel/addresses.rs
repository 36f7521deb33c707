//! What expressions ask of IP addresses and of ranges of them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Val;
use super::outcome::{Outcome, fail, no_overload};
use crate::address;
use crate::field::go_quote;

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    addresses(name, values).or_else(|| ranges(name, values))
}

fn addresses(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("ip", [Val::Text(text)]) => unmapped(text).map_or_else(fail, |ip| Ok(Val::Ip(ip))),
        ("isIP", [Val::Text(text)]) => Ok(Val::Bool(unmapped(text).is_ok())),
        ("ip.isCanonical", [Val::Text(text)]) => {
            unmapped(text).map_or_else(fail, |ip| Ok(Val::Bool(ip.to_string() == **text)))
        }
        ("family", [Val::Ip(ip)]) => Ok(Val::Int(if ip.is_ipv4() { 4 } else { 6 })),
        ("isUnspecified", [Val::Ip(ip)]) => Ok(Val::Bool(ip.is_unspecified())),
        ("isLoopback", [Val::Ip(ip)]) => Ok(Val::Bool(ip.is_loopback())),
        ("isLinkLocalMulticast", [Val::Ip(ip)]) => Ok(Val::Bool(match ip {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
        })),
        ("isLinkLocalUnicast", [Val::Ip(ip)]) => Ok(Val::Bool(is_link_local(ip))),
        ("isGlobalUnicast", [Val::Ip(ip)]) => {
            let odd = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || is_link_local(ip);
            let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
            Ok(Val::Bool(!odd && !broadcast))
        }
        _ => return None,
    })
}

fn ranges(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("cidr", [Val::Text(text)]) => range(text).map_or_else(fail, |net| Ok(Val::Cidr(net))),
        ("isCIDR", [Val::Text(text)]) => Ok(Val::Bool(range(text).is_ok())),
        ("ip", [Val::Cidr(net)]) => Ok(Val::Ip(net.addr())),
        ("masked", [Val::Cidr(net)]) => Ok(Val::Cidr(net.trunc())),
        ("prefixLength", [Val::Cidr(net)]) => Ok(Val::Int(net.prefix_len().into())),
        ("containsIP", [Val::Cidr(net), Val::Ip(ip)]) => Ok(Val::Bool(net.contains(ip))),
        // Why the text is no address is lost on the way in Kubernetes.
        ("containsIP", [Val::Cidr(net), Val::Text(text)]) => {
            unmapped(text).map_or_else(|_| no_overload(), |ip| Ok(Val::Bool(net.contains(&ip))))
        }
        ("containsCIDR", [Val::Cidr(net), Val::Cidr(other)]) => Ok(Val::Bool(net.contains(other))),
        ("containsCIDR", [Val::Cidr(net), Val::Text(text)]) => {
            range(text).map_or_else(fail, |other| Ok(Val::Bool(net.contains(&other))))
        }
        _ => return None,
    })
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn is_mapped(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn unmapped(text: &str) -> Result<IpAddr, String> {
    let shown = go_quote(text);
    let (ip, has_zone) = address::parse(text)
        .map_err(|why| format!("IP Address {shown} parse error during conversion from string: {why}"))?;
    if has_zone {
        return Err(format!("IP address {shown} with zone value is not allowed"));
    }
    if is_mapped(&ip) {
        return Err(format!("IPv4-mapped IPv6 address {shown} is not allowed"));
    }
    Ok(ip)
}

fn range(text: &str) -> Result<IpNet, String> {
    // Kubernetes says this where it reads the text, and once more where that failed.
    const WHAT: &str = "network address parse error during conversion from string";
    let net = address::parse_range(text).map_err(|why| format!("{WHAT}: {WHAT}: {why}"))?;
    if is_mapped(&net.addr()) {
        return Err(format!("{WHAT}: IPv4-mapped IPv6 address {} is not allowed", go_quote(text)));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{holds, run};

    #[test]
    fn texts_that_are_no_addresses_are_told_in_go_s_words() {
        for (text, why) in [
            ("", "unable to parse IP"),
            ("x y", "unable to parse IP"),
            ("1.2.3", "IPv4 address too short"),
            ("1.2.3.4.5", "IPv4 address too long"),
            ("1.2.3.256", "IPv4 field has value >255"),
            ("1.02.3.4", "IPv4 field has octet with leading zero"),
            ("1..3.4", "IPv4 field must have at least one digit (at \".3.4\")"),
            ("1.2.3.x", "unexpected character (at \"x\")"),
            ("1:2:3", "address string too short"),
            ("1::2::3", "multiple :: in address (at \":3\")"),
            ("12345::", "each group must have 4 or less digits (at \"12345::\")"),
            ("1:2:3:4:5:6:7:8:9", "trailing garbage after address (at \"9\")"),
            ("1::g", "each colon-separated field must have at least one digit (at \"g\")"),
            ("1:2:3:4:5:6:7::8", "the :: must expand to at least one field of zeros"),
            ("1:", "colon must be followed by more characters (at \":\")"),
            ("fe80::1%", "zone must be a non-empty string"),
        ] {
            let what = format!("IP Address \"{text}\" parse error during conversion from string");
            assert_eq!(
                run("ip(x) == ip(x)", json!(text)).unwrap_err(),
                format!("{what}: ParseAddr(\"{text}\"): {why}")
            );
        }
        assert_eq!(
            run("ip(x) == ip(x)", json!("fe80::1%eth0")).unwrap_err(),
            "IP address \"fe80::1%eth0\" with zone value is not allowed"
        );
        assert_eq!(
            run("ip(x) == ip(x)", json!("::ffff:1.2.3.4")).unwrap_err(),
            "IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed"
        );
    }

    #[test]
    fn texts_that_are_no_ranges_are_told_in_go_s_words() {
        let what = "network address parse error during conversion from string";
        for (text, why) in [
            ("10.0.0.0", "no '/'"),
            ("10.0.0/8", "ParseAddr(\"10.0.0\"): IPv4 address too short"),
            ("10.0.0.0/08", "bad bits after slash: \"08\""),
            ("10.0.0.0/", "bad bits after slash: \"\""),
            ("10.0.0.0/33", "prefix length out of range"),
        ] {
            let told = format!("{what}: {what}: netip.ParsePrefix(\"{text}\"): {why}");
            assert_eq!(run("cidr(x) == cidr(x)", json!(text)).unwrap_err(), told);
            assert_eq!(run("cidr('::/0').containsCIDR(x)", json!(text)).unwrap_err(), told);
        }
        assert_eq!(run("cidr('10.0.0.0/8').containsIP(x)", json!("a")).unwrap_err(), "no such overload");
        holds("!isCIDR('::ffff:1.2.3.4/96') && isCIDR('::/0') && ip('ff12::1').isLinkLocalMulticast()", json!(0));
    }
}
