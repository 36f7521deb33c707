//! IP addresses and ranges of them: as strict as Go's `netip`, and refused in its words.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::field::go_quote;

/// What is wrong with an address, and the rest of it from where it is wrong.
type Fault<'t> = (&'static str, &'t str);

/// An address, and whether a zone follows it, as `netip.ParseAddr` reads it.
///
/// # Errors
/// Go's words.
pub(crate) fn parse(text: &str) -> Result<(IpAddr, bool), String> {
    if let Ok(ip) = text.parse() {
        return Ok((ip, false));
    }
    if let Some((own, zone)) = text.split_once('%')
        && let Ok(ip) = own.parse::<Ipv6Addr>()
        && !zone.is_empty()
    {
        return Ok((ip.into(), true));
    }
    let (why, rest) = fault(text);
    let place = if rest.is_empty() { String::new() } else { format!(" (at {})", go_quote(rest)) };
    Err(format!("ParseAddr({}): {why}{place}", go_quote(text)))
}

/// A range of addresses, as `netip.ParsePrefix` reads it.
///
/// # Errors
/// Go's words.
pub(crate) fn parse_range(text: &str) -> Result<IpNet, String> {
    let refused = |why: String| format!("netip.ParsePrefix({}): {why}", go_quote(text));
    let Some((address, bits)) = text.rsplit_once('/') else { return Err(refused("no '/'".to_owned())) };
    let (ip, has_zone) = parse(address).map_err(refused)?;
    if has_zone {
        return Err(refused("IPv6 zones cannot be present in a prefix".to_owned()));
    }
    let plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits.len() == 1 || !bits.starts_with('0'));
    let Some(length) = bits.parse::<i64>().ok().filter(|_| plain) else {
        return Err(refused(format!("bad bits after slash: {}", go_quote(bits))));
    };
    let net = u8::try_from(length).ok().and_then(|length| IpNet::new(ip, length).ok());
    net.ok_or_else(|| refused("prefix length out of range".to_owned()))
}

/// Why a text is no address.
fn fault(text: &str) -> Fault<'_> {
    let found = match text.bytes().find(|byte| matches!(byte, b'.' | b':' | b'%')) {
        Some(b'.') => four_fault(text),
        Some(b':') => six_fault(text),
        Some(_) => Some(("missing IPv6 address", "")),
        None => None,
    };
    found.unwrap_or(("unable to parse IP", ""))
}

fn four_fault(text: &str) -> Option<Fault<'_>> {
    let (mut value, mut digits, mut dots) = (0, 0, 0);
    let bytes = text.as_bytes();
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' if digits == 1 && value == 0 => {
                return Some(("IPv4 field has octet with leading zero", ""));
            }
            b'0'..=b'9' => {
                value = value * 10 + u32::from(byte - b'0');
                digits += 1;
                if value > 255 {
                    return Some(("IPv4 field has value >255", ""));
                }
            }
            b'.' if index == 0 || index + 1 == bytes.len() || bytes[index - 1] == b'.' => {
                return Some(("IPv4 field must have at least one digit", &text[index..]));
            }
            b'.' if dots == 3 => return Some(("IPv4 address too long", "")),
            b'.' => (value, digits, dots) = (0, 0, dots + 1),
            _ => return Some(("unexpected character", &text[index..])),
        }
    }
    (dots < 3).then_some(("IPv4 address too short", ""))
}

fn six_fault(text: &str) -> Option<Fault<'_>> {
    let mut rest = match text.split_once('%') {
        Some((_, "")) => return Some(("zone must be a non-empty string", "")),
        Some((own, _)) => own,
        None => text,
    };
    let mut ellipsis = false;
    if let Some(after) = rest.strip_prefix("::") {
        (rest, ellipsis) = (after, true);
    }
    let mut filled = 0;
    while filled < 16 && !(rest.is_empty() && ellipsis && filled == 0) {
        let end = rest.bytes().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(rest.len());
        if let Some(why) = group_fault(rest, end, filled, ellipsis) {
            return Some(why);
        }
        if rest[end..].starts_with('.') {
            (rest, filled) = ("", filled + 4);
            break;
        }
        filled += 2;
        rest = &rest[end..];
        if rest.is_empty() {
            break;
        }
        rest = match rest.strip_prefix(':') {
            None => return Some(("unexpected character, want colon", rest)),
            Some("") => return Some(("colon must be followed by more characters", rest)),
            Some(after) => after,
        };
        if let Some(after) = rest.strip_prefix(':') {
            if ellipsis {
                return Some(("multiple :: in address", rest));
            }
            (rest, ellipsis) = (after, true);
            if rest.is_empty() {
                break;
            }
        }
    }
    match (rest, filled < 16) {
        ("", true) => (!ellipsis).then_some(("address string too short", "")),
        ("", false) => ellipsis.then_some(("the :: must expand to at least one field of zeros", "")),
        (rest, _) => Some(("trailing garbage after address", rest)),
    }
}

/// What is wrong with the next group of digits, which ends at `end`, or with the IPv4 address that begins with it.
fn group_fault(rest: &str, end: usize, filled: usize, ellipsis: bool) -> Option<Fault<'_>> {
    match end {
        0 => return Some(("each colon-separated field must have at least one digit", rest)),
        5.. => return Some(("each group must have 4 or less digits", rest)),
        _ if !rest[end..].starts_with('.') => return None,
        _ => {}
    }
    if !ellipsis && filled != 12 {
        return Some(("embedded IPv4 address must replace the final 2 fields of the address", rest));
    }
    if filled > 12 {
        return Some(("too many hex fields to fit an embedded IPv4 at the end of the address", rest));
    }
    four_fault(rest)
}
