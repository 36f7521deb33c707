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

/// Reads Go's notation: `1h30m`, `-1.5s`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.trim_start_matches('+')),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[end..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (total > 0.0 || text.contains('0')).then_some((sign * total) as i64).filter(|_| total < 9.2e18)
}

/// The text of a duration, in seconds.
pub(super) fn duration_text(nanos: i64) -> String {
    let (whole, part) = (nanos / SECOND, (nanos % SECOND).abs());
    if part == 0 {
        return format!("{whole}s");
    }
    let digits = format!("{part:09}");
    let sign = if nanos < 0 && whole == 0 { "-" } else { "" };
    format!("{sign}{whole}.{}s", digits.trim_end_matches('0'))
}
