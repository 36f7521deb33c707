//! Numbers and durations in texts, read as Go reads them and refused in its words.

use std::time::Duration;

use crate::field::go_quote;

/// Go's words for a number that does not parse.
#[must_use]
pub fn parse_int_error(function: &str, text: &str) -> String {
    let signed = if function == "ParseUint" { None } else { text.strip_prefix(['+', '-']) };
    let digits = signed.unwrap_or(text);
    let out_of_range = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = if out_of_range { "value out of range" } else { "invalid syntax" };
    format!("strconv.{function}: parsing {}: {why}", go_quote(text))
}

/// A number without any sign, as `strconv.ParseUint` reads it.
///
/// # Errors
/// Go's complaint.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    let number = text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    number.ok_or_else(|| parse_int_error("ParseUint", text))
}

/// A duration as Go writes it, `1m30s`; negative ones count as nothing.
///
/// # Errors
/// Go's complaint.
pub fn go_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", go_quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..letters];
        rest = &rest[letters..];
        seconds += number
            * match unit {
                "" => return Err(format!("time: missing unit in duration {}", go_quote(text))),
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(format!("time: unknown unit {} in duration {}", go_quote(unit), go_quote(text))),
            };
    }
    // Go counts nanoseconds in 64 bits.
    if seconds > Duration::from_nanos(i64::MAX.unsigned_abs()).as_secs_f64() {
        return Err(invalid());
    }
    let seconds = if negative { 0.0 } else { seconds };
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_go_words() {
        assert_eq!(go_duration("1m30s").unwrap().as_secs(), 90);
        assert_eq!(go_duration("0").unwrap().as_secs(), 0);
        assert_eq!(go_duration("x").unwrap_err(), "time: invalid duration \"x\"");
        assert_eq!(go_duration("5").unwrap_err(), "time: missing unit in duration \"5\"");
        assert_eq!(go_duration("5y").unwrap_err(), "time: unknown unit \"y\" in duration \"5y\"");
        assert_eq!(go_duration("2562047h").unwrap().as_secs(), 2_562_047 * 3600);
        for hours in ["2562048", "-2562048", &"9".repeat(400)] {
            let long = format!("{hours}h");
            assert_eq!(go_duration(&long).unwrap_err(), format!("time: invalid duration \"{long}\""));
        }
    }

    #[test]
    fn unsigned_numbers_have_no_sign() {
        assert_eq!(parse_uint("007"), Ok(7));
        for odd in ["+7", "-7", "", "7x"] {
            assert_eq!(parse_uint(odd), Err(format!("strconv.ParseUint: parsing \"{odd}\": invalid syntax")));
        }
    }

    #[test]
    fn numbers_that_do_not_parse_in_go_words() {
        for (function, text, why) in [
            ("ParseInt", "x", "invalid syntax"),
            ("ParseInt", "", "invalid syntax"),
            ("ParseInt", "-99999999999999999999", "value out of range"),
            ("ParseUint", "99999999999999999999", "value out of range"),
            ("ParseUint", "-5", "invalid syntax"),
        ] {
            assert_eq!(parse_int_error(function, text), format!("strconv.{function}: parsing \"{text}\": {why}"));
        }
    }
}
