//! Forms of texts, as loose and as strict as the library is that Kubernetes has them from.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::schema::pattern::compiled;

/// Formats that are one regular expression.
const PATTERNS: [(&str, &str); 13] = [
    ("byte", "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$"),
    ("creditcard", "^[0-9]{13,19}$"),
    ("hexcolor", "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
    ("isbn", "^(?:[0-9]{9}X|[0-9]{10}|[0-9]{13})$"),
    ("isbn10", "^(?:[0-9]{9}X|[0-9]{10})$"),
    ("isbn13", "^[0-9]{13}$"),
    ("mac", MAC),
    ("rgbcolor", r"^rgb\(\s*BYTE\s*,\s*BYTE\s*,\s*BYTE\s*\)$"),
    ("ssn", r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
    ("uuid", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
    ("uuid3", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$"),
    ("uuid4", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
    ("uuid5", "(?i)^[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}$"),
];

/// Six, eight or twenty bytes: in pairs of digits, or in fours with dots.
const MAC: &str = "(?i)^(?:BB(?::BB){5}|BB(?::BB){7}|BB(?::BB){19}|BB(?:-BB){5}|BB(?:-BB){7}|BB(?:-BB){19}\
    |WW(?:[.]WW){2}|WW(?:[.]WW){3}|WW(?:[.]WW){9})$";

/// Units of durations and their nanoseconds; the last name of each may go on: `minutes`.
const UNITS: [(&[&str], i64); 8] = [
    (&["ns", "nano"], 1),
    (&["us", "µs", "micro"], 1_000),
    (&["ms", "milli"], 1_000_000),
    (&["s", "sec"], 1_000_000_000),
    (&["m", "min"], 60_000_000_000),
    (&["h", "hr", "hour"], 3_600_000_000_000),
    (&["d", "day"], 86_400_000_000_000),
    (&["w", "wk", "week"], 604_800_000_000_000),
];

static FORMATS: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
    let spelled = |pattern: &str| {
        let pattern = pattern.replace("BYTE", r"(?:0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])");
        pattern.replace("BB", "[0-9a-f]{2}").replace("WW", "[0-9a-f]{4}")
    };
    PATTERNS.iter().filter_map(|(name, pattern)| Some((*name, compiled(&spelled(pattern)).ok()?))).collect()
});

static TIME: LazyLock<Option<Regex>> =
    LazyLock::new(|| compiled("^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})$").ok());

static AMOUNT: LazyLock<Option<Regex>> = LazyLock::new(|| compiled(r"(\d+)\s*([A-Za-zµ]+)").ok());

/// Whether a text fits a format that is one pattern; `None` if the format is another.
pub(super) fn fits_pattern(format: &str, text: &str) -> Option<bool> {
    FORMATS.get(format).map(|pattern| pattern.is_match(text))
}

pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

pub(super) fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else { return false };
    let Some(found) = TIME.as_ref().and_then(|pattern| pattern.captures(time)) else { return false };
    let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
    is_date(date) && part(1) <= "23" && part(2) <= "59" && part(3) <= "59"
}

/// The nanoseconds of a duration as Go writes it, or else of all amounts that there are in a text: `1 day, 2 hours`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    if let Some(nanos) = crate::cel::parse_duration(text) {
        return Some(nanos);
    }
    let mut total: Option<i64> = None;
    for found in AMOUNT.iter().flat_map(|pattern| pattern.captures_iter(text)) {
        let factor: i64 = found.get(1)?.as_str().parse().ok()?;
        if let Some(unit) = unit(&found.get(2)?.as_str().to_lowercase()) {
            total = Some(total.unwrap_or_default().wrapping_add(factor.wrapping_mul(unit)));
        }
    }
    total
}

/// The nanoseconds of a unit.
fn unit(name: &str) -> Option<i64> {
    let is = |names: &&[&str]| names.contains(&name) || names.last().is_some_and(|long| name.starts_with(long));
    UNITS.iter().find(|(names, _)| is(names)).map(|(_, nanos)| *nanos)
}

/// An address of mail, which may stand in angle brackets after a name.
pub(super) fn is_email(text: &str) -> bool {
    let text = text.trim();
    let address = match text.strip_suffix('>') {
        Some(named) => named.rsplit_once('<').map_or("", |(_, address)| address),
        None => text,
    };
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    (quoted || is_dotted_atom(local)) && is_dotted_atom(domain)
}

fn is_dotted_atom(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(fits))
}

/// Labels with dots between them, of which the last is not a single character. A label alone may have a dash after its
/// first character only.
pub(super) fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.split('.').any(|label| label.len() > 63) {
        return false;
    }
    let Some((first, last)) = text.rsplit_once('.') else {
        let mut rest = text.chars();
        let begins = rest.next().is_some_and(is_of_label);
        let rest = rest.as_str();
        return begins && rest.strip_prefix('-').unwrap_or(rest).chars().all(is_of_label);
    };
    let ends = |label: &str| label.starts_with(is_of_label) && label.ends_with(is_of_label);
    let inner = |label: &str| label.chars().all(|c| c == '-' || is_of_label(c));
    let whole = |label: &str| ends(label) && inner(label);
    first.split('.').all(whole) && whole(last) && last.chars().nth(1).is_some() && !last.contains("--")
}

/// Letters, digits and symbols of any script.
fn is_of_label(c: char) -> bool {
    match c {
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => true,
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        c => !c.is_whitespace() && !c.is_control() && !c.is_numeric(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fits;

    #[test]
    fn forms_are_those_of_the_library() {
        for (format, good, bad) in [
            ("date-time", "2020-01-01T10:00:00.5+02:00", "2020-01-01T24:00:00Z"),
            ("date-time", "2020-01-01t10:00:00z", "2020-01-01 10:00:00Z"),
            ("date", "2020-02-29", "2021-02-29"),
            ("duration", "1h30m", "h"),
            ("duration", "22 ns", "22 lightyears"),
            ("duration", "3 days", ""),
            ("mac", "01:23:45:67:89:ab", "01:23:45:67:89"),
            ("mac", "0123.4567.89AB", "01:23:45:67:89-ab"),
            ("ssn", "123-45-6789", "\u{661}23-45-6789"),
            ("uuid4", "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
            ("uuid", "6BA7B8109DAD11D180B400C04FD430C8", "6ba7b810"),
            ("byte", "aGk=", "%%"),
            ("byte", "aGkh", ""),
            ("rgbcolor", "rgb(0, 255,10)", "rgb(256,0,0)"),
            ("email", "a.b@c.de", "a..b@c.de"),
            ("email", "Ann <a@c>", "a@"),
            ("uri", "http://a.b/c d", "http://a b/c"),
            ("uri", "/a", "a"),
            ("uri", "http://[::1]:80/", "http://[1.2.3.4]/"),
            ("uri", "db://a:1,b:2/", "http://a:1:2/"),
            ("uri", "urn:x", "http://a/%zz"),
            ("hostname", "a-b.example.com", "-a.example.com"),
            ("hostname", "localhost", "a_b"),
            ("no-such-format", "anything", "\u{0}"),
        ] {
            assert!(fits(format, good), "{format} {good}");
            assert_eq!(fits(format, bad), format == "no-such-format", "{format} {bad}");
        }
    }

    #[test]
    fn durations_have_a_length() {
        for (text, nanos) in [
            ("1h30m", Some(5_400_000_000_000)),
            ("1 day, 2 Hours", Some(93_600_000_000_000)),
            ("3 weeks 1x", Some(1_814_400_000_000_000)),
            ("5 lightyears", None),
            ("99999999999999999999 days", None),
        ] {
            assert_eq!(super::duration(text), nanos, "{text}");
        }
    }
}
