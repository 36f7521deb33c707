//! Empty lists and maps of a request. The stored form leaves them out, but errors about them show them.

use mainstay_api::field::{ErrorList, Shown};
use serde_json::Value;

/// The paths of empty lists and maps, as errors write paths.
#[derive(Clone, Debug, Default)]
pub(crate) struct Empties(Vec<(String, &'static str)>);

impl Empties {
    /// Those of an object.
    pub fn of(object: &Value) -> Self {
        let mut found = Self::default();
        found.walk(object, &mut Vec::new());
        found
    }

    fn walk<'a>(&mut self, value: &'a Value, path: &mut Vec<Step<'a>>) {
        match value {
            Value::Object(map) if map.is_empty() => self.0.push((written(path), "{}")),
            Value::Array(list) if list.is_empty() => self.0.push((written(path), "[]")),
            Value::Object(map) => {
                for (name, inner) in map {
                    path.push(Step::Field(name));
                    self.walk(inner, path);
                    path.pop();
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.walk(inner, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// Puts what the request had in place of nothing.
    pub fn show(&self, errors: &mut ErrorList) {
        for error in errors {
            let Shown::Absent(at) = &error.value else { continue };
            if let Some((_, shown)) = self.0.iter().find(|(path, _)| path == at) {
                error.value = Shown::Text((*shown).to_owned());
            }
        }
    }
}

enum Step<'a> {
    Field(&'a str),
    Index(usize),
}

fn written(path: &[Step<'_>]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Field(name) if out.is_empty() => out.push_str(name),
            Step::Field(name) => {
                out.push('.');
                out.push_str(name);
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use mainstay_api::field::{Error, Path};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_shows_what_the_request_had() {
        let empties = Empties::of(&json!({"spec": {"a": [{"b": {}}], "c": []}}));
        let absent = |path: &str| Error {
            value: Shown::Absent(path.to_owned()),
            ..Error::invalid(&Path::new(path), Value::Null, "why")
        };
        let mut errors = vec![absent("spec.a[0].b"), absent("spec.c"), absent("spec.d")];
        empties.show(&mut errors);
        let bodies: Vec<String> = errors.iter().map(Error::body).collect();
        assert_eq!(bodies, ["Invalid value: {}: why", "Invalid value: []: why", "Invalid value: null: why"]);
    }
}
