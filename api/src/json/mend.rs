//! What Go reads and Rust does not: bytes that are no text, and halves of surrogate pairs.

/// The escape of the character that stands for what is none.
const REPLACEMENT: &str = "\\ufffd";

/// A text with the replacement character for whatever is no character in it.
pub(super) fn mended(bytes: &[u8]) -> String {
    let text = text(bytes);
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (written, length) = escaped(escape);
        out.push_str(written);
        rest = escape.get(length..).unwrap_or_default();
    }
    out + rest
}

/// The text of bytes. Go replaces each byte that is no text; Rust would replace the beginning of a character at once.
fn text(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}

/// How the escape that a text begins with is written, and its length.
fn escaped(text: &str) -> (&str, usize) {
    match (unit(text), text.get(6..).and_then(unit)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[..12], 12),
        (Some(0xd800..=0xdfff), _) => (REPLACEMENT, 6),
        (Some(_), _) => (&text[..6], 6),
        (None, _) => {
            let length: usize = text.chars().take(2).map(char::len_utf8).sum();
            (&text[..length], length)
        }
    }
}

/// The number of the escape `\u1234` that a text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let valid = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| valid)
}

#[cfg(test)]
mod tests {
    use super::mended;
    use crate::json::parse;

    #[test]
    fn halves_of_pairs_are_replaced() {
        let text =
            r#"{"a":"\ud800","b":"\ud83d\ude00","c":"x\udc00y","d":"\\ud800","e":"\u00e4","f":"\ud800\ud83d\ude00"}"#;
        let read = parse(text.as_bytes()).unwrap();
        let expected = [("a", "\u{fffd}"), ("b", "😀"), ("c", "x\u{fffd}y"), ("d", "\\ud800"), ("e", "ä")];
        for (key, value) in expected {
            assert_eq!(read[key], value);
        }
        assert_eq!(read["f"], "\u{fffd}😀");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(parse(b"{\"a\":\"x\xffy\"}").unwrap()["a"], "x\u{fffd}y");
        assert_eq!(parse(b"{\"a\":\"\xe2\x82\"}").unwrap()["a"], "\u{fffd}\u{fffd}");
    }

    #[test]
    fn whatever_else_stays() {
        for text in ["", "\\", "\\u", "\\u12", "a\\uzzzz\\", "\\ä", "\\u12ä4", "\\n\\\"x"] {
            assert_eq!(mended(text.as_bytes()), text);
        }
    }
}
