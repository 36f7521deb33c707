//! Why a text is no JSON, in the words of Go's decoder.

use std::ops::Range;

use crate::field::go_quote;

/// Go reads nothing that is nested deeper. Source: `maxNestingDepth` of encoding/json.
const DEEPEST: usize = 10_000;

/// The first fault of a text, or else the first number that is too large for any; `None` if there is neither.
pub(super) fn of(bytes: &[u8]) -> Option<String> {
    let mut scanner = Scanner { bytes, at: 0, within: Vec::new(), too_large: None };
    let fault = scanner.document().err();
    let number = || scanner.too_large.map(|number| std::str::from_utf8(&bytes[number]).unwrap_or_default());
    fault.or_else(|| Some(format!("json: cannot unmarshal number {} into Go value of type float64", number()?)))
}

/// A character as Go's decoder quotes it.
fn go_char(c: char) -> String {
    match c {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        c => format!("'{}'", go_quote(&c.to_string()).trim_matches('"')),
    }
}

/// Goes through a text without a call for each level of it: whoever sends it chooses how deep it is.
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What ends the objects and arrays that have begun.
    within: Vec<u8>,
    /// Where the first number is that is beyond all floats.
    too_large: Option<Range<usize>>,
}

type Scan<T = ()> = Result<T, String>;

impl Scanner<'_> {
    fn document(&mut self) -> Scan {
        loop {
            if self.begin()? && self.go_on()? {
                return Ok(());
            }
        }
    }

    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.byte()
    }

    /// Go looks at bytes, and shows each as the character of its number.
    fn odd<T>(&self, context: &str) -> Scan<T> {
        Err(match self.byte() {
            None => "unexpected end of JSON input".to_owned(),
            Some(byte) => format!("invalid character {} {context}", go_char(char::from(byte))),
        })
    }

    /// As [`Self::odd`] within a word: Go takes the end of the text for a space, which breaks the word.
    fn broken<T>(&self, context: &str) -> Scan<T> {
        let byte = self.byte().unwrap_or(b' ');
        Err(format!("invalid character {} {context}", go_char(char::from(byte))))
    }

    /// Reads a value up to the first that is within it. Whether there is none, and so all of the value is read.
    fn begin(&mut self) -> Scan<bool> {
        let whole = match self.next() {
            Some(b'{') => return self.open(b'}'),
            Some(b'[') => return self.open(b']'),
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.odd("looking for beginning of value"),
        };
        whole.map(|()| true)
    }

    /// Reads from a value's end to the next value. Whether there is none.
    fn go_on(&mut self) -> Scan<bool> {
        loop {
            match (self.next(), self.within.last().copied()) {
                (None, None) => return Ok(true),
                (Some(_), None) => return self.odd("after top-level value"),
                (Some(b','), Some(end)) => return self.member(end).map(|()| false),
                (Some(byte), Some(end)) if byte == end => self.close(),
                (_, Some(b'}')) => return self.odd("after object key:value pair"),
                (_, Some(_)) => return self.odd("after array element"),
            }
        }
    }

    fn open(&mut self, end: u8) -> Scan<bool> {
        if self.within.len() == DEEPEST {
            return self.odd("exceeded max depth");
        }
        self.within.push(end);
        self.at += 1;
        let is_empty = self.next() == Some(end);
        if is_empty {
            self.close();
        } else if end == b'}' {
            self.key()?;
        }
        Ok(is_empty)
    }

    fn close(&mut self) {
        self.at += 1;
        self.within.pop();
    }

    /// Passes over a comma, and in an object over the key behind it.
    fn member(&mut self, end: u8) -> Scan {
        self.at += 1;
        if end == b'}' { self.key() } else { Ok(()) }
    }

    fn key(&mut self) -> Scan {
        if self.next() != Some(b'"') {
            return self.odd("looking for beginning of object key string");
        }
        self.string()?;
        if self.next() != Some(b':') {
            return self.odd("after object key");
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                None | Some(..0x20) => return self.odd("in string literal"),
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Scan {
        self.at += 1;
        match self.byte() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.byte().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.broken("in \\u hexadecimal character escape");
                    }
                    self.at += 1;
                }
            }
            _ => return self.broken("in string escape code"),
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Scan {
        for expected in word.bytes() {
            if self.byte() != Some(expected) {
                return self.broken(&format!("in literal {word} (expecting '{}')", char::from(expected)));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scan {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        if self.too_large.is_none() && self.is_too_large(start) {
            self.too_large = Some(start..self.at);
        }
        Ok(())
    }

    /// Whether the number that was just read from there on is beyond all floats.
    fn is_too_large(&self, start: usize) -> bool {
        let number = std::str::from_utf8(&self.bytes[start..self.at]).unwrap_or_default();
        number.parse::<f64>().is_ok_and(f64::is_infinite)
    }

    fn digits(&mut self, context: &str) -> Scan {
        if !self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            return self.broken(context);
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        of(text.as_bytes()).unwrap_or_default()
    }

    #[test]
    fn errors_in_go_words() {
        assert_eq!(told("{"), "unexpected end of JSON input");
        assert_eq!(told("{'a':1}"), "invalid character '\\'' looking for beginning of object key string");
        assert_eq!(told("{bad"), "invalid character 'b' looking for beginning of object key string");
        assert_eq!(told("[1"), "unexpected end of JSON input");
        assert_eq!(told("i"), "invalid character 'i' looking for beginning of value");
        assert_eq!(told(r#"{"a" 1}"#), "invalid character '1' after object key");
        assert_eq!(told(r#"{"a":1 "b":2}"#), "invalid character '\"' after object key:value pair");
        assert_eq!(told("[1}"), "invalid character '}' after array element");
        assert_eq!(told("[1,]"), "invalid character ']' looking for beginning of value");
        assert_eq!(told("{} x"), "invalid character 'x' after top-level value");
        assert_eq!(told("nil"), "invalid character 'i' in literal null (expecting 'u')");
        assert_eq!(told("[-x]"), "invalid character 'x' in numeric literal");
        assert_eq!(told("[-"), "invalid character ' ' in numeric literal");
        assert_eq!(told("[tru"), "invalid character ' ' in literal true (expecting 'e')");
        assert_eq!(told("\"\\"), "invalid character ' ' in string escape code");
        assert_eq!(told("\"x"), "unexpected end of JSON input");
        assert_eq!(told("[1, 1E400, 2e999]"), "json: cannot unmarshal number 1E400 into Go value of type float64");
        assert_eq!(told("[1E400,]"), "invalid character ']' looking for beginning of value");
        assert_eq!(told("\"a\nb\""), "invalid character '\\n' in string literal");
        assert_eq!(told("\u{e9}"), "invalid character 'Ã' looking for beginning of value");
    }

    #[test]
    fn what_is_well_formed_has_no_fault() {
        for text in ["{}", " [ ] ", r#"{"a":[1,{"b":[]},-0.5e+3],"c":{"d":null}}"#, r#""\u00e9\n""#, "0"] {
            assert_eq!(told(text), "", "{text}");
        }
    }

    #[test]
    fn a_text_may_be_as_deep_as_it_is_long() {
        assert_eq!(told(&"[".repeat(3 << 20)), "invalid character '[' exceeded max depth");
        assert_eq!(told(&r#"{"a":"#.repeat(3 << 18)), "invalid character '{' exceeded max depth");
        assert_eq!(told(&("[".repeat(DEEPEST) + &"]".repeat(DEEPEST))), "");
    }

    #[test]
    fn characters_are_quoted_as_go_does() {
        let shown = ['a', '\'', '"', '\\', '\n', '\u{1}', '\u{a0}'].map(go_char);
        assert_eq!(shown, ["'a'", "'\\''", "'\"'", "'\\\\'", "'\\n'", "'\\x01'", "'\\u00a0'"]);
    }
}
