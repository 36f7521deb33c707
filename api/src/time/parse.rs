use jiff::Timestamp;

use crate::field::go_quote;

/// Which form of timestamp a field wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Whole seconds; a fraction is accepted and dropped later.
    Seconds,
    /// Exactly six decimals.
    Micros,
}

impl Layout {
    fn text(self) -> &'static str {
        match self {
            Layout::Seconds => "2006-01-02T15:04:05Z07:00",
            Layout::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

/// The parts in front of the zone: what is expected, and how many digits (0: the text itself).
const PARTS: [(&str, usize); 11] = [
    ("2006", 4),
    ("-", 0),
    ("01", 2),
    ("-", 0),
    ("02", 2),
    ("T", 0),
    ("15", 2),
    (":", 0),
    ("04", 2),
    (":", 0),
    ("05", 2),
];

/// Reads a timestamp.
///
/// # Errors
/// The text of Go's time package, which Kubernetes passes on to the client.
pub fn parse(text: &str, layout: Layout) -> Result<Timestamp, String> {
    let fail = |rest: &str, part: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            go_quote(text),
            go_quote(layout.text()),
            go_quote(rest),
            go_quote(part)
        )
    };
    let mut rest = text;
    for (part, digits) in PARTS {
        rest = match digits {
            0 => rest.strip_prefix(part),
            _ => strip_digits(rest, digits),
        }
        .ok_or_else(|| fail(rest, part))?;
    }
    if layout == Layout::Micros {
        rest = rest.strip_prefix('.').and_then(|rest| strip_digits(rest, 6)).ok_or_else(|| fail(rest, ".000000"))?;
    } else if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            rest = &fraction[digits..];
        }
    }
    let end = zone_length(rest).ok_or_else(|| fail(rest, "Z07:00"))?;
    if end < rest.len() {
        return Err(format!("parsing time {}: extra text: {}", go_quote(text), go_quote(&rest[end..])));
    }
    text.parse().map_err(|_| format!("parsing time {}: {} out of range", go_quote(text), out_of_range(text)))
}

fn strip_digits(text: &str, count: usize) -> Option<&str> {
    let good = text.len() >= count && text.bytes().take(count).all(|b| b.is_ascii_digit());
    good.then(|| &text[count..])
}

fn zone_length(text: &str) -> Option<usize> {
    if text.starts_with('Z') {
        return Some(1);
    }
    let bytes = text.as_bytes();
    let good = bytes.len() >= 6
        && matches!(bytes[0], b'+' | b'-')
        && bytes[3] == b':'
        && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit());
    good.then_some(6)
}

/// Which part is too large; the caller has checked the form, so the slices are digits.
fn out_of_range(text: &str) -> &'static str {
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    match (number(5..7), number(11..13), number(14..16), number(17..19)) {
        (Some(0 | 13..), ..) => "month",
        (_, Some(24..), ..) => "hour",
        (_, _, Some(60..), _) => "minute",
        (.., Some(60..)) => "second",
        _ => "day",
    }
}
