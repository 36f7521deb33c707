//! Cron schedules, with the words of the parser that Kubernetes uses.

use crate::strategy::validate::{At, Errors};

/// Field by field: name, least, greatest, names of values.
const FIELDS: [(u64, u64, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
];
const DESCRIPTORS: &[&str] = &["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// A schedule of five fields or a descriptor.
pub(crate) fn schedule(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if let Err(why) = in_zone(at.str()).and_then(parse) {
        errors.invalid(at, why);
    }
    if at.str().contains("TZ") {
        errors.invalid(at, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    }
}

/// A schedule without the time zone that it may begin with.
fn in_zone(text: &str) -> Result<&str, String> {
    let Some(rest) = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) else { return Ok(text) };
    let (zone, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match zone_fault(zone) {
        Some(fault) => Err(format!("provided bad location {zone}: {fault}")),
        None => Ok(rest.trim()),
    }
}

fn parse(text: &str) -> Result<(), String> {
    if text.starts_with('@') {
        return match text.strip_prefix("@every ") {
            Some(often) => {
                let failed = |why| format!("failed to parse duration {text}: {why}");
                mainstay_api::numbers::go_duration(often).map(drop).map_err(failed)
            }
            None if DESCRIPTORS.contains(&text) => Ok(()),
            None => Err(format!("unrecognized descriptor: {text}")),
        };
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (min, max, names)) in fields.iter().zip(FIELDS) {
        for part in field.split(',').filter(|part| !part.is_empty()) {
            range(part, min, max, names)?;
        }
    }
    Ok(())
}

fn range(part: &str, min: u64, max: u64, names: &[&str]) -> Result<(), String> {
    let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
    let (start, mut end) = limits(part, span, min, max, names)?;
    let step = match step {
        Some(rest) if rest.contains('/') => return Err(format!("too many slashes: {part}")),
        Some(step) => number(step)?,
        None => 1,
    };
    // One value with a step begins a range.
    if span != part && !span.contains('-') {
        end = max;
    }
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {part}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {part}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {part}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {part}"));
    }
    Ok(())
}

/// The first and the last value of what stands before a step; of a star nothing else counts.
fn limits(part: &str, span: &str, min: u64, max: u64, names: &[&str]) -> Result<(u64, u64), String> {
    let (start, end) = span.split_once('-').map_or((span, None), |(start, end)| (start, Some(end)));
    if matches!(start, "*" | "?") {
        return Ok((min, max));
    }
    let first = value(start, min, names)?;
    match end {
        None => Ok((first, first)),
        Some(rest) if rest.contains('-') => Err(format!("too many hyphens: {part}")),
        Some(end) => Ok((first, value(end, min, names)?)),
    }
}

fn value(text: &str, min: u64, names: &[&str]) -> Result<u64, String> {
    let named = names.iter().position(|name| text.eq_ignore_ascii_case(name));
    match named.and_then(|index| u64::try_from(index).ok()) {
        Some(index) => Ok(index + min),
        None => number(text),
    }
}

fn number(text: &str) -> Result<u64, String> {
    let parsed: Result<i64, _> = text.parse();
    match parsed {
        Ok(number) => u64::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}")),
        Err(error) => {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            let is_large = matches!(error.kind(), PosOverflow | NegOverflow);
            let why = if is_large { "value out of range" } else { "invalid syntax" };
            Err(format!("failed to parse int from {text}: strconv.Atoi: parsing \"{text}\": {why}"))
        }
    }
}

/// The name of a time zone.
pub(crate) fn time_zone(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.invalid(at, "timeZone must be nil or non-empty string");
        return;
    }
    if at.str().eq_ignore_ascii_case("local") {
        errors.invalid(at, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
    }
    if let Some(fault) = zone_fault(at.str()) {
        errors.invalid(at, fault);
    }
}

/// What is wrong with the name of a zone, in Go's words. Zones are files to Kubernetes, so capitals matter, and no name may
/// lead elsewhere.
fn zone_fault(name: &str) -> Option<String> {
    if matches!(name, "" | "Local" | "UTC") {
        return None;
    }
    if name.contains("..") || name.starts_with(['/', '\\']) {
        return Some("time: invalid location name".to_owned());
    }
    let otherwise = |found: &str| found.eq_ignore_ascii_case(name) && found != name;
    let is_zone = jiff::tz::TimeZone::get(name).is_ok_and(|zone| !zone.iana_name().is_some_and(otherwise));
    (!is_zone).then(|| format!("unknown time zone {name}"))
}

#[cfg(test)]
mod tests {
    use super::{in_zone, parse, zone_fault};

    #[test]
    fn words_of_the_parser() {
        let cases = [
            ("*/5 * * * *", Ok(())),
            ("0 0 1,15 jan-mar mon", Ok(())),
            ("@daily", Ok(())),
            ("nope", Err("expected exactly 5 fields, found 1: [nope]")),
            ("60 * * * *", Err("end of range (60) above maximum (59): 60")),
            ("* * 0 * *", Err("beginning of range (0) below minimum (1): 0")),
            ("x * * * *", Err("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax")),
            ("@never", Err("unrecognized descriptor: @never")),
            ("x/y * * * *", Err("failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax")),
            ("-5 * * * *", Err("failed to parse int from : strconv.Atoi: parsing \"\": invalid syntax")),
            ("1-2-3/4/5 * * * *", Err("too many hyphens: 1-2-3/4/5")),
            ("1-2/4/5 * * * *", Err("too many slashes: 1-2/4/5")),
            ("*/0 * * * *", Err("step of range should be a positive number: */0")),
            ("70/5 * * * *", Err("beginning of range (70) beyond end of range (59): 70/5")),
            ("5000000000 * * * *", Err("end of range (5000000000) above maximum (59): 5000000000")),
            (
                "9223372036854775808 * * * *",
                Err(
                    "failed to parse int from 9223372036854775808: strconv.Atoi: parsing \"9223372036854775808\": value out of range",
                ),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn names_of_zones_lead_nowhere_else() {
        for name in ["", "UTC", "Europe/Berlin"] {
            assert_eq!(zone_fault(name), None, "{name}");
        }
        for name in ["../UTC", "/UTC", "\\UTC", "Europe/..", "a..b"] {
            assert_eq!(zone_fault(name).unwrap(), "time: invalid location name", "{name}");
        }
        for name in ["utc", "europe/Berlin", "Mars/Phobos"] {
            assert_eq!(zone_fault(name).unwrap(), format!("unknown time zone {name}"));
        }
        assert_eq!(in_zone("TZ= * * * * *"), Ok("* * * * *"));
        let elsewhere = in_zone("CRON_TZ=/UTC * * * * *").unwrap_err();
        assert_eq!(elsewhere, "provided bad location /UTC: time: invalid location name");
    }
}
