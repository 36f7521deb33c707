//! Where a text says what, and how.

use std::collections::HashMap;

use super::{NO_PATH, last, marked, read};

/// The mark of the key at a path (`a.b`, `l[0].k`); an item of a list has that of its list.
pub(crate) fn mark(path: &str) -> u64 {
    let mut key = path;
    while let Some((list, _)) = key.strip_suffix(']').and_then(|item| item.rsplit_once('[')) {
        key = list;
    }
    marked(NO_PATH, key)
}

/// Which of these marks a text has first, counted from 0.
pub(crate) fn first(bytes: &[u8], marks: impl Iterator<Item = u64>) -> Option<usize> {
    let mut places = HashMap::new();
    for (place, mark) in marks.enumerate() {
        places.entry(mark).or_insert(place);
    }
    let mut found = None;
    let parsed = read(bytes, last, &mut |key| {
        if found.is_none() {
            found = places.get(&key.mark).copied();
        }
    });
    parsed.ok().and(found)
}

/// How a text writes the first of its numbers that is this one.
pub(crate) fn as_written(bytes: &[u8], number: f64) -> Option<&str> {
    let mut rest = bytes;
    while let Some(byte) = rest.first() {
        let length = match byte {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => number_length(rest),
            _ => 1,
        };
        let (word, after) = rest.split_at(length);
        let text = std::str::from_utf8(word).ok().filter(|_| *byte != b'"');
        if text.is_some_and(|text| text.parse::<f64>().is_ok_and(|found| found.to_bits() == number.to_bits())) {
            return text;
        }
        rest = after;
    }
    None
}

/// Bytes of the string that a text begins with.
fn string_length(text: &[u8]) -> usize {
    let mut length = 1;
    while let Some(byte) = text.get(length) {
        match byte {
            b'"' => return length + 1,
            b'\\' => length += 2,
            _ => length += 1,
        }
    }
    text.len()
}

/// Bytes of the number that a text begins with.
fn number_length(text: &[u8]) -> usize {
    text.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).count()
}
