//! Formats of strings and numbers. An unknown format fits everything.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use base64::Engine;
use regex::Regex;
use serde_json::Value;

use crate::names;

/// Whether a text has a format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => is_date_time(text),
        "date" => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
        "duration" => is_duration(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
        "mac" => matches(&MAC, text),
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "uuid" => matches(&UUID, text),
        "uuid3" => matches(&UUID, text) && text.as_bytes().get(14) == Some(&b'3'),
        "uuid4" => matches(&UUID, text) && text.as_bytes().get(14) == Some(&b'4'),
        "uuid5" => matches(&UUID, text) && text.as_bytes().get(14) == Some(&b'5'),
        "byte" => base64::engine::general_purpose::STANDARD.decode(text).is_ok(),
        "hexcolor" => matches(&HEX_COLOR, text),
        "rgbcolor" => matches(&RGB_COLOR, text),
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "ssn" => matches(&SSN, text),
        "isbn10" => matches(&ISBN10, text),
        "isbn13" => matches(&ISBN13, text),
        "isbn" => matches(&ISBN10, text) || matches(&ISBN13, text),
        "creditcard" => matches(&CARD, text),
        "k8s-short-name" => names::is_dns1123_label(text).is_empty(),
        "k8s-long-name" => names::is_dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

/// Whether a number lies in the range of its format.
pub(super) fn in_range(format: &str, value: &Value) -> bool {
    let whole = value.as_i64();
    match format {
        "int32" => whole.is_some_and(|n| i32::try_from(n).is_ok()),
        "uint32" => whole.is_some_and(|n| u32::try_from(n).is_ok()),
        "int64" => whole.is_some(),
        "uint64" => value.is_u64(),
        #[expect(clippy::cast_possible_truncation, reason = "whether it would overflow is the question")]
        "float" => value.as_f64().is_some_and(|n| (n as f32).is_finite()),
        _ => true,
    }
}

static MAC: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$").ok());
static UUID: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new("^[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}$").ok()
});
static HEX_COLOR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$").ok());
static RGB_COLOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)$").ok());
static SSN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$").ok());
static ISBN10: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^(?:[0-9]{9}X|[0-9]{10})$").ok());
static ISBN13: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]{13}$").ok());
static CARD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]{13,19}$").ok());
static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^[-+]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w)(\s*(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h|d|w))*$",
    )
    .ok()
});

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|regex| regex.is_match(text))
}

fn is_date_time(text: &str) -> bool {
    text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok()
}

fn is_duration(text: &str) -> bool {
    text == "0" || matches(&DURATION, text)
}

fn is_uri(text: &str) -> bool {
    text.starts_with('/')
        || text.split_once(':').is_some_and(|(scheme, rest)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
                && !rest.contains([' ', '\n'])
        })
}

fn is_email(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !local.contains([' ', '@']) && !domain.contains([' ', '@'])
    })
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.trim_end_matches('.').split('.').all(label)
}
