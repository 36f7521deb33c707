//! Indexes of a job's pods as text: `1,3-5,7`.

/// How many indexes there are; each is below `completions`, and they ascend.
///
/// # Errors
/// What is wrong with the text, in Kubernetes' words.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    Ok(intervals(text, completions)?.into_iter().map(|(first, end)| end - first + 1).sum())
}

/// The first and last index of each interval.
///
/// # Errors
/// What is wrong with the text, in Kubernetes' words.
pub(super) fn intervals(text: &str, completions: i64) -> Result<Vec<(i64, i64)>, String> {
    let mut found: Vec<(i64, i64)> = Vec::new();
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, end) = interval(part, completions)?;
        if let Some((_, last)) = found.last().filter(|(_, last)| *last >= first) {
            return Err(disorder(*last, first));
        }
        found.push((first, end));
    }
    Ok(found)
}

/// An index, or two with everything between them.
pub(super) fn interval(text: &str, completions: i64) -> Result<(i64, i64), String> {
    let limits: Vec<&str> = text.split('-').collect();
    if limits.len() > 2 {
        return Err(format!(
            "the fragment \"{text}\" violates the requirement that an index interval can have at most two parts separated by '-'"
        ));
    }
    let first = index(limits[0], completions)?;
    let Some(end) = limits.get(1) else { return Ok((first, first)) };
    let end = index(end, completions)?;
    if first >= end { Err(disorder(first, end)) } else { Ok((first, end)) }
}

fn disorder(last: i64, next: i64) -> String {
    format!("non-increasing order, previous: {last}, current: {next}")
}

fn index(text: &str, completions: i64) -> Result<i64, String> {
    let index: i64 = text.parse().map_err(|_| format!("cannot convert string to integer for index: \"{text}\""))?;
    if index >= completions { Err(format!("too large index: \"{text}\"")) } else { Ok(index) }
}

/// The first index that is in both, as far as they can be read.
pub(super) fn overlap(one: &str, other: &str, completions: i64) -> Option<i64> {
    let read = |text: &str| {
        let parts = text.split(',').filter_map(|part| interval(part, completions).ok());
        let mut intervals: Vec<(i64, i64)> = parts.collect();
        intervals.sort_unstable();
        intervals.into_iter().peekable()
    };
    let (mut ones, mut others) = (read(one), read(other));
    while let (Some((first, end)), Some((other_first, other_end))) = (ones.peek(), others.peek()) {
        let begin = *first.max(other_first);
        if begin <= *end.min(other_end) {
            return Some(begin);
        }
        // What ends first meets nothing that comes later.
        let passed = if end < other_end { &mut ones } else { &mut others };
        passed.next();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{count, overlap};

    #[test]
    fn intervals_ascend_below_the_completions() {
        assert_eq!(count("", 5), Ok(0));
        assert_eq!(count("0,2-4", 5), Ok(4));
        assert_eq!(count("5", 5), Err("too large index: \"5\"".into()));
        assert_eq!(count("3,2", 5), Err("non-increasing order, previous: 3, current: 2".into()));
        assert_eq!(count("x", 5), Err("cannot convert string to integer for index: \"x\"".into()));
        assert!(count("1-2-3", 5).is_err());
        assert_eq!(count("2-2", 5), Err("non-increasing order, previous: 2, current: 2".into()));
        assert_eq!((overlap("0,2-4", "1,3", 5), overlap("0", "1-2", 5)), (Some(3), None));
        assert_eq!((overlap("4,0-1,x", "3-4,1", 5), overlap("0,0-3", "2-4", 5)), (Some(1), Some(2)));
    }
}
