//! Cron schedules: when the next time is.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

/// Field by field: least, greatest, names of values.
const FIELDS: [(u32, u32, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
/// A schedule that has no time within so many years has none.
const YEARS: i16 = 5;

/// When something is to be done again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Schedule {
    /// At times by the clock.
    Clock(Box<Clock>),
    /// After each span.
    Every(Duration),
}

/// A bit for each value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Both fields of days are bound: one of them is enough.
    either_day: bool,
}

impl Schedule {
    /// Reads five fields or a descriptor; none if it is malformed.
    pub(super) fn parse(text: &str) -> Option<Schedule> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        if let Some(span) = text.strip_prefix("@every ") {
            return every(span);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else { return None };
        let free = |field: &str| field.starts_with('*') || field.starts_with('?');
        Some(Schedule::Clock(Box::new(Clock {
            minutes: bits(minutes, 0)?,
            hours: bits(hours, 1)?,
            days: bits(days, 2)?,
            months: bits(months, 3)?,
            weekdays: bits(weekdays, 4)?,
            either_day: !free(days) && !free(weekdays),
        })))
    }

    /// The first time after `after`, if there ever is one.
    pub(super) fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Schedule::Clock(clock) => clock.next(after, zone),
            Schedule::Every(span) => {
                let whole = Timestamp::from_second(after.as_second()).ok()?;
                whole.checked_add(SignedDuration::try_from(*span).ok()?).ok()
            }
        }
    }
}

impl Clock {
    fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = after.to_zoned(zone.clone());
        let mut date = start.date();
        let last = date.year().checked_add(YEARS)?;
        while date.year() <= last {
            if self.has_day(date) {
                let times = (0..24).filter(|h| has(self.hours, *h));
                let times = times.flat_map(|h| (0..60).filter(|m| has(self.minutes, *m)).map(move |m| (h, m)));
                let found = times.filter_map(|(hour, minute)| at(date, hour, minute, zone)).find(|t| *t > after);
                if found.is_some() {
                    return found;
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }

    fn has_day(&self, date: jiff::civil::Date) -> bool {
        let by_date = has(self.days, date.day().unsigned_abs().into());
        let by_weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset().unsigned_abs().into());
        let day = if self.either_day { by_date || by_weekday } else { by_date && by_weekday };
        day && has(self.months, date.month().unsigned_abs().into())
    }
}

/// The moment of a time by the clock; none if the clock skips it that day.
fn at(date: jiff::civil::Date, hour: u32, minute: u32, zone: &TimeZone) -> Option<Timestamp> {
    let (hour, minute) = (i8::try_from(hour).ok()?, i8::try_from(minute).ok()?);
    let zoned: Zoned = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?;
    (zoned.hour() == hour && zoned.minute() == minute).then(|| zoned.timestamp())
}

fn has(bits: u64, value: u32) -> bool {
    bits & (1 << value) != 0
}

fn bits(text: &str, field: usize) -> Option<u64> {
    let (least, greatest, names) = *FIELDS.get(field)?;
    let mut all = 0;
    for part in text.split(',') {
        let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
        let value = |text: &str| {
            let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
            named.and_then(|at| u32::try_from(at).ok()).map(|at| at + least).or_else(|| text.parse().ok())
        };
        let (from, to) = match span.split_once('-') {
            Some((from, to)) => (value(from)?, value(to)?),
            None if matches!(span, "*" | "?") => (least, greatest),
            None => (value(span)?, if step.is_some() { greatest } else { value(span)? }),
        };
        let step = step.map_or(Some(1), |step| step.parse::<usize>().ok().filter(|step| *step > 0))?;
        if from < least || to > greatest || from > to {
            return None;
        }
        (from..=to).step_by(step).for_each(|value| all |= 1u64 << value);
    }
    Some(all)
}

/// Go's notation of spans, in whole seconds.
fn every(text: &str) -> Option<Schedule> {
    let mut seconds = 0.0;
    let mut number = String::new();
    let mut letters = text.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_ascii_digit() || letter == '.' {
            number.push(letter);
            continue;
        }
        let unit = match (letter, letters.peek()) {
            ('m', Some('s')) => {
                letters.next();
                0.001
            }
            ('h', _) => 3600.0,
            ('m', _) => 60.0,
            ('s', _) => 1.0,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        number.clear();
    }
    (seconds >= 0.001 && number.is_empty()).then(|| Schedule::Every(Duration::from_secs((seconds as u64).max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> Option<String> {
        let schedule = Schedule::parse(schedule).unwrap();
        schedule.next(after.parse().unwrap(), &TimeZone::UTC).map(|t| t.to_string())
    }

    #[test]
    fn times_by_the_clock() {
        assert_eq!(next("*/5 * * * *", "2026-01-01T00:05:00Z").unwrap(), "2026-01-01T00:10:00Z");
        assert_eq!(next("30 2 * * *", "2026-01-01T02:30:00Z").unwrap(), "2026-01-02T02:30:00Z");
        assert_eq!(next("0 0 29 feb *", "2026-01-01T00:00:00Z").unwrap(), "2028-02-29T00:00:00Z");
        assert_eq!(next("0 12 * * mon-fri/2", "2026-01-01T13:00:00Z").unwrap(), "2026-01-02T12:00:00Z");
        assert_eq!(next("0 0 31 2 *", "2026-01-01T00:00:00Z"), None);
        assert_eq!(next("@every 1h30m", "2026-01-01T00:00:00Z").unwrap(), "2026-01-01T01:30:00Z");
    }

    #[test]
    fn a_day_of_the_month_or_of_the_week_is_enough_if_both_are_bound() {
        // The first of the month, or any Monday: the 5th is one.
        assert_eq!(next("0 0 1 * mon", "2026-01-02T00:00:00Z").unwrap(), "2026-01-05T00:00:00Z");
    }

    #[test]
    fn what_is_malformed_is_no_schedule() {
        assert!(
            ["", "* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "@every x"]
                .iter()
                .all(|t| Schedule::parse(t).is_none())
        );
    }
}
