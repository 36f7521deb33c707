//! `<<`, the key that stands for the members of other maps.

use serde_json::{Map, Value};

const KEY: &str = "<<";

/// Whether a text may have such keys. In quotes the key is one like any other.
pub(super) fn may_merge(text: &str) -> bool {
    text.match_indices(KEY).any(|(at, _)| !text[..at].ends_with(['"', '\'']))
}

/// Whether a key is such a one, as Go shows it.
pub(super) fn is_merge(shown: &str) -> bool {
    shown == "\"<<\""
}

/// Puts a member into a map, or what it stands for. What comes later wins, whether a map has it itself or by a merge,
/// but of the maps of one merge the first wins. Source: `mapping` and `merge` of go.yaml.in/yaml/v2.
///
/// What is no map stays a member: the key may have been in quotes.
pub(super) fn insert(map: &mut Map<String, Value>, key: String, value: Value) {
    match value {
        Value::Object(merged) if key == KEY => map.extend(merged),
        Value::Array(list) if key == KEY && list.iter().all(Value::is_object) => {
            for merged in list.into_iter().rev() {
                insert(map, KEY.to_owned(), merged);
            }
        }
        value => drop(map.insert(key, value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::yaml::{Duplicates, parse};

    fn read(text: &str) -> serde_json::Value {
        parse(text, Duplicates::LastWins).unwrap()
    }

    fn repeated(text: &str) -> Vec<String> {
        let told = parse(text, Duplicates::Refuse).map_or_else(|error| error.to_string(), |_| String::new());
        told.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn what_comes_later_wins() {
        let base = "b: &b {a: 1, c: 2}\n";
        assert_eq!(read(&format!("{base}x:\n  <<: *b\n  a: 3\n"))["x"], json!({"a": 3, "c": 2}));
        assert_eq!(read(&format!("{base}x:\n  a: 3\n  <<: *b\n"))["x"], json!({"a": 1, "c": 2}));
        assert_eq!(read("x:\n  <<: [{a: 1}, {a: 2, b: 2}]\n")["x"], json!({"a": 1, "b": 2}));
        assert_eq!(read("x: {'<<': {a: 1}, z: 1}\n")["x"], json!({"<<": {"a": 1}, "z": 1}));
        assert_eq!(read("x: {\"<<\": 1, z: 'cat <<EOF'}\n")["x"], json!({"<<": 1, "z": "cat <<EOF"}));
    }

    #[test]
    fn what_a_merge_repeats_is_told() {
        let base = "b: &b\n  a: 1\n  c: 2\n";
        assert_eq!(repeated(&format!("{base}x:\n  <<: *b\n  a: 3\n")), ["line 6: key \"a\" already set in map"]);
        assert_eq!(repeated(&format!("{base}x:\n  a: 3\n  <<: *b\n")), ["line 2: key \"a\" already set in map"]);
        assert!(repeated(&format!("{base}x:\n  <<: *b\n  d: 3\n")).is_empty());
        assert!(repeated("x:\n  y: 'cat <<EOF'\n").is_empty());
    }
}
