use jiff::Timestamp;
use serde_json::Value;

/// How long ago a time was, `<unknown>` if it is unset.
#[must_use]
pub fn age(time: Option<&Value>, now: Timestamp) -> String {
    let time = time.and_then(Value::as_str).and_then(crate::time::read);
    time.map_or_else(|| "<unknown>".to_owned(), |time| duration(now.as_second() - time.as_second()))
}

/// Whole seconds as people read them: two units at most, the smaller only while it matters.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    let hours = minutes / 60;
    let days = hours / 24;
    let years = days / 365;
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(years, "y", days % 365, "d"),
        _ => format!("{years}y"),
    }
}

fn two(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}
