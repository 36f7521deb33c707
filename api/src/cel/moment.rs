use std::cmp::Ordering;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};

use crate::time::{Layout, parse};

const SECOND: i128 = 1_000_000_000;
const TEN_DAYS: i64 = 10 * 86_400;
/// The first second of the year 1, and the last of the year 9999: there are no timestamps before and after.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A point in time: whole seconds since 1970, and the nanoseconds that follow.
///
/// The last two days of the year 9999, which stand for never in many objects, are none to the library of times.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    second: i64,
    nano: i32,
    /// Seconds east of UTC of the clock that it was read from, and is shown by again. It does not matter for its order.
    east: i32,
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.second, self.nano).cmp(&(other.second, other.nano))
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self::of(time.as_nanosecond())
    }
}

impl Moment {
    fn of(nanos: i128) -> Self {
        let second = i64::try_from(nanos.div_euclid(SECOND)).unwrap_or(i64::MAX);
        let nano = i32::try_from(nanos.rem_euclid(SECOND)).unwrap_or_default();
        Self { second, nano, east: 0 }
    }

    /// The point so many nanoseconds after 1970; there is none outside of the years 1 to 9999.
    pub(super) fn at(nanos: i128) -> Option<Self> {
        Some(Self::of(nanos)).filter(|time| (FIRST..=LAST).contains(&time.second))
    }

    pub(super) fn at_second(second: i64) -> Option<Self> {
        Self::at(i128::from(second) * SECOND)
    }

    /// The point so many nanoseconds later, by the same clock.
    pub(super) fn moved(self, nanos: i128) -> Option<Self> {
        Some(Self { east: self.east, ..Self::at(self.nanos() + nanos)? })
    }

    pub(super) fn nanos(self) -> i128 {
        i128::from(self.second) * SECOND + i128::from(self.nano)
    }

    /// Whole seconds since 1970.
    pub(super) fn second(self) -> i64 {
        self.second
    }

    /// A time by the clock that this text of it names.
    pub(super) fn written(time: Timestamp, text: &str) -> Self {
        Self { east: east(text), ..Self::from(time) }
    }

    /// Reads RFC 3339, as strictly as Go does.
    pub(super) fn read(text: &str) -> Option<Self> {
        if let Ok(time) = parse(text, Layout::Seconds) {
            return Some(Self::written(time, text));
        }
        // The days that are too late are read as those ten days before them.
        let rest = text.strip_prefix("9999-12-3").filter(|rest| rest.starts_with(['0', '1']))?;
        let time = Self::written(parse(&format!("9999-12-2{rest}"), Layout::Seconds).ok()?, text);
        Some(Self { second: time.second + TEN_DAYS, ..time })
    }

    /// What the calendar and the clock say of it so many seconds east of UTC.
    fn civil(self, east: i64) -> civil::DateTime {
        let since = SignedDuration::new(self.second.saturating_add(east), self.nano);
        civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(since).unwrap_or(civil::DateTime::MAX)
    }

    /// The same by its own clock.
    pub(super) fn at_home(self) -> civil::DateTime {
        self.civil(self.east.into())
    }

    /// The same in a time zone.
    pub(super) fn within(self, zone: &TimeZone) -> civil::DateTime {
        let time = Timestamp::from_nanosecond(self.nanos()).unwrap_or(Timestamp::MAX);
        self.civil(zone.to_offset(time).seconds().into())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at_home())?;
        let (sign, minutes) = (if self.east < 0 { '-' } else { '+' }, self.east.abs() / 60);
        match minutes {
            0 => f.write_str("Z"),
            _ => write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        }
    }
}

/// How many seconds east of UTC the clock is that a text of a time names at its end.
fn east(text: &str) -> i32 {
    let zone = text.len().checked_sub("+00:00".len()).and_then(|start| text.get(start..)).unwrap_or_default();
    let sign = match zone.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return 0,
    };
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<i32>().ok());
    let (hours, minutes) = (number(zone.get(1..3)), number(zone.get(4..6)));
    hours.zip(minutes).map_or(0, |(hours, minutes)| sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::{holds, run, schema_rule_errors};
    use super::*;

    #[test]
    fn the_last_days_are_days_too() {
        let last = "9999-12-31T23:59:59.5Z";
        assert_eq!(Moment::read(last).map(|time| time.to_string()).as_deref(), Some(last));
        holds("timestamp(x) > timestamp('9999-12-30T22:00:01Z') && timestamp(x).getDate() == 31", json!(last));
        holds("timestamp(x).getHours('-01:00') == 22 && int(timestamp(x)) == 253402300799", json!(last));
        holds("timestamp(x) - duration('48h') == timestamp('9999-12-29T23:59:59.5Z')", json!(last));
        let why = |text: &str| run(text, json!(last)).unwrap_err();
        assert_eq!(why("timestamp(x) + duration('1s') == timestamp(x)"), "timestamp overflow");
        assert_eq!(why("timestamp('9999-12-31T23:59:59' + '-01:00') == timestamp(x)"), "timestamp overflow");
        for text in ["9999-12-32T00:00:00Z", "9999-12-31", "9999-12-31T24:00:00Z", "9999-12-3x"] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_shown_by_the_clock_that_it_was_read_from() {
        for (text, shown) in [
            ("2020-02-29T23:30:00.25+05:30", "2020-02-29T23:30:00.25+05:30"),
            ("2020-02-29T23:30:00-00:30", "2020-02-29T23:30:00-00:30"),
            ("2020-02-29T23:30:00+00:00", "2020-02-29T23:30:00Z"),
            ("9999-12-31T00:00:00+01:00", "9999-12-31T00:00:00+01:00"),
        ] {
            assert_eq!(run("string(timestamp(x))", json!(text)), Ok(super::super::Val::text(shown)), "{text}");
        }
        let east = json!("2020-02-29T23:30:00+05:30");
        holds("timestamp(x) == timestamp('2020-02-29T18:00:00Z') && timestamp(x).getHours() == 23", east.clone());
        holds("timestamp(x).getHours('UTC') == 18 && timestamp(x).getMinutes('+01:00') == 0", east.clone());
        holds("string(timestamp(x) + duration('1h')) == '2020-03-01T00:30:00+05:30'", east);
    }

    #[test]
    fn a_time_makes_no_value_larger() {
        assert_eq!(size_of::<Moment>(), size_of::<std::sync::Arc<str>>());
    }

    #[test]
    fn fields_of_schemas_hold_the_last_days() {
        let rule = json!([{"rule": "self > timestamp('9999-12-30T23:00:00Z')"}]);
        for (format, value) in [("date-time", "9999-12-31T00:00:00Z"), ("date", "9999-12-31")] {
            let of = json!({"type": "string", "format": format, "x-kubernetes-validations": rule});
            let schema = json!({"type": "object", "properties": {"t": of}});
            assert_eq!(schema_rule_errors(&schema, &json!({ "t": value }), &Value::Null), [], "{format}");
        }
    }

    #[test]
    fn seconds_before_1970_are_counted_downwards() {
        holds("int(timestamp('1969-12-31T23:59:59.5Z')) == -1", Value::Null);
        let text = "1969-12-31T23:59:59.5Z";
        assert_eq!(Moment::read(text).map(|time| time.to_string()).as_deref(), Some(text));
        assert_eq!(Moment::from(Timestamp::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00Z");
    }
}
