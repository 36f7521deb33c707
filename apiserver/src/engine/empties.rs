//! Empty lists, maps and texts of a request. The stored form leaves them out, but errors about them show them.

use mainstay_api::field::{ErrorList, Piece, Shown};
use serde_json::Value;

/// An object without all that is not empty. A list keeps its items' places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Empties(Value);

impl Empties {
    /// Those of an object.
    pub fn of(object: &Value) -> Self {
        Self(bare(object).unwrap_or_default())
    }

    /// Puts what the request had in place of nothing.
    pub fn show(&self, errors: &mut ErrorList) {
        for error in errors {
            match &mut error.value {
                Shown::Absent(at) => {
                    if let Some(shown) = self.at(at) {
                        error.value = Shown::Text(shown);
                    }
                }
                Shown::Pieces(pieces) => pieces.iter_mut().for_each(|piece| self.show_piece(piece)),
                _ => {}
            }
        }
    }

    fn show_piece(&self, piece: &mut Piece) {
        if let Piece::Absent(at) = piece
            && let Some(shown) = self.at(at)
        {
            *piece = Piece::Text(shown);
        }
    }

    /// What the request had at a path, as errors write paths.
    fn at(&self, place: &str) -> Option<String> {
        let pointer = format!("/{}", place.replace(['.', '['], "/").replace(']', ""));
        let found = self.0.pointer(&pointer)?;
        is_empty(found).then(|| found.to_string())
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn bare(value: &Value) -> Option<Value> {
    if is_empty(value) {
        return Some(value.clone());
    }
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter_map(|(name, inner)| bare(inner).map(|inner| (name.clone(), inner)));
            let kept: serde_json::Map<String, Value> = kept.collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(list) => {
            let kept: Vec<Option<Value>> = list.iter().map(bare).collect();
            let any = kept.iter().any(Option::is_some);
            any.then(|| kept.into_iter().map(Option::unwrap_or_default).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::field::{Error, Path};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_shows_what_the_request_had() {
        let empties = Empties::of(&json!({"spec": {"a": [{"x": 1}, {"b": {}, "x": "y"}], "c": [], "e": ""}}));
        let absent = |path: &str| Error {
            value: Shown::Absent(path.to_owned()),
            ..Error::invalid(&Path::new(path), Value::Null, "why")
        };
        let places = ["spec.a[1].b", "spec.c", "spec.d", "spec.e", "spec.a[0].x", "spec.a[0]", "spec.a"];
        let mut errors = places.map(absent).to_vec();
        empties.show(&mut errors);
        let bodies: Vec<String> = errors.iter().map(Error::body).collect();
        let shown =
            ["{}", "[]", "null", "\"\"", "null", "null", "null"].map(|shown| format!("Invalid value: {shown}: why"));
        assert_eq!(bodies, shown);
    }

    #[test]
    fn what_is_kept_is_no_more_than_the_object() {
        let long = "a".repeat(1 << 10);
        let many: serde_json::Map<String, Value> = (0..1000).map(|each| (format!("k{each}"), json!(""))).collect();
        let object = json!({long: many, "b": ["x", 1, null]});
        let kept = Empties::of(&object).0;
        assert!(kept.to_string().len() <= object.to_string().len());
        assert_eq!(kept.get("b"), None);
    }

    #[test]
    fn so_does_one_that_shows_it_deep_within() {
        let empties = Empties::of(&json!({"spec": {"a": [{"b": []}]}}));
        let text = |text: &str| Piece::Text(text.to_owned());
        let pieces = ["spec.a[0].b", "spec.c"].map(|path| Piece::Absent(path.to_owned()));
        let [there, missing] = pieces;
        let shown = Shown::Pieces(vec![text("{\"B\":"), there, text(",\"C\":"), missing, text("}")]);
        let mut errors = vec![Error { value: shown, ..Error::invalid(&Path::new("spec"), Value::Null, "why") }];
        empties.show(&mut errors);
        assert_eq!(errors[0].body(), r#"Invalid value: {"B":[],"C":null}: why"#);
    }
}
