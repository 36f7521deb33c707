//! What those who admit a request have to say of it to the audit log alone.

use std::collections::BTreeMap;

use mainstay_api::names;
use serde_json::{Map, Value};

use super::Level;

/// Bytes of a request's annotations at the most: webhooks and policies may say as much as they like.
const MOST_BYTES: usize = 256 << 10;

/// Annotations of a request's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes {
    all: BTreeMap<String, Note>,
    /// Of all keys and values.
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    value: String,
    /// Only events of this level or above show it.
    from: Level,
}

impl Notes {
    /// Adds one under `<domain>/<name>`; who has said something under a key first keeps it.
    pub(crate) fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.add_from(Level::Metadata, key, value);
    }

    /// Adds one that says something of the request's body, which only events of a level show that show the body.
    pub(crate) fn add_of_body(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.add_from(Level::Request, key, value);
    }

    fn add_from(&mut self, from: Level, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        if key.contains('/') && names::is_qualified_name(&key).is_empty() {
            self.put(key, Note { value: value.into(), from });
        } else {
            tracing::warn!(key, "an audit annotation is not named as it has to be");
        }
    }

    fn put(&mut self, key: String, note: Note) {
        let bytes = self.bytes + key.len() + note.value.len();
        if self.all.contains_key(&key) {
            return;
        }
        if bytes > MOST_BYTES {
            tracing::warn!(key, bytes, "an audit annotation is left out: there is too much already");
            return;
        }
        self.bytes = bytes;
        self.all.insert(key, note);
    }

    /// Adds what is noted elsewhere.
    pub(crate) fn join(&mut self, others: Notes) {
        for (key, note) in others.all {
            self.put(key, note);
        }
    }

    /// Whether nobody has said anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Writes them into the annotations of an event of a level, none of which they replace.
    pub(super) fn show(&self, level: Level, annotations: &mut Map<String, Value>) {
        for (key, note) in self.all.iter().filter(|(_, note)| note.from <= level) {
            annotations.entry(key.as_str()).or_insert_with(|| note.value.as_str().into());
        }
    }

    /// One of them.
    #[cfg(test)]
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.all.get(key).map(|note| note.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_word_counts() {
        let mut notes = Notes::default();
        notes.add("x/a", "1");
        let mut others = Notes::default();
        others.add("x/a", "2");
        others.add("x/b", "3");
        notes.join(others);
        assert_eq!((notes.get("x/a"), notes.get("x/b")), (Some("1"), Some("3")));
        let mut shown = Map::from_iter([("x/b".to_owned(), json!("0"))]);
        notes.show(Level::Metadata, &mut shown);
        assert_eq!(Value::Object(shown), json!({"x/a": "1", "x/b": "0"}));
    }

    #[test]
    fn what_is_said_of_the_body_is_shown_with_the_body() {
        let mut notes = Notes::default();
        notes.add("x/a", "1");
        notes.add_of_body("x/b", "2");
        let shown = |level: Level| {
            let mut shown = Map::new();
            notes.show(level, &mut shown);
            Value::Object(shown)
        };
        assert_eq!(shown(Level::Metadata), json!({"x/a": "1"}));
        assert_eq!(shown(Level::Request), json!({"x/a": "1", "x/b": "2"}));
        assert_eq!(shown(Level::RequestResponse), shown(Level::Request));
    }

    #[test]
    fn only_well_named_ones_are_kept() {
        let mut notes = Notes::default();
        for odd in ["a", "x/a/b", "x/", "X_/a", "x/-", ""] {
            notes.add(odd, "1");
        }
        assert!(notes.is_empty());
        notes.add("hook.example.com/Any_name.1", "1");
        assert!(!notes.is_empty());
    }

    #[test]
    fn there_is_an_end_to_them() {
        let mut notes = Notes::default();
        notes.add("x/a", "1".repeat(MOST_BYTES));
        assert!(notes.is_empty());
        notes.add("x/b", "1".repeat(MOST_BYTES - 3));
        notes.add("x/c", "1");
        assert!(notes.get("x/b").is_some() && notes.get("x/c").is_none());
    }
}
