//! JSON as Go's decoder reads it: the last of duplicate keys counts and is reported, and syntax errors have its words.

mod fault;
mod mend;
pub(crate) mod places;

use std::collections::{HashMap, HashSet};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Maps and lists in one another at the most. Readers of answers go a little deeper, for objects are within lists,
/// tables, events and reviews there; one that is too deep for them would end all reading of its kind.
pub const DEEPEST: usize = 120;

/// What a text says, and the paths of keys that it says twice.
#[derive(Debug)]
pub struct Document {
    /// The value, with the last of duplicate keys.
    pub value: Value,
    /// Such as `a.b` or `l[0].k`, each once, and a hundred at the most.
    pub duplicates: Vec<String>,
}

/// Of what is wrong with the fields of a text, so much is told. Source: `saveStrictError` of sigs.k8s.io/json.
pub(crate) const MOST_TOLD: usize = 100;

/// Bytes of it after which no more is told: each path names all that is above, and who sends a text chooses how long
/// that is.
const BYTES_TOLD: usize = 1 << 20;

/// Whether one more thing that is wrong with a text is told.
pub(crate) fn tells_more(told: &[String]) -> bool {
    told.len() < MOST_TOLD && told.iter().map(String::len).sum::<usize>() < BYTES_TOLD
}

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// The text of Go's error.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        Self::read_with(bytes, last)
    }

    /// Reads a text as an object that has a Go type: what is said again of its maps and lists is read over what they hold
    /// already.
    ///
    /// # Errors
    /// The text of Go's error.
    pub fn read_typed(bytes: &[u8]) -> Result<Self, String> {
        Self::read_with(bytes, over)
    }

    fn read_with(bytes: &[u8], twice: Twice) -> Result<Self, String> {
        let read = |bytes: &[u8]| Self::read_strictly(bytes, twice);
        read(bytes).or_else(|error| again(bytes, &error, read))
    }

    fn read_strictly(bytes: &[u8], twice: Twice) -> Result<Self, serde_json::Error> {
        let (mut duplicates, mut marks) = (Vec::<String>::new(), HashSet::new());
        let value = read(bytes, twice, &mut |key| {
            if key.again && tells_more(&duplicates) && marks.insert(key.mark) {
                duplicates.push(key.path.to_owned());
            }
        });
        value.map(|value| Self { value, duplicates })
    }
}

/// Reads a text of which duplicates do not matter.
///
/// # Errors
/// The text of Go's error.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let read = |bytes: &[u8]| read(bytes, last, &mut |_| ());
    read(bytes).or_else(|error| again(bytes, &error, read))
}

/// Whether a value has no more than `room` maps and lists in one another. It is not said of one with more values than
/// `looks`, from which those that were looked at are taken.
pub(crate) fn fits(value: &Value, room: usize, looks: &mut usize) -> bool {
    let Some(left) = looks.checked_sub(1) else { return false };
    *looks = left;
    match value {
        Value::Array(list) => room > 0 && list.iter().all(|value| fits(value, room - 1, looks)),
        Value::Object(map) => room > 0 && map.values().all(|value| fits(value, room - 1, looks)),
        _ => true,
    }
}

/// What Go calls the JSON type of a value.
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The Go type that a value is read as where no other is told.
#[must_use]
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Puts what is wrong with fields of a text (`unknown field "a.b"`) in the order in which it says them, and leaves out
/// what comes after the first hundred.
pub fn in_order(bytes: &[u8], problems: &mut Vec<String>) {
    if problems.len() > 1 {
        let mut places: HashMap<(bool, u64), Option<usize>> =
            problems.iter().filter_map(|problem| Some((subject(problem)?, None))).collect();
        let mut count = 0_usize;
        let parsed = read(bytes, last, &mut |key| {
            count += 1;
            if let Some(place) = places.get_mut(&(key.again, key.mark)) {
                place.get_or_insert(count);
            }
        });
        if parsed.is_ok() {
            problems.sort_by_cached_key(|problem| places.get(&subject(problem)?).copied().flatten());
        }
    }
    problems.truncate(MOST_TOLD);
}

/// The key that a problem is about: whether it is there again, and the mark of its path.
fn subject(problem: &str) -> Option<(bool, u64)> {
    let (again, rest) = match problem.strip_prefix("duplicate field \"") {
        Some(rest) => (true, rest),
        None => (false, problem.strip_prefix("unknown field \"")?),
    };
    Some((again, marked(NO_PATH, rest.strip_suffix('"')?)))
}

/// What Go reads in a text that could not be read, or what is wrong with it. Some that Go reads is not: what it is
/// about has no words of Go's.
fn again<T>(
    bytes: &[u8],
    error: &serde_json::Error,
    read: impl Fn(&[u8]) -> Result<T, serde_json::Error>,
) -> Result<T, String> {
    match fault::of(bytes) {
        Some(fault) => Err(fault),
        None => read(mend::mended(bytes).as_bytes()).map_err(|_| error.to_string()),
    }
}

/// What the two values of a key come to.
type Twice = fn(Value, Value) -> Value;

fn last(_: Value, value: Value) -> Value {
    value
}

/// Go reads into what is there: members and elements that are not said again stay.
fn over(before: Value, value: Value) -> Value {
    match (before, value) {
        (Value::Object(mut members), Value::Object(said)) => {
            for (key, value) in said {
                let value = match members.remove(&key) {
                    Some(before) => over(before, value),
                    None => value,
                };
                members.insert(key, value);
            }
            Value::Object(members)
        }
        (Value::Array(items), Value::Array(said)) => {
            let mut items = items.into_iter();
            let said = said.into_iter().map(|value| match items.next() {
                Some(before) => over(before, value),
                None => value,
            });
            Value::Array(said.collect())
        }
        (_, value) => value,
    }
}

fn read(bytes: &[u8], twice: Twice, note: &mut dyn FnMut(&Key<'_>)) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let seed = Seed { path: &mut String::new(), mark: NO_PATH, room: DEEPEST, twice, note };
    seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value))
}

/// A key of a text.
struct Key<'k> {
    path: &'k str,
    /// Tells the path from others. A hostile text has many that are all long, so that to copy or compare them takes
    /// minutes.
    mark: u64,
    /// Whether its map has it already.
    again: bool,
}

/// The mark of the path of the text itself.
const NO_PATH: u64 = 0xcbf2_9ce4_8422_2325;

/// The mark of a path that goes on so (FNV-1a).
fn marked(mark: u64, more: &str) -> u64 {
    more.bytes().fold(mark, |mark, byte| (mark ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Seed<'a> {
    /// What is below adds to it, and takes that away again.
    path: &'a mut String,
    mark: u64,
    /// Maps and lists that there may be in one another.
    room: usize,
    twice: Twice,
    /// Told of each key.
    note: &'a mut dyn FnMut(&Key<'_>),
}

impl Seed<'_> {
    fn room_below<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.room.checked_sub(1).ok_or_else(|| E::custom("recursion limit exceeded"))
    }
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
        let room = self.room_below::<A::Error>()?;
        let mut items = Vec::new();
        let end = self.path.len();
        loop {
            let step = format!("[{}]", items.len());
            self.path.push_str(&step);
            let mark = marked(self.mark, &step);
            let below = Seed { path: &mut *self.path, mark, room, twice: self.twice, note: &mut *self.note };
            let Some(item) = seq.next_element_seed(below)? else { break };
            items.push(item);
            self.path.truncate(end);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let room = self.room_below::<A::Error>()?;
        let mut members = Map::new();
        let end = self.path.len();
        let dot = if end == 0 { "" } else { "." };
        let above = marked(self.mark, dot);
        while let Some(key) = map.next_key::<String>()? {
            self.path.push_str(dot);
            self.path.push_str(&key);
            let mark = marked(above, &key);
            let before = members.remove(&key);
            (self.note)(&Key { path: self.path.as_str(), mark, again: before.is_some() });
            let below = Seed { path: &mut *self.path, mark, room, twice: self.twice, note: &mut *self.note };
            let value = map.next_value_seed(below)?;
            let value = match before {
                Some(before) => (self.twice)(before, value),
                None => value,
            };
            members.insert(key, value);
            self.path.truncate(end);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_with_their_paths() {
        let document = Document::read(br#"{"a":{"x":1,"x":2},"l":[{"k":1,"k":2}]}"#).unwrap();
        assert_eq!(document.duplicates, ["a.x", "l[0].k"]);
        assert_eq!(document.value["a"]["x"], 2);
    }

    #[test]
    fn what_is_said_again_of_a_typed_object_is_read_over_it() {
        let text = br#"{"m":{"a":1,"l":[{"x":1,"y":1},{"x":2}]},"m":{"b":2,"l":[{"x":3}]},"s":1,"s":2}"#;
        let typed = Document::read_typed(text).unwrap();
        assert_eq!(typed.value, serde_json::json!({"m": {"a": 1, "b": 2, "l": [{"x": 3, "y": 1}]}, "s": 2}));
        assert_eq!(typed.duplicates, ["m", "s"]);
        let untyped = Document::read(text).unwrap();
        assert_eq!(untyped.value, serde_json::json!({"m": {"b": 2, "l": [{"x": 3}]}, "s": 2}));
    }

    #[test]
    fn problems_come_in_the_order_of_the_document() {
        let told = ["duplicate field \"m.a\"", "unknown field \"b\"", "unknown field \"z\""];
        let mut problems: Vec<String> = told.iter().map(|&problem| problem.to_owned()).collect();
        in_order(br#"{"z":1,"m":{"a":1,"a":2},"b":1}"#, &mut problems);
        assert_eq!(problems, ["unknown field \"z\"", "duplicate field \"m.a\"", "unknown field \"b\""]);
    }

    #[test]
    fn a_hundred_things_are_told() {
        let twice: Vec<String> = (0..150).map(|at| format!("\"k{at}\":1,\"k{at}\":2,\"k{at}\":3")).collect();
        let text = format!("{{\"z\":1,{}}}", twice.join(","));
        let document = Document::read(text.as_bytes()).unwrap();
        assert_eq!((document.duplicates.len(), document.duplicates[99].as_str()), (100, "k99"));
        let mut problems: Vec<String> =
            document.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
        problems.push("unknown field \"z\"".to_owned());
        in_order(text.as_bytes(), &mut problems);
        assert_eq!((problems.len(), problems[0].as_str()), (100, "unknown field \"z\""));
    }

    #[test]
    fn a_long_key_above_many_is_not_copied_for_each() {
        let inner: Vec<String> = (0..50_000).map(|at| format!("\"k{at}\":1,\"a\":2")).collect();
        let text = format!("{{\"{}\":[{{{}}}]}}", "x".repeat(1 << 20), inner.join(","));
        let document = Document::read(text.as_bytes()).unwrap();
        assert_eq!(document.duplicates.len(), 1);
        assert!(document.duplicates[0].ends_with("x[0].a"));
    }

    #[test]
    fn a_long_key_above_many_is_not_told_for_each() {
        let twice: Vec<String> = (0..100).map(|at| format!("\"k{at}\":1,\"k{at}\":2")).collect();
        let text = format!("{{\"{}\":{{{}}}}}", "x".repeat(1 << 18), twice.join(","));
        assert_eq!(Document::read(text.as_bytes()).unwrap().duplicates.len(), 4);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let error = "invalid character '\\'' looking for beginning of object key string";
        assert_eq!(parse(b"{'a':1}").unwrap_err(), error);
        assert_eq!(Document::read(b"{'a':1}").unwrap_err(), error);
        for depth in [DEEPEST + 1, 200] {
            let deep = "[".repeat(depth) + &"]".repeat(depth);
            assert!(parse(deep.as_bytes()).unwrap_err().starts_with("recursion limit exceeded"), "{depth}");
        }
        let deep = "[".repeat(DEEPEST) + &"]".repeat(DEEPEST);
        let value = parse(deep.as_bytes()).unwrap();
        assert!(fits(&value, DEEPEST, &mut 1_000) && !fits(&value, DEEPEST - 1, &mut 1_000));
        assert!(!fits(&value, DEEPEST, &mut 50));
    }
}
