//! Indexes of a job's pods as text: `1,3-5,7`.

/// How many indexes there are; each is below `completions`, and they ascend.
///
/// # Errors
/// What is wrong with the text, in Kubernetes' words.
pub(super) fn count(text: &str, completions: i64) -> Result<i64, String> {
    let (mut total, mut last) = (0, None);
    for interval in text.split(',').filter(|_| !text.is_empty()) {
        let limits: Vec<&str> = interval.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment \"{interval}\" violates the requirement that an index interval can have at most two parts separated by '-'"
            ));
        }
        let first = after(limits[0], completions, last)?;
        let end = match limits.get(1) {
            Some(end) => after(end, completions, Some(first))?,
            None => first,
        };
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}

fn after(text: &str, completions: i64, last: Option<i64>) -> Result<i64, String> {
    let index: i64 = text.parse().map_err(|_| format!("cannot convert string to integer for index: \"{text}\""))?;
    if index >= completions {
        return Err(format!("too large index: \"{text}\""));
    }
    match last {
        Some(last) if last >= index => Err(format!("non-increasing order, previous: {last}, current: {index}")),
        _ => Ok(index),
    }
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn intervals_ascend_below_the_completions() {
        assert_eq!(count("", 5), Ok(0));
        assert_eq!(count("0,2-4", 5), Ok(4));
        assert_eq!(count("5", 5), Err("too large index: \"5\"".into()));
        assert_eq!(count("3,2", 5), Err("non-increasing order, previous: 3, current: 2".into()));
        assert_eq!(count("x", 5), Err("cannot convert string to integer for index: \"x\"".into()));
        assert!(count("1-2-3", 5).is_err());
    }
}
