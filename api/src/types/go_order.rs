//! Objects as Go prints them: members in the order of the struct, maps by key, and what HTML could mistake escaped.

use serde_json::{Map, Value};

use super::{Element, Field, Shape, Special, Type};

/// An object of a type on one line.
#[must_use]
pub fn compact(of: &'static Type, value: &Value) -> String {
    let mut out = Printer { text: String::new(), indent: None };
    out.object(of, value);
    out.text
}

/// An object of a type on one line as a JSON or merge patch leaves it: its own members by name, what is in them as in the
/// struct, since a patch opens the object and, of what is in it, only what it changes.
#[must_use]
pub fn patched(of: &'static Type, value: &Value) -> String {
    let Value::Object(object) = value else { return compact(of, value) };
    let fields = in_order(of);
    let members = object.iter().map(|(name, value)| {
        let field = fields.iter().find(|field| field.json == *name).copied();
        (name.as_str(), field, value)
    });
    let mut out = Printer { text: String::new(), indent: None };
    out.members(members, Printer::member);
    out.text
}

/// An object of a type over several lines, indented by two spaces a level.
#[must_use]
pub fn pretty(of: &'static Type, value: &Value) -> String {
    let mut out = Printer { text: String::new(), indent: Some(0) };
    out.object(of, value);
    out.text
}

struct Printer {
    text: String,
    /// The depth; none on one line.
    indent: Option<usize>,
}

impl Printer {
    fn object(&mut self, of: &'static Type, value: &Value) {
        let plain = of.special.is_none();
        match value {
            Value::Object(members) if plain => {
                let ordered = ordered(of, members);
                self.members(ordered.into_iter(), Self::member);
            }
            value => self.any(value),
        }
    }

    fn member(&mut self, field: Option<&'static Field>, value: &Value) {
        match field {
            Some(field) => self.field(field, value),
            None => self.any(value),
        }
    }

    fn field(&mut self, field: &'static Field, value: &Value) {
        match (field.shape, value) {
            (Shape::List, Value::Array(list)) => self.list(list, |out, item| out.element(field, item)),
            (Shape::Map, Value::Object(map)) => {
                let members = map.iter().map(|(key, value)| (key.as_str(), Some(field), value));
                self.members(members, |out, _, value| out.element(field, value));
            }
            (_, value) => self.element(field, value),
        }
    }

    fn element(&mut self, field: &'static Field, value: &Value) {
        match (field.element, field.object()) {
            (Element::Object(_), Some(of)) if !matches!(of.special, Some(Special::RawExtension)) => {
                self.object(of, value)
            }
            _ => self.any(value),
        }
    }

    fn any(&mut self, value: &Value) {
        match value {
            Value::Object(map) => {
                let members = map.iter().map(|(key, value)| (key.as_str(), None, value));
                self.members(members, |out, _, value| out.any(value));
            }
            Value::Array(list) => self.list(list, Self::any),
            Value::String(text) => self.string(text),
            other => self.text.push_str(&other.to_string()),
        }
    }

    fn members<'v>(
        &mut self,
        members: impl Iterator<Item = (&'v str, Option<&'static Field>, &'v Value)>,
        write: impl Fn(&mut Self, Option<&'static Field>, &'v Value),
    ) {
        let mut members = members.peekable();
        if members.peek().is_none() {
            self.text.push_str("{}");
            return;
        }
        self.open('{');
        for (index, (name, field, value)) in members.enumerate() {
            self.next(index);
            self.string(name);
            self.text.push_str(if self.indent.is_some() { ": " } else { ":" });
            write(self, field, value);
        }
        self.close('}');
    }

    fn list(&mut self, list: &[Value], write: impl Fn(&mut Self, &Value)) {
        if list.is_empty() {
            self.text.push_str("[]");
            return;
        }
        self.open('[');
        for (index, item) in list.iter().enumerate() {
            self.next(index);
            write(self, item);
        }
        self.close(']');
    }

    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.indent = self.indent.map(|depth| depth + 1);
    }

    fn close(&mut self, bracket: char) {
        self.indent = self.indent.map(|depth| depth - 1);
        self.line();
        self.text.push(bracket);
    }

    fn next(&mut self, index: usize) {
        if index > 0 {
            self.text.push(',');
        }
        self.line();
    }

    fn line(&mut self) {
        if let Some(depth) = self.indent {
            self.text.push('\n');
            self.text.push_str(&"  ".repeat(depth));
        }
    }

    fn string(&mut self, text: &str) {
        let quoted = Value::from(text).to_string();
        let escaped = quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        self.text.push_str(&escaped.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"));
    }
}

/// The members in the struct's order; kind and version come first, and what the type does not know last.
fn ordered<'v>(
    of: &'static Type,
    members: &'v Map<String, Value>,
) -> Vec<(&'v str, Option<&'static Field>, &'v Value)> {
    let mut out = Vec::with_capacity(members.len());
    for name in ["kind", "apiVersion"] {
        if let Some((name, value)) = members.get_key_value(name).filter(|_| of.gvk.is_some()) {
            out.push((name.as_str(), None, value));
        }
    }
    for field in in_order(of) {
        if let Some((name, value)) = members.get_key_value(field.json).filter(|(name, _)| !has(&out, name)) {
            out.push((name.as_str(), Some(field), value));
        }
    }
    for (name, value) in members {
        if !has(&out, name) {
            out.push((name.as_str(), None, value));
        }
    }
    out
}

/// The fields of a struct with those of inlined ones where they are.
pub(crate) fn in_order(of: &'static Type) -> Vec<&'static Field> {
    let opened = of.fields.iter().map(|field| match field.object() {
        Some(inner) if field.inlined => in_order(inner),
        _ => vec![field],
    });
    opened.flatten().collect()
}

fn has(out: &[(&str, Option<&'static Field>, &Value)], name: &str) -> bool {
    out.iter().any(|(known, ..)| *known == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_come_as_in_the_struct() {
        let of = crate::types::by_name("io.k8s.api.core.v1.ConfigMap").unwrap();
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "<v>&"},
            "metadata": {"uid": "u", "name": "a", "managedFields": [{"time": "t", "manager": "m"}]}});
        assert_eq!(
            compact(of, &object),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","uid":"u","managedFields":[{"manager":"m","time":"t"}]},"data":{"k":"\u003cv\u003e\u0026"}}"#
        );
        assert_eq!(
            patched(of, &object),
            r#"{"apiVersion":"v1","data":{"k":"\u003cv\u003e\u0026"},"kind":"ConfigMap","metadata":{"name":"a","uid":"u","managedFields":[{"manager":"m","time":"t"}]}}"#
        );
        let shown = pretty(of, &json!({"kind": "ConfigMap", "metadata": {}}));
        assert_eq!(shown, "{\n  \"kind\": \"ConfigMap\",\n  \"metadata\": {}\n}");
    }
}
