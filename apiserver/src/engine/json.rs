//! JSON as Go's decoder reads it: the last of duplicate keys counts and is reported, and syntax errors have its words.

use mainstay_api::status::{ApiResult, Status};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A parsed document and the paths of keys that occurred twice.
pub(crate) struct Parsed {
    pub value: Value,
    pub duplicates: Vec<String>,
}

/// Parses a document.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, String> {
    let mut duplicates = Vec::new();
    let value = read(bytes, &mut |path, again| {
        if again && duplicates.iter().all(|known| known != path) {
            duplicates.push(path.to_owned());
        }
    });
    value.map(|value| Parsed { value, duplicates }).map_err(|_| syntax_error(bytes))
}

/// Puts what is wrong with fields of a document (`unknown field "a.b"`) in the order in which it says them.
pub(crate) fn in_order(bytes: &[u8], problems: &mut [String]) {
    if problems.len() < 2 {
        return;
    }
    let mut said = Vec::new();
    let parsed = read(bytes, &mut |path, again| {
        said.push(format!("{} field \"{path}\"", if again { "duplicate" } else { "unknown" }));
    });
    if parsed.is_ok() {
        problems.sort_by_key(|problem| said.iter().position(|said| said == problem));
    }
}

fn read(bytes: &[u8], note: &mut dyn FnMut(&str, bool)) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { path: String::new(), note };
    seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value))
}

/// Parses a document of which duplicates do not matter.
///
/// # Errors
/// 400 in Go's words.
pub(crate) fn parse_plain(bytes: &[u8]) -> ApiResult<Value> {
    parse(bytes).map(|parsed| parsed.value).map_err(Status::bad_request)
}

struct Seed<'a> {
    path: String,
    /// Told of each key: its path, and whether its map has it already.
    note: &'a mut dyn FnMut(&str, bool),
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, items.len());
            let Some(item) = seq.next_element_seed(Seed { path, note: &mut *self.note })? else { break };
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            (self.note)(&path, members.contains_key(&key));
            let value = map.next_value_seed(Seed { path, note: &mut *self.note })?;
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

/// Why a document does not parse, in Go's words.
pub(crate) fn syntax_error(bytes: &[u8]) -> String {
    let mut scanner = Scanner { bytes, at: 0 };
    match scanner.document() {
        Err(error) => error,
        Ok(()) => "invalid JSON".to_owned(),
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Scan = Result<(), String>;

impl Scanner<'_> {
    fn document(&mut self) -> Scan {
        self.value()?;
        match self.peek() {
            None => Ok(()),
            Some(_) => self.odd("after top-level value"),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn odd(&self, context: &str) -> Scan {
        // Go looks at bytes, and shows each as the character of its number.
        match self.bytes.get(self.at) {
            None => Err("unexpected end of JSON input".into()),
            Some(byte) => Err(format!("invalid character {} {context}", go_char(char::from(*byte)))),
        }
    }

    fn value(&mut self) -> Scan {
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.odd("looking for beginning of value"),
        }
    }

    fn object(&mut self) -> Scan {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.odd("looking for beginning of object key string");
            }
            self.string()?;
            if self.peek() != Some(b':') {
                return self.odd("after object key");
            }
            self.at += 1;
            self.value()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return self.odd("after object key:value pair"),
            }
        }
        Ok(())
    }

    fn array(&mut self) -> Scan {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value()?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                _ => return self.odd("after array element"),
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Scan {
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => self.at += 2,
                Some(0..=0x1f) => return self.odd("in string literal"),
                Some(_) => self.at += 1,
                None => return Err("unexpected end of JSON input".into()),
            }
        }
        Ok(())
    }

    fn literal(&mut self, word: &str) -> Scan {
        for (index, expected) in word.bytes().enumerate() {
            if self.bytes.get(self.at) != Some(&expected) {
                return self
                    .odd(&format!("in literal {word} (expecting {})", go_char(char::from(word.as_bytes()[index]))));
            }
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Scan {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        {
            self.at += 1;
        }
        Ok(())
    }
}

/// A character as Go's scanner quotes it.
pub(crate) fn go_char(c: char) -> String {
    match c {
        '\'' => "'\\''".into(),
        '"' => "'\"'".into(),
        '\u{7}' => "'\\a'".into(),
        '\u{8}' => "'\\b'".into(),
        '\u{b}' => "'\\v'".into(),
        '\u{c}' => "'\\f'".into(),
        '\n' | '\r' | '\t' | '\\' => format!("'{}'", c.escape_default()),
        c if c.is_ascii_control() => format!("'\\x{:02x}'", u32::from(c)),
        c if c.is_control() || matches!(c, '\u{a0}' | '\u{ad}') => format!("'\\u{:04x}'", u32::from(c)),
        c => format!("'{c}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_with_their_paths() {
        let parsed = parse(br#"{"a":{"x":1,"x":2},"l":[{"k":1,"k":2}]}"#).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(parsed.duplicates, ["a.x", "l[0].k"]);
        assert_eq!(parsed.value["a"]["x"], 2);
    }

    #[test]
    fn problems_come_in_the_order_of_the_document() {
        let mut problems = ["duplicate field \"m.a\"", "unknown field \"b\"", "unknown field \"z\""].map(str::to_owned);
        in_order(br#"{"z":1,"m":{"a":1,"a":2},"b":1}"#, &mut problems);
        assert_eq!(problems, ["unknown field \"z\"", "duplicate field \"m.a\"", "unknown field \"b\""]);
    }

    #[test]
    fn errors_in_go_words() {
        assert_eq!(syntax_error(b"{"), "unexpected end of JSON input");
        assert_eq!(syntax_error(b"{'a':1}"), "invalid character '\\'' looking for beginning of object key string");
        assert_eq!(syntax_error(b"i"), "invalid character 'i' looking for beginning of value");
        assert_eq!(syntax_error(br#"{"a" 1}"#), "invalid character '1' after object key");
        assert_eq!(syntax_error(b"{} x"), "invalid character 'x' after top-level value");
    }
}
