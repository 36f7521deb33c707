//! Objects without `managedFields`, before they are decoded: as values they take several times the memory of the rest of an
//! object, and most of the time that decoding takes.

use std::borrow::Cow;

use memchr::memmem;

/// As the server writes it. Inside of a text its quotes would be escaped.
const FIELD: &[u8] = b"\"managedFields\":[";

/// The JSON without lists of managed fields, of the object and of what is embedded in it.
pub(crate) fn without_managed_fields(json: &[u8]) -> Cow<'_, [u8]> {
    let mut slim = Vec::new();
    let mut rest = json;
    while let Some((begin, end)) = memmem::find(rest, FIELD).and_then(|at| Some((at, end_of(rest, at)?))) {
        let (mut before, mut after) = (&rest[..begin], &rest[end..]);
        // One of the commas around it goes too.
        match (before.last(), after.first()) {
            (_, Some(b',')) => after = &after[1..],
            (Some(b','), _) => before = &before[..before.len() - 1],
            _ => {}
        }
        slim.extend_from_slice(before);
        rest = after;
    }
    if rest.len() == json.len() {
        return Cow::Borrowed(json);
    }
    slim.extend_from_slice(rest);
    Cow::Owned(slim)
}

/// Where the list ends whose field begins at `at`; `None` if it does not.
fn end_of(json: &[u8], at: usize) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (position, byte) in json.iter().enumerate().skip(at + FIELD.len() - 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(position + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slim(json: &str) -> String {
        String::from_utf8(without_managed_fields(json.as_bytes()).into_owned()).unwrap()
    }

    #[test]
    fn lists_of_managed_fields_go_and_nothing_else() {
        assert_eq!(slim(r#"{"a":1,"managedFields":[{"f":{"k:]\"":{}}},{}],"b":2}"#), r#"{"a":1,"b":2}"#);
        assert_eq!(slim(r#"{"a":1,"managedFields":[[]]}"#), r#"{"a":1}"#);
        assert_eq!(slim(r#"{"managedFields":[]}"#), "{}");
        assert_eq!(slim(r#"{"managedFields":[1],"x":{"managedFields":[2]},"b":2}"#), r#"{"x":{},"b":2}"#);
        for whole in
            [r#"{"a":"\"managedFields\":[1]"}"#, r#"{"managedFields":{"a":[]}}"#, r#"{"managedFields":["#, "{}"]
        {
            assert_eq!(slim(whole), whole);
        }
    }
}
