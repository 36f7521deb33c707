//! Validation of a value against a schema, in Kubernetes' words.

use serde_json::{Map, Value};

use super::{
    Elements, Structural, additional, flag, formats, is_embedded, is_int_or_string, is_type_field, items,
    limits::{self, Fault},
    properties, text,
};
use crate::field::{Error, ErrorList, Path, Shown, go_json};

/// Errors of one value after which no more are looked for: each may show as much as the schema has.
const MOST_ERRORS: usize = 10_000;

/// Checks values against a schema.
pub struct Validator<'s> {
    schema: &'s Structural,
    /// Where the value is in its object; messages name paths below it.
    prefix: String,
}

/// What is found on the way down.
struct Walk<'s> {
    schema: &'s Structural,
    prefix: &'s str,
    errors: ErrorList,
}

impl<'s> Validator<'s> {
    /// A validator of whole objects.
    #[must_use]
    pub fn new(schema: &'s Structural) -> Self {
        Self { schema, prefix: String::new() }
    }

    /// The same for a value that is a field of its object.
    #[must_use]
    pub fn at(mut self, field: &str) -> Self {
        field.clone_into(&mut self.prefix);
        self
    }

    /// The errors of a value; what is the same in `old` passes, whatever it is.
    #[must_use]
    pub fn errors(&self, value: &Value, of: &Value, old: Option<&Value>) -> ErrorList {
        let mut walk = Walk { schema: self.schema, prefix: &self.prefix, errors: ErrorList::new() };
        walk.value(value, of, "", old, true);
        walk.errors
    }
}

impl Walk<'_> {
    fn value(&mut self, value: &Value, of: &Value, name: &str, old: Option<&Value>, root: bool) {
        if old == Some(value) || self.errors.len() >= MOST_ERRORS {
            return;
        }
        self.kind(value, of, name);
        if value.is_null() {
            return self.options(value, of, name);
        }
        self.junctors(value, of, name, old);
        match value {
            Value::String(text) => self.text(text, of, name),
            Value::Number(_) => self.number(value, of, name),
            Value::Array(list) => self.list(list, of, name, old),
            _ => {}
        }
        self.options(value, of, name);
        if let Value::Object(map) = value {
            self.object(map, of, name, old, root);
        }
    }

    fn path(&self, name: &str) -> Path {
        match (self.prefix, name) {
            ("", "") => Path::nil(),
            ("", name) => Path::new(name),
            (prefix, "") => Path::new(prefix),
            (prefix, name) => Path::new(&format!("{prefix}.{name}")),
        }
    }

    fn invalid(&mut self, name: &str, value: impl Into<Value>, why: &str) {
        let error = Error::invalid(&self.path(name), value, format!("{name} in body {why}"));
        self.errors.push(error);
    }

    /// An error that Kubernetes ties to no field, but to the whole value.
    fn plain(&mut self, why: String) {
        self.errors.push(Error::invalid(&self.path(""), "", why));
    }

    fn kind(&mut self, value: &Value, of: &Value, name: &str) {
        if let Some((wanted, found)) = misfit(value, of) {
            let why = format!("{name} in body must be of type {wanted}: \"{found}\"");
            self.errors.push(Error::type_invalid(&self.path(name), found, why));
        }
    }

    fn text(&mut self, text: &str, of: &Value, name: &str) {
        self.length_and_pattern(text, of, name);
        let (kind, format) = (super::text(of, "type"), super::text(of, "format"));
        if !format.is_empty() && formats::is_known(kind, format) && !formats::fits(format, text) {
            let why = format!("{name} in body must be of type {format}: {}", crate::field::go_quote(text));
            self.errors.push(Error::type_invalid(&self.path(name), text, why));
        }
    }

    /// The first of these that does not fit.
    fn length_and_pattern(&mut self, text: &str, of: &Value, name: &str) {
        let length = text.chars().count() as u64;
        if let Some(most) = bound(of, "maxLength").filter(|most| length > *most) {
            self.errors.push(Error::too_long(&self.path(name), most.cast_signed()));
        } else if let Some(least) = bound(of, "minLength").filter(|least| length < *least) {
            self.invalid(name, text, &format!("should be at least {least} chars long"));
        } else if let Some(pattern) = of.get("pattern").and_then(Value::as_str).filter(|pattern| !pattern.is_empty()) {
            let matches = self.schema.patterns.get(pattern).is_some_and(|regex| regex.is_match(text));
            if !matches {
                self.invalid(name, text, &format!("should match '{pattern}'"));
            }
        }
    }

    fn number(&mut self, value: &Value, of: &Value, name: &str) {
        for fault in limits::faults(value, of) {
            match fault {
                Fault::Number(number, why) => self.invalid(name, number, &why),
                Fault::Format(what) => {
                    let format = match limits::format(of) {
                        "" => "(default format)".to_owned(),
                        known => format!("with format {known}"),
                    };
                    let kind = super::text(of, "type");
                    self.plain(format!("{what} value must be of type {kind} {format} in {name}"));
                }
            }
        }
    }

    fn list(&mut self, list: &[Value], of: &Value, name: &str, old: Option<&Value>) {
        if let Some(items) = items(of) {
            let before = Elements::of(of, old);
            for (index, item) in list.iter().enumerate() {
                self.value(item, items, &format!("{name}[{index}]"), before.like(item), false);
            }
        }
        let count = list.len() as u64;
        if let Some(least) = bound(of, "minItems").filter(|least| count < *least) {
            self.invalid(name, count, &format!("should have at least {least} items"));
        }
        if let Some(most) = bound(of, "maxItems").filter(|most| count > *most) {
            self.errors.push(Error::too_many(&self.path(name), count.cast_signed(), most.cast_signed()));
        }
    }

    /// One of the values that there are.
    fn options(&mut self, value: &Value, of: &Value, name: &str) {
        let Some(options) = of.get("enum").and_then(Value::as_array).filter(|options| !options.is_empty()) else {
            return;
        };
        let equal = |option: &&Value| *option == value || option.as_f64().is_some_and(|n| value.as_f64() == Some(n));
        if options.iter().any(|option| equal(&option)) || value.is_null() && flag(of, "nullable") {
            return;
        }
        let shown = |option: &Value| option.as_str().map_or_else(|| go_json(option), str::to_owned);
        let supported: Vec<String> = options.iter().map(shown).collect();
        let error = Error::not_supported(&self.path(name), value.clone(), &supported);
        self.errors.push(match value {
            Value::Object(_) | Value::Array(_) => Error { value: Shown::Value(value.clone()), ..error },
            _ => error,
        });
    }

    fn object(&mut self, map: &Map<String, Value>, of: &Value, name: &str, old: Option<&Value>, root: bool) {
        let count = map.len() as u64;
        if let Some(least) = bound(of, "minProperties").filter(|least| count < *least) {
            return self.invalid(name, count, &format!("should have at least {least} properties"));
        }
        if let Some(most) = bound(of, "maxProperties").filter(|most| count > *most) {
            let error = Error::too_many(&self.path(name), count.cast_signed(), most.cast_signed());
            return self.errors.push(error);
        }
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        let typed = root && self.prefix.is_empty() || is_embedded(of);
        for (key, value) in map {
            let declared = properties(of).and_then(|all| all.get(key));
            let schema = declared.or_else(|| additional(of).filter(|_| !(typed && is_type_field(key))));
            if let Some(schema) = schema {
                self.value(value, schema, &below(key), old.and_then(|old| old.get(key)), false);
            } else if of.get("additionalProperties") == Some(&Value::Bool(false)) {
                let why = format!("{name}.{key} in body is a forbidden property");
                self.errors.push(Error::invalid(&self.path(name), key.as_str(), why));
            }
        }
        for key in of.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !map.contains_key(key) {
                self.errors.push(Error::required(&self.path(&below(key)), ""));
            }
        }
    }

    /// The errors of a value by one schema of a junctor.
    fn alone(&self, value: &Value, of: &Value, name: &str, old: Option<&Value>) -> ErrorList {
        let mut walk = Walk { schema: self.schema, prefix: self.prefix, errors: ErrorList::new() };
        walk.value(value, of, name, old, false);
        walk.errors
    }

    fn junctors(&mut self, value: &Value, of: &Value, name: &str, old: Option<&Value>) {
        let each = |key: &str| -> Vec<ErrorList> {
            let list = of.get(key).and_then(Value::as_array).into_iter().flatten();
            list.map(|schema| self.alone(value, schema, name, old)).collect()
        };
        let (any, one, all) = (each("anyOf"), each("oneOf"), each("allOf"));
        let negated = of.get("not").map(|schema| self.alone(value, schema, name, old));
        if !any.is_empty() && any.iter().all(|errors| !errors.is_empty()) {
            self.plain(format!("\"{name}\" must validate at least one schema (anyOf)"));
            self.errors.extend(best(value, of, "anyOf", any));
        }
        let fitting = one.iter().filter(|errors| errors.is_empty()).count();
        if !one.is_empty() && fitting == 0 {
            self.plain(format!("\"{name}\" must validate one and only one schema (oneOf). Found none valid"));
            self.errors.extend(best(value, of, "oneOf", one));
        } else if fitting > 1 {
            let why =
                format!("\"{name}\" must validate one and only one schema (oneOf). Found {fitting} valid alternatives");
            self.plain(why);
        }
        let failed = all.iter().filter(|errors| !errors.is_empty()).count();
        if failed > 0 {
            let none = if failed == all.len() { ". None validated" } else { "" };
            self.errors.extend(all.into_iter().flatten());
            self.plain(format!("\"{name}\" must validate all the schemas (allOf){none}"));
        }
        if negated.is_some_and(|errors| errors.is_empty()) {
            self.plain(format!("\"{name}\" must not validate the schema (not)"));
        }
    }
}

fn bound(of: &Value, key: &str) -> Option<u64> {
    let value = of.get(key)?.as_i64()?;
    u64::try_from(value).ok()
}

/// The type or format that a value has not, and what it has instead.
fn misfit<'v>(value: &Value, of: &'v Value) -> Option<(&'v str, &'static str)> {
    let (wanted, found, format) = (text(of, "type"), kind_of(value), text(of, "format"));
    let fits = match (wanted, found) {
        _ if value.is_null() && flag(of, "nullable") => true,
        ("", _) if is_int_or_string(of) => matches!(found, "integer" | "string"),
        ("", _) | ("number", "integer") => true,
        (wanted, found) => wanted == found,
    };
    let checked = !format.is_empty() && !wanted.is_empty() && formats::is_known(wanted, format);
    match value {
        _ if fits => None,
        // A format is taken for the type, and then compared with the format that the value has by itself.
        Value::Bool(_) | Value::Object(_) if checked => Some((format, "")),
        Value::Number(_) if checked => Some((format, if found == "integer" { "int64" } else { "double" })),
        Value::String(_) | Value::Array(_) if checked && wanted == "string" => None,
        _ => Some((if wanted.is_empty() { "integer,string" } else { wanted }, found)),
    }
}

/// The errors by the schema of a junctor that has looked at most of the value.
fn best(value: &Value, of: &Value, junctor: &str, found: Vec<ErrorList>) -> ErrorList {
    let schemas = of.get(junctor).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut best = (0, ErrorList::new());
    for (schema, errors) in schemas.iter().zip(found) {
        let checks = checks(value, schema);
        if checks > best.0 {
            best = (checks, errors);
        }
    }
    best.1
}

/// How much of a value a schema looks at.
fn checks(value: &Value, of: &Value) -> usize {
    let schemas = |key: &str| of.get(key).and_then(Value::as_array).into_iter().flatten();
    let nested: usize = schemas("allOf").map(|of| checks(value, of)).sum();
    let tried: usize = ["anyOf", "oneOf"].iter().filter_map(|key| schemas(key).map(|of| checks(value, of)).max()).sum();
    let below: usize = match value {
        Value::Null => return 1,
        Value::Array(list) => items(of).map_or(0, |of| list.iter().map(|item| checks(item, of)).sum()),
        Value::Object(map) => {
            let properties = properties(of).into_iter().flatten();
            properties.filter_map(|(name, of)| map.get(name).map(|value| checks(value, of))).sum()
        }
        _ => 0,
    };
    1 + nested + tried + below
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.fract() != 0.0) => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
