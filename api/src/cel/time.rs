//! Timestamps and durations.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use super::Val;
use super::outcome::{Outcome, fail};
use crate::time::Layout;

const SECOND: i64 = 1_000_000_000;

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("timestamp", [Val::Time(time)]) => Ok(Val::Time(*time)),
        ("timestamp", [Val::Text(text)]) => match crate::time::parse(text, Layout::Seconds) {
            Ok(time) => Ok(Val::Time(time)),
            Err(_) => fail("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        },
        ("timestamp", [Val::Int(seconds)]) => match Timestamp::from_second(*seconds) {
            Ok(time) => Ok(Val::Time(time)),
            Err(_) => fail("timestamp overflow"),
        },
        ("duration", [Val::Duration(nanos)]) => Ok(Val::Duration(*nanos)),
        ("duration", [Val::Text(text)]) => match parse_duration(text) {
            Some(nanos) => Ok(Val::Duration(nanos)),
            None => fail("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        // It fits its type, and then there is nothing that does it.
        ("duration", [Val::Int(_)]) => fail("type conversion error from 'int' to 'google.protobuf.Duration'"),
        (_, [Val::Duration(nanos)]) => return of_duration(name, *nanos),
        (_, [Val::Time(time)]) => return of_time(name, *time, TimeZone::UTC),
        (_, [Val::Time(time), Val::Text(zone)]) => match zone_of(zone) {
            Some(zone) => return of_time(name, *time, zone),
            None => fail(format!("unknown time zone {zone}")),
        },
        _ => return None,
    })
}

fn zone_of(text: &str) -> Option<TimeZone> {
    let offset = text.strip_prefix('-').map(|rest| (-1, rest)).unwrap_or((1, text.trim_start_matches('+')));
    if let Some((hours, minutes)) = offset.1.split_once(':')
        && let (Ok(hours), Ok(minutes)) = (hours.parse::<i32>(), minutes.parse::<i32>())
    {
        let seconds = hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?;
        return Some(jiff::tz::Offset::from_seconds(offset.0 * seconds).ok()?.to_time_zone());
    }
    if text == "UTC" { Some(TimeZone::UTC) } else { TimeZone::get(text).ok() }
}

fn of_duration(name: &str, nanos: i64) -> Option<Outcome> {
    let unit = match name {
        "getHours" => 3600 * SECOND,
        "getMinutes" => 60 * SECOND,
        "getSeconds" => SECOND,
        "getMilliseconds" => SECOND / 1000,
        _ => return None,
    };
    Some(Ok(Val::Int(nanos / unit)))
}

fn of_time(name: &str, time: Timestamp, zone: TimeZone) -> Option<Outcome> {
    let at = time.to_zoned(zone);
    let found = match name {
        "getFullYear" => i64::from(at.year()),
        "getMonth" => i64::from(at.month()) - 1,
        "getDate" => i64::from(at.day()),
        "getDayOfMonth" => i64::from(at.day()) - 1,
        "getDayOfWeek" => i64::from(at.weekday().to_sunday_zero_offset()),
        "getDayOfYear" => i64::from(at.day_of_year()) - 1,
        "getHours" => i64::from(at.hour()),
        "getMinutes" => i64::from(at.minute()),
        "getSeconds" => i64::from(at.second()),
        "getMilliseconds" => i64::from(at.millisecond()),
        _ => return None,
    };
    Some(Ok(Val::Int(found)))
}

pub(super) fn arithmetic(name: &str, a: &Val, b: &Val) -> Option<Outcome> {
    let moved = |time: &Timestamp, nanos: i64| match time.checked_add(SignedDuration::from_nanos(nanos)) {
        Ok(time) => Ok(Val::Time(time)),
        Err(_) => fail("timestamp overflow"),
    };
    let checked =
        |nanos: Option<i64>| nanos.map_or_else(|| fail("duration overflow"), |nanos| Ok(Val::Duration(nanos)));
    Some(match (name, a, b) {
        ("_+_", Val::Duration(a), Val::Duration(b)) => checked(a.checked_add(*b)),
        ("_-_", Val::Duration(a), Val::Duration(b)) => checked(a.checked_sub(*b)),
        ("_+_", Val::Time(time), Val::Duration(nanos)) | ("_+_", Val::Duration(nanos), Val::Time(time)) => {
            moved(time, *nanos)
        }
        ("_-_", Val::Time(time), Val::Duration(nanos)) => moved(time, nanos.saturating_neg()),
        ("_-_", Val::Time(a), Val::Time(b)) => checked(i64::try_from(a.as_nanosecond() - b.as_nanosecond()).ok()),
        _ => return None,
    })
}

/// Reads Go's notation: `1h30m`, `-1.5s`. Only fractions are worked out with floats, as in Go.
pub(crate) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, after) = amount(rest)?;
        total = total.checked_add(part).filter(|total| *total <= MOST)?;
        rest = after;
    }
    if negative { 0_i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// Nanoseconds of the longest duration, which is a negative one.
const MOST: u64 = 1 << 63;

/// A number with its unit in nanoseconds, and what follows it.
fn amount(text: &str) -> Option<(u64, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let unit: u64 = match &rest[..end] {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let total = whole.checked_mul(unit)?.checked_add(part_of(fraction, unit))?;
    (total <= MOST).then_some((total, &rest[end..]))
}

/// The fraction of a unit; digits that no whole number can hold any more count for nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "Go works it out so"
)]
fn part_of(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in fraction.bytes() {
        let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        let Some(next) = next.filter(|next| *next <= MOST) else { break };
        (value, scale) = (next, scale * 10.0);
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// The text of a duration, in seconds: as precise as a float is, as in Go.
#[expect(clippy::cast_precision_loss, reason = "Go loses it too")]
pub(super) fn duration_text(nanos: i64) -> String {
    format!("{}s", (nanos / SECOND) as f64 + (nanos % SECOND) as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::{duration_text, parse_duration};

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("0s", 0),
            ("1h30m", 5_400_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("+.5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.100000000000000000000h", 360_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
        }
        for text in
            ["", "+", "-", "1", ".s", "1h-1m", "++1s", "-+1s", "1d", "1 s", "9223372036854775808ns", "3000000h", "1e3s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_told_in_seconds() {
        for (nanos, text) in [
            (0, "0s"),
            (-1_500_000_000, "-1.5s"),
            (1, "0.000000001s"),
            (86_400_000_000_000, "86400s"),
            (i64::MAX, "9223372036.854776s"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
    }
}
