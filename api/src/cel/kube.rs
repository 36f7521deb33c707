//! Kubernetes' own libraries: quantities, URLs, addresses, versions, formats of names.

use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::outcome::{Outcome, fail};
use super::{EvalError, Key, Val};
use crate::names;
use crate::quantity::{Format, Quantity};

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    quantities(name, values)
        .or_else(|| addresses(name, values))
        .or_else(|| ranges(name, values))
        .or_else(|| urls(name, values))
        .or_else(|| versions(name, values))
        .or_else(|| formats(name, values))
}

fn order(order: Ordering) -> Val {
    Val::Int(order as i64)
}

fn quantities(name: &str, values: &[Val]) -> Option<Outcome> {
    let made = |quantity: Quantity| Ok(Val::Quantity(Arc::new(quantity)));
    Some(match (name, values) {
        ("quantity", [Val::Text(text)]) => match Quantity::parse(text) {
            Ok(quantity) => made(quantity),
            Err(error) => fail(error.to_string()),
        },
        ("isQuantity", [Val::Text(text)]) => Ok(Val::Bool(Quantity::parse(text).is_ok())),
        ("sign", [Val::Quantity(own)]) => Ok(order((**own).cmp(&Quantity::zero()))),
        ("isGreaterThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a > b)),
        ("isLessThan", [Val::Quantity(a), Val::Quantity(b)]) => Ok(Val::Bool(a < b)),
        ("compareTo", [Val::Quantity(a), Val::Quantity(b)]) => Ok(order(a.cmp(b))),
        ("asInteger", [Val::Quantity(own)]) if own.is_integer() => Ok(Val::Int(own.value())),
        ("asInteger", [Val::Quantity(_)]) => fail("cannot convert value to integer"),
        ("isInteger", [Val::Quantity(own)]) => Ok(Val::Bool(own.is_integer())),
        ("asApproximateFloat", [Val::Quantity(own)]) => Ok(Val::Double(own.as_f64())),
        ("add", [Val::Quantity(a), Val::Quantity(b)]) => made((**a).add(**b)),
        ("add", [Val::Quantity(a), Val::Int(b)]) => made((**a).add(Quantity::new(*b, Format::DecimalSi))),
        ("sub", [Val::Quantity(a), Val::Quantity(b)]) => made((**a).sub(**b)),
        ("sub", [Val::Quantity(a), Val::Int(b)]) => made((**a).sub(Quantity::new(*b, Format::DecimalSi))),
        _ => return None,
    })
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|ip: &IpAddr| !matches!(ip, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()))
}

fn addresses(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("ip", [Val::Text(text)]) => address(text).map_or_else(
            || fail(format!("IP Address '{text}' parse error during conversion from string")),
            |ip| Ok(Val::Ip(ip)),
        ),
        ("isIP", [Val::Text(text)]) => Ok(Val::Bool(address(text).is_some())),
        ("ip.isCanonical", [Val::Text(text)]) => match address(text) {
            Some(ip) => Ok(Val::Bool(ip.to_string() == **text)),
            None => fail(format!("IP Address '{text}' parse error during conversion from string")),
        },
        ("family", [Val::Ip(ip)]) => Ok(Val::Int(if ip.is_ipv4() { 4 } else { 6 })),
        ("isUnspecified", [Val::Ip(ip)]) => Ok(Val::Bool(ip.is_unspecified())),
        ("isLoopback", [Val::Ip(ip)]) => Ok(Val::Bool(ip.is_loopback())),
        ("isLinkLocalMulticast", [Val::Ip(ip)]) => Ok(Val::Bool(match ip {
            IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
            IpAddr::V6(v6) => v6.segments()[0] == 0xff02,
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

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.segments()[0] & 0xffc0 == 0xfe80,
    }
}

fn ranges(name: &str, values: &[Val]) -> Option<Outcome> {
    let parsed = |text: &str| -> Result<IpNet, EvalError> {
        text.parse().map_err(|_| {
            EvalError::Failed(format!(
                "network address parse error during conversion from string: invalid CIDR address: {text}"
            ))
        })
    };
    Some(match (name, values) {
        ("cidr", [Val::Text(text)]) => parsed(text).map(Val::Cidr),
        ("isCIDR", [Val::Text(text)]) => Ok(Val::Bool(text.parse::<IpNet>().is_ok())),
        ("ip", [Val::Cidr(net)]) => Ok(Val::Ip(net.addr())),
        ("masked", [Val::Cidr(net)]) => Ok(Val::Cidr(net.trunc())),
        ("prefixLength", [Val::Cidr(net)]) => Ok(Val::Int(net.prefix_len().into())),
        ("containsIP", [Val::Cidr(net), Val::Ip(ip)]) => Ok(Val::Bool(net.contains(ip))),
        ("containsIP", [Val::Cidr(net), Val::Text(text)]) => match address(text) {
            Some(ip) => Ok(Val::Bool(net.contains(&ip))),
            None => fail(format!("IP Address '{text}' parse error during conversion from string")),
        },
        ("containsCIDR", [Val::Cidr(net), Val::Cidr(other)]) => Ok(Val::Bool(net.contains(other))),
        ("containsCIDR", [Val::Cidr(net), Val::Text(text)]) => {
            parsed(text).map(|other| Val::Bool(net.contains(&other)))
        }
        _ => return None,
    })
}

fn is_url(text: &str) -> bool {
    text.starts_with('/')
        || text.split_once("://").is_some_and(|(scheme, rest)| {
            !scheme.is_empty()
                && scheme.bytes().all(|b| b.is_ascii_alphanumeric())
                && !rest.is_empty()
                && !rest.contains(' ')
        })
}

/// Scheme, authority, path and query of a URL.
fn parts(url: &str) -> (&str, &str, &str, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if scheme.is_empty() {
        return ("", "", rest, query);
    }
    let slash = rest.find('/').unwrap_or(rest.len());
    (scheme, &rest[..slash], &rest[slash..], query)
}

fn host_and_port(authority: &str) -> (&str, &str) {
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (host, ""),
    }
}

fn urls(name: &str, values: &[Val]) -> Option<Outcome> {
    match (name, values) {
        ("url", [Val::Text(text)]) if is_url(text) => return Some(Ok(Val::Url(text.clone()))),
        ("url", [Val::Text(text)]) => {
            return Some(fail(format!(
                "URL parse error during conversion from string: parse \"{text}\": invalid URI for request"
            )));
        }
        ("isURL", [Val::Text(text)]) => return Some(Ok(Val::Bool(is_url(text)))),
        _ => {}
    }
    let [Val::Url(url)] = values else { return None };
    let (scheme, authority, path, query) = parts(url);
    let (host, port) = host_and_port(authority);
    Some(Ok(match name {
        "getScheme" => Val::text(scheme),
        "getHost" => Val::text(authority.rsplit('@').next().unwrap_or_default()),
        "getHostname" => Val::text(host.trim_start_matches('[').trim_end_matches(']')),
        "getPort" => Val::text(port),
        "getEscapedPath" => Val::text(path),
        "getQuery" => queries(query),
        _ => return None,
    }))
}

fn queries(query: &str) -> Val {
    let mut out: std::collections::BTreeMap<Key, Vec<Val>> = std::collections::BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        out.entry(Key::Text(Arc::from(key))).or_default().push(Val::text(value));
    }
    Val::Map(Arc::new(out.into_iter().map(|(key, list)| (key, Val::list(list))).collect()))
}

fn version(text: &str, lax: bool) -> Option<(u64, u64, u64, String)> {
    let text = if lax { text.trim_start_matches('v') } else { text };
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let mut numbers = text[..end].split('.').map(|part| {
        let plain = part.bytes().all(|b| b.is_ascii_digit()) && (lax || part == "0" || !part.starts_with('0'));
        part.parse::<u64>().ok().filter(|_| plain)
    });
    let first = numbers.next()??;
    let second = numbers.next().unwrap_or_else(|| lax.then_some(0))?;
    let third = numbers.next().unwrap_or_else(|| lax.then_some(0))?;
    numbers.next().is_none().then(|| (first, second, third, text[end..].to_owned()))
}

/// Order of versions: what has a suffix comes before what has none.
pub(super) fn compare_versions(a: &(u64, u64, u64, String), b: &(u64, u64, u64, String)) -> Ordering {
    let suffix = |text: &str| text.split('+').next().unwrap_or_default().to_owned();
    let (left, right) = (suffix(&a.3), suffix(&b.3));
    (a.0, a.1, a.2).cmp(&(b.0, b.1, b.2)).then_with(|| match (left.is_empty(), right.is_empty()) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => left.cmp(&right),
    })
}

fn versions(name: &str, values: &[Val]) -> Option<Outcome> {
    let number = |number: u64| Ok(Val::Int(i64::try_from(number).unwrap_or(i64::MAX)));
    Some(match (name, values) {
        ("semver" | "isSemver", [Val::Text(text), lax @ ..]) => {
            let found = version(text, matches!(lax, [Val::Bool(true)]));
            match (name, found) {
                ("isSemver", found) => Ok(Val::Bool(found.is_some())),
                (_, Some(found)) => Ok(Val::Semver(Arc::new(found))),
                (_, None) => fail(format!("No Major.Minor.Patch elements found: {text}")),
            }
        }
        ("major", [Val::Semver(own)]) => number(own.0),
        ("minor", [Val::Semver(own)]) => number(own.1),
        ("patch", [Val::Semver(own)]) => number(own.2),
        ("isGreaterThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(compare_versions(a, b).is_gt())),
        ("isLessThan", [Val::Semver(a), Val::Semver(b)]) => Ok(Val::Bool(compare_versions(a, b).is_lt())),
        ("compareTo", [Val::Semver(a), Val::Semver(b)]) => Ok(order(compare_versions(a, b))),
        _ => return None,
    })
}

const FORMATS: [&str; 13] = [
    "dns1123Label",
    "dns1123Subdomain",
    "dns1035Label",
    "dns1123LabelPrefix",
    "dns1123SubdomainPrefix",
    "dns1035LabelPrefix",
    "qualifiedName",
    "labelValue",
    "uri",
    "uuid",
    "byte",
    "date",
    "datetime",
];

fn formats(name: &str, values: &[Val]) -> Option<Outcome> {
    let known = |name: &str| FORMATS.contains(&name);
    match (name, values) {
        ("format.named", [Val::Text(format)]) => {
            let found = known(format).then(|| Arc::new(Val::Format(format.clone())));
            Some(Ok(Val::Optional(found)))
        }
        ("validate", [Val::Format(format), Val::Text(text)]) => {
            let errors = format_errors(format, text);
            let found = (!errors.is_empty()).then(|| Arc::new(Val::list(errors.iter().map(Val::text))));
            Some(Ok(Val::Optional(found)))
        }
        (_, []) => {
            let format = name.strip_prefix("format.").filter(|name| known(name))?;
            Some(Ok(Val::Format(Arc::from(format))))
        }
        _ => None,
    }
}

fn format_errors(format: &str, text: &str) -> Vec<String> {
    let named = |format: &str, why: &str| {
        if crate::schema::fits_format(format, text) { Vec::new() } else { vec![why.to_owned()] }
    };
    match format {
        "dns1123Label" => names::is_dns1123_label(text),
        "dns1123Subdomain" => names::is_dns1123_subdomain(text),
        "dns1035Label" => names::is_dns1035_label(text),
        "dns1123LabelPrefix" => names::is_dns1123_label(&names::mask_trailing_dash(text)),
        "dns1123SubdomainPrefix" => names::is_dns1123_subdomain(&names::mask_trailing_dash(text)),
        "dns1035LabelPrefix" => names::is_dns1035_label(&names::mask_trailing_dash(text)),
        "qualifiedName" => names::is_qualified_name(text),
        "labelValue" => names::is_label_value(text),
        "uri" => named("uri", "invalid URI"),
        "uuid" => named("uuid", "does not match the UUID format"),
        "byte" => named("byte", "invalid base64"),
        "date" => named("date", "invalid date"),
        _ => named("date-time", "invalid datetime"),
    }
}
