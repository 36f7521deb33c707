//! Timestamps and durations.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::Val;
use super::moment::Moment;
use super::outcome::{Outcome, fail};
use crate::field::go_quote;

const SECOND: i64 = 1_000_000_000;

pub(super) fn call(name: &str, values: &[Val]) -> Option<Outcome> {
    Some(match (name, values) {
        ("timestamp", [Val::Time(time)]) => Ok(Val::Time(*time)),
        ("timestamp", [Val::Text(text)]) => match Moment::read(text) {
            Some(time) => timestamp(time.moved(0)),
            None => fail("type conversion error from 'string' to 'google.protobuf.Timestamp'"),
        },
        ("timestamp", [Val::Int(seconds)]) => timestamp(Moment::at_second(*seconds)),
        ("duration", [Val::Duration(nanos)]) => Ok(Val::Duration(*nanos)),
        ("duration", [Val::Text(text)]) => match parse_duration(text) {
            Some(nanos) => Ok(Val::Duration(nanos)),
            None => fail("type conversion error from 'string' to 'google.protobuf.Duration'"),
        },
        // It fits its type, and then there is nothing that does it.
        ("duration", [Val::Int(_)]) => fail("type conversion error from 'int' to 'google.protobuf.Duration'"),
        (_, [Val::Duration(nanos)]) => return of_duration(name, *nanos),
        (_, [Val::Time(time)]) => return of_time(name, time.at_home()),
        (_, [Val::Time(time), Val::Text(zone)]) => match zone_of(zone) {
            Ok(zone) => return of_time(name, time.within(&zone)),
            Err(why) => fail(why),
        },
        _ => return None,
    })
}

fn timestamp(time: Option<Moment>) -> Outcome {
    time.map_or_else(|| fail("timestamp overflow"), |time| Ok(Val::Time(time)))
}

/// A time zone by its name, or hours and minutes with a colon between them; no name is UTC.
fn zone_of(text: &str) -> Result<TimeZone, String> {
    let unknown = || format!("unknown time zone {text}");
    let Some((hours, minutes)) = text.split_once(':') else {
        let is_utc = text.is_empty() || text == "UTC";
        return if is_utc { Ok(TimeZone::UTC) } else { TimeZone::get(text).map_err(|_| unknown()) };
    };
    let (hours, minutes) = (whole(hours)?, whole(minutes)?);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let offset = hours.checked_mul(3600).zip(minutes.checked_mul(60 * sign)).and_then(|(h, m)| h.checked_add(m));
    let offset = offset.and_then(|seconds| i32::try_from(seconds).ok());
    let offset = offset.and_then(|seconds| jiff::tz::Offset::from_seconds(seconds).ok());
    offset.map(jiff::tz::Offset::to_time_zone).ok_or_else(unknown)
}

/// A whole number, refused in Go's words.
fn whole(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let why = if is_number { "value out of range" } else { "invalid syntax" };
        format!("strconv.Atoi: parsing {}: {why}", go_quote(text))
    })
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

fn of_time(name: &str, at: DateTime) -> Option<Outcome> {
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
    let moved = |time: &Moment, nanos: i128| timestamp(time.moved(nanos));
    let checked =
        |nanos: Option<i64>| nanos.map_or_else(|| fail("duration overflow"), |nanos| Ok(Val::Duration(nanos)));
    Some(match (name, a, b) {
        ("_+_", Val::Duration(a), Val::Duration(b)) => checked(a.checked_add(*b)),
        ("_-_", Val::Duration(a), Val::Duration(b)) => checked(a.checked_sub(*b)),
        ("_+_", Val::Time(time), Val::Duration(nanos)) | ("_+_", Val::Duration(nanos), Val::Time(time)) => {
            moved(time, (*nanos).into())
        }
        ("_-_", Val::Time(time), Val::Duration(nanos)) => moved(time, -i128::from(*nanos)),
        ("_-_", Val::Time(a), Val::Time(b)) => checked(i64::try_from(a.nanos() - b.nanos()).ok()),
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
    use serde_json::json;

    use super::super::tests::run;
    use super::{Val, duration_text, parse_duration};

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
    fn zones_are_names_or_offsets() {
        let hours = |zone: &str| run("timestamp(0).getHours(x)", json!(zone));
        for (zone, found) in [("", 0), ("UTC", 0), ("+05:30", 5), ("05:30", 5), ("-00:30", 23), ("-3:00", 21)] {
            assert_eq!(hours(zone), Ok(Val::Int(found)), "{zone}");
        }
        for (zone, why) in [
            ("Nowhere/Land", "unknown time zone Nowhere/Land"),
            ("a:0", "strconv.Atoi: parsing \"a\": invalid syntax"),
            ("1:", "strconv.Atoi: parsing \"\": invalid syntax"),
            ("1:99999999999999999999", "strconv.Atoi: parsing \"99999999999999999999\": value out of range"),
        ] {
            assert_eq!(hours(zone), Err(why.to_owned()));
        }
    }

    #[test]
    fn there_are_no_timestamps_before_the_year_one() {
        let why = |text: &str| run(text, json!(-62_135_596_800_i64)).unwrap_err();
        assert!(run("timestamp(x).getFullYear() == 1", json!(-62_135_596_800_i64)).is_ok());
        assert_eq!(why("timestamp(x - 1).getFullYear() == 1"), "timestamp overflow");
        assert_eq!(why("timestamp(x) - duration('1s') == timestamp(0)"), "timestamp overflow");
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
