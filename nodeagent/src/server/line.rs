//! Lines of CRI log files: `2026-01-02T03:04:05.000000006Z stdout F text`.

use jiff::Timestamp;

/// One record of a log file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub stamp: &'a str,
    pub time: Timestamp,
    /// The text ends here; else the next record of the stream goes on.
    pub full: bool,
    pub text: &'a [u8],
}

/// A record without its newline; none if it is not in the format.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    let mut parts = line.splitn(4, |b| *b == b' ');
    let stamp = std::str::from_utf8(parts.next()?).ok()?;
    let _stream = parts.next()?;
    let tags = parts.next()?;
    let text = parts.next().unwrap_or_default();
    let full = tags.split(|b| *b == b':').next() == Some(b"F");
    Some(Line { stamp, time: stamp.parse().ok()?, full, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_full_or_partial() {
        let line = parse(b"2026-01-02T03:04:05.000000006Z stdout F hello world").unwrap();
        assert_eq!((line.full, line.text), (true, &b"hello world"[..]));
        assert!(!parse(b"2026-01-02T03:04:05Z stderr P he").unwrap().full);
        assert_eq!(parse(b"2026-01-02T03:04:05Z stderr F ").unwrap().text, b"");
        assert!(parse(b"nonsense").is_none());
    }
}
