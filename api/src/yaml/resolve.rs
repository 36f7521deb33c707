//! Which plain words YAML 1.1 takes for something else than a string, so that a string must be quoted.

/// Whether a reader would take the bare text for a boolean, null, number or time.
pub(super) fn is_not_string(text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return true };
    match first {
        b'0'..=b'9' | b'+' | b'-' | b'.' => {
            is_special_float(text) || is_integer(text) || is_float(text) || is_base_60(text) || is_time(text)
        }
        _ => is_word(text),
    }
}

fn is_word(text: &str) -> bool {
    const WORDS: [&str; 29] = [
        "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", "n", "N", "no", "No", "NO", "false",
        "False", "FALSE", "off", "Off", "OFF", "~", "null", "Null", "NULL", "<<", "=", "",
    ];
    WORDS[..27].contains(&text)
}

fn is_special_float(text: &str) -> bool {
    let bare = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(bare, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn is_integer(text: &str) -> bool {
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let radix = |prefix: [&str; 2], radix: u32| {
        prefix.iter().any(|prefix| {
            digits.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
        })
    };
    let decimal = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    decimal || radix(["0x", "0X"], 16) || radix(["0o", "0O"], 8) || radix(["0b", "0B"], 2)
}

fn is_float(text: &str) -> bool {
    let plain = text.replace('_', "");
    let body = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let exponent_good = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let mantissa_good = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent_good && mantissa_good
}

/// `12:30:45`, a number in base 60.
fn is_base_60(text: &str) -> bool {
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = body.split(':');
    let first = parts.next().unwrap_or_default();
    let leading =
        first.starts_with(|c: char| c.is_ascii_digit()) && first.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest: Vec<&str> = parts.collect();
    let part = |text: &str| match text.as_bytes() {
        [d] => d.is_ascii_digit(),
        [t, d] => (b'0'..=b'5').contains(t) && d.is_ascii_digit(),
        _ => false,
    };
    let Some((last, middle)) = rest.split_last() else { return false };
    let last_good = match last.split_once('.') {
        Some((whole, fraction)) => part(whole) && fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_'),
        None => part(last),
    };
    leading && last_good && middle.iter().all(|text| part(text))
}

/// A date, or a date with a time.
fn is_time(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let number = |text: Option<&str>, widths: std::ops::RangeInclusive<usize>| {
        text.is_some_and(|text| widths.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
    };
    if !number(parts.next(), 4..=4) || !number(parts.next(), 1..=2) {
        return false;
    }
    let rest = parts.next().unwrap_or_default();
    let day = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=2).contains(&day) {
        return false;
    }
    let time = &rest[day..];
    time.is_empty()
        || (time.starts_with(['T', 't', ' '])
            && time.matches(':').count() >= 2
            && time[1..].starts_with(|c: char| c.is_ascii_digit()))
}
