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
    exponent_good && mantissa_good && plain.parse::<f64>().is_ok_and(f64::is_finite)
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

/// A date, or a date with a time of day.
fn is_time(text: &str) -> bool {
    let Some((year, rest)) = text.split_once('-').filter(|(year, _)| year.len() == 4) else { return false };
    let Some((month, rest)) = rest.split_once('-') else { return false };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    is_date(year, month, day) && is_time_of_day(time)
}

fn is_date(year: &str, month: &str, day: &str) -> bool {
    let number = |text: &str, most: usize| {
        let fits = (1..=most).contains(&text.len()) && is_digits(text);
        text.parse::<i16>().ok().filter(|_| fits)
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let (Ok(month), Ok(day)) = (i8::try_from(month), i8::try_from(day)) else { return false };
    jiff::civil::Date::new(year, month, day).is_ok()
}

/// Nothing, or hours, minutes and seconds: after a `T` with a zone, after a space without one.
fn is_time_of_day(text: &str) -> bool {
    let mut chars = text.chars();
    let zoned = match chars.next() {
        None => return true,
        Some('T' | 't') => true,
        Some(' ') => false,
        Some(_) => return false,
    };
    let text = chars.as_str();
    let (clock, zone) = text.split_at(text.find(['Z', '+', '-']).unwrap_or(text.len()));
    is_clock(clock) && if zoned { is_zone(zone) } else { zone.is_empty() }
}

fn is_clock(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let &[hour, minute, second] = parts.as_slice() else { return false };
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, "0"));
    is_below(hour, 24) && is_below(minute, 60) && is_below(second, 60) && !fraction.is_empty() && is_digits(fraction)
}

fn is_zone(text: &str) -> bool {
    let offset = text.strip_prefix(['+', '-']).and_then(|offset| offset.split_once(':'));
    let whole = |text: &str, limit: u8| text.len() == 2 && is_below(text, limit);
    text == "Z" || offset.is_some_and(|(hours, minutes)| whole(hours, 25) && whole(minutes, 61))
}

/// Whether a text of one or two digits is a number below `limit`.
fn is_below(text: &str, limit: u8) -> bool {
    (1..=2).contains(&text.len()) && is_digits(text) && text.parse::<u8>().is_ok_and(|number| number < limit)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_not_string;

    #[test]
    fn only_times_that_there_are_look_like_times() {
        for time in [
            "2024-01-01",
            "2024-2-29",
            "2024-01-01T00:00:00Z",
            "2024-1-1t1:2:3.5+01:00",
            "2024-01-01 10:00:00",
            "2024-01-01 1:2:3.25",
        ] {
            assert!(is_not_string(time), "{time}");
        }
        for text in [
            "2024-13-01",
            "2023-02-29",
            "2024-01",
            "2024-01-01x",
            "2024-01-01T00:00:00",
            "2024-01-01T25:00:00Z",
            "2024-01-01 10:00:00Z",
            "24-01-01",
        ] {
            assert!(!is_not_string(text), "{text}");
        }
    }

    #[test]
    fn numbers_beyond_all_floats_are_text() {
        assert!(is_not_string("1e40") && is_not_string("99999999999999999999"));
        assert!(!is_not_string("1e400"));
    }
}
