//! What Go's JSON decoder says of a text that is no JSON: Kubernetes passes it on.

/// Checks that a text is a JSON value.
///
/// # Errors
/// Go's words for the first fault.
pub(crate) fn check(text: &[u8]) -> Result<(), String> {
    let error = match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if error.is_eof() {
        return Err("unexpected end of JSON input".to_owned());
    }
    Err(literal(text).unwrap_or_else(|| other(text, &error)))
}

/// A word that begins like a literal and goes on otherwise.
fn literal(text: &[u8]) -> Option<String> {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let word = &text[start..];
    let expected = match word.first()? {
        b'n' => "null",
        b't' => "true",
        b'f' => "false",
        _ => return None,
    };
    let (at, want) = expected.bytes().enumerate().find(|(at, want)| word.get(*at) != Some(want))?;
    let found = char::from(*word.get(at)?);
    Some(format!("invalid character '{found}' in literal {expected} (expecting '{}')", char::from(want)))
}

fn other(text: &[u8], error: &serde_json::Error) -> String {
    let line: usize =
        text.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1)).map(|line| line.len() + 1).sum();
    let found = text.get(line + error.column().saturating_sub(1)).map_or('?', |byte| char::from(*byte));
    let wanted = if error.to_string().starts_with("key must be a string") { "object key string" } else { "value" };
    format!("invalid character '{found}' looking for beginning of {wanted}")
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn speaks_as_go_does() {
        assert_eq!(check(b"{}"), Ok(()));
        assert_eq!(check(b"[1"), Err("unexpected end of JSON input".to_owned()));
        assert_eq!(check(b"nojson"), Err("invalid character 'o' in literal null (expecting 'u')".to_owned()));
        assert_eq!(check(b"{bad"), Err("invalid character 'b' looking for beginning of object key string".to_owned()));
        assert_eq!(check(b"xyz"), Err("invalid character 'x' looking for beginning of value".to_owned()));
    }
}
