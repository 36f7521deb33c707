//! Formats of strings and numbers. An unknown format fits everything.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use crate::{names, url};

mod texts;

pub(crate) use texts::duration;

/// Whether a text has a format.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => texts::is_date_time(text),
        "date" => texts::is_date(text),
        "duration" => duration(text).is_some(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => text.parse::<ipnet::IpNet>().is_ok(),
        "uri" => url::parse_request(text).is_ok(),
        "email" => texts::is_email(text),
        "hostname" => texts::is_hostname(text),
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "k8s-short-name" => names::is_dns1123_label(text).is_empty(),
        "k8s-long-name" => names::is_dns1123_subdomain(text).is_empty(),
        _ => texts::fits_pattern(format, text).unwrap_or(true),
    }
}

/// Formats of strings that are checked.
const OF_TEXTS: [&str; 28] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "date",
    "datetime",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "ipv4",
    "ipv6",
    "isbn",
    "isbn10",
    "isbn13",
    "k8slongname",
    "k8sshortname",
    "mac",
    "password",
    "quantity",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid",
    "uuid3",
    "uuid4",
    "uuid5",
    "",
];

/// Whether a format is known for values of a type.
#[must_use]
pub fn is_known(kind: &str, format: &str) -> bool {
    match kind {
        "" | "string" => OF_TEXTS.contains(&format.replace('-', "").as_str()),
        "integer" => matches!(format, "" | "int32" | "int64"),
        "number" => matches!(format, "" | "float" | "double"),
        _ => format.is_empty(),
    }
}

/// Whether a number lies in the range of its type's format. One without a fraction is whole, whatever was written.
pub(super) fn in_range(kind: &str, format: &str, value: &Value) -> bool {
    let whole = || value.as_i64().or_else(|| value.as_f64()?.to_string().parse().ok());
    match format {
        "int32" => whole().is_some_and(|n: i64| i32::try_from(n).is_ok()),
        "int64" => whole().is_some(),
        "" if kind == "integer" => whole().is_some(),
        #[expect(clippy::cast_possible_truncation, reason = "whether it would overflow is the question")]
        "float" => value.as_f64().is_some_and(|n| (n as f32).is_finite()),
        _ => true,
    }
}
