//! Texts in quotes, and what stands between brackets, in the expressions of users.

/// Where the character is that closes what has been opened, outside of quotes and nested brackets.
pub(super) fn closing(text: &str, close: char) -> Option<usize> {
    let (mut quote, mut depth, mut escaped) = (None, 0_u32, false);
    for (position, character) in text.char_indices() {
        match (character, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            (_, Some(open)) if character == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(character),
            (_, None) if character == close && depth == 0 => return Some(position),
            ('[' | '(', None) => depth += 1,
            (']' | ')', None) => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// The text of a literal in quotes.
pub(super) fn quoted(text: &str) -> Option<String> {
    let open = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let inner = text.strip_prefix(open)?.strip_suffix(open)?;
    let mut out = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_quotes_or_brackets_closes_nothing() {
        assert_eq!(closing("a]b", ']'), Some(1));
        assert_eq!(closing("'a]' [b] (c]", ']'), None);
        assert_eq!(closing("'a]' [b]]", ']'), Some(8));
        assert_eq!(closing("\\]]", ']'), Some(2));
    }

    #[test]
    fn quotes_go_and_escapes_are_read() {
        assert_eq!(quoted(r#""a\n\"b""#).as_deref(), Some("a\n\"b"));
        assert_eq!(quoted("'a'").as_deref(), Some("a"));
        assert_eq!(quoted("a"), None);
        assert_eq!(quoted("'a"), None);
    }
}
