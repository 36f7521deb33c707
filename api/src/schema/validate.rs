//! Validation of a value against a schema, in Kubernetes' words.

use serde_json::{Map, Value};

use super::{
    Structural, additional, any_additional, flag, formats, is_embedded, is_int_or_string, is_type_field, items,
    properties, same_item, text,
};
use crate::field::{Error, ErrorList, Path, Shown, go_value};

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
        if old == Some(value) {
            return;
        }
        self.kind(value, of, name);
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

    /// An error that Kubernetes does not tie to a field.
    fn plain(&mut self, why: String) {
        self.errors.push(Error::invalid(&Path::nil(), "", why));
    }

    fn kind(&mut self, value: &Value, of: &Value, name: &str) {
        let wanted = text(of, "type");
        let found = kind_of(value);
        let fits = match (wanted, found) {
            _ if value.is_null() && flag(of, "nullable") => true,
            ("", _) if is_int_or_string(of) => matches!(found, "integer" | "string"),
            ("", _) | ("number", "integer") => true,
            (wanted, found) => wanted == found,
        };
        if !fits {
            let wanted = if wanted.is_empty() { "integer,string" } else { wanted };
            let why = format!("{name} in body must be of type {wanted}: \"{found}\"");
            self.errors.push(Error::type_invalid(&self.path(name), found, why));
        }
    }

    fn text(&mut self, text: &str, of: &Value, name: &str) {
        let length = text.chars().count() as u64;
        if let Some(most) = bound(of, "maxLength").filter(|most| length > *most) {
            self.errors.push(Error::too_long(&self.path(name), most.cast_signed()));
        }
        if let Some(least) = bound(of, "minLength").filter(|least| length < *least) {
            self.invalid(name, text, &format!("should be at least {least} chars long"));
        }
        if let Some(pattern) = of.get("pattern").and_then(Value::as_str) {
            let matches = self.schema.patterns.get(pattern).is_some_and(|regex| regex.is_match(text));
            if !matches {
                self.invalid(name, text, &format!("should match '{pattern}'"));
            }
        }
        let format = super::text(of, "format");
        if !format.is_empty() && !formats::fits(format, text) {
            let why = format!("{name} in body must be of type {format}: {}", crate::field::go_quote(text));
            self.errors.push(Error::type_invalid(&self.path(name), text, why));
        }
    }

    fn number(&mut self, value: &Value, of: &Value, name: &str) {
        let number = value.as_f64().unwrap_or_default();
        let format = super::text(of, "format");
        if !formats::in_range(format, value) {
            let kind = super::text(of, "type");
            let place = if self.prefix.is_empty() { name.to_owned() } else { self.path(name).to_string() };
            self.plain(format!("Checked value must be of type {kind} with format {format} in {place}"));
        }
        let limit = |key: &str| of.get(key).and_then(Value::as_f64).zip(of.get(key));
        if let Some((factor, shown)) = limit("multipleOf")
            && factor > 0.0
            && (number / factor).fract() != 0.0
        {
            self.invalid(name, value.clone(), &format!("should be a multiple of {}", go_value(shown)));
        }
        if let Some((most, shown)) = limit("maximum") {
            let shown = go_value(shown);
            match flag(of, "exclusiveMaximum") {
                true if number >= most => self.invalid(name, value.clone(), &format!("should be less than {shown}")),
                false if number > most => {
                    self.invalid(name, value.clone(), &format!("should be less than or equal to {shown}"));
                }
                _ => {}
            }
        }
        if let Some((least, shown)) = limit("minimum") {
            let shown = go_value(shown);
            match flag(of, "exclusiveMinimum") {
                true if number <= least => {
                    self.invalid(name, value.clone(), &format!("should be greater than {shown}"))
                }
                false if number < least => {
                    self.invalid(name, value.clone(), &format!("should be greater than or equal to {shown}"));
                }
                _ => {}
            }
        }
    }

    fn list(&mut self, list: &[Value], of: &Value, name: &str, old: Option<&Value>) {
        if let Some(items) = items(of) {
            for (index, item) in list.iter().enumerate() {
                let before = same_item(of, item, old);
                self.value(item, items, &format!("{name}[{index}]"), before, false);
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
        let supported: Vec<String> = options.iter().map(go_value).collect();
        let error = Error::not_supported(&self.path(name), value.clone(), &supported);
        self.errors.push(match value {
            Value::Object(_) | Value::Array(_) => Error { value: Shown::Value(value.clone()), ..error },
            _ => error,
        });
    }

    fn object(&mut self, map: &Map<String, Value>, of: &Value, name: &str, old: Option<&Value>, root: bool) {
        let count = map.len() as u64;
        if let Some(least) = bound(of, "minProperties").filter(|least| count < *least) {
            self.invalid(name, count, &format!("should have at least {least} properties"));
        }
        if let Some(most) = bound(of, "maxProperties").filter(|most| count > *most) {
            self.errors.push(Error::too_many(&self.path(name), count.cast_signed(), most.cast_signed()));
        }
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        let typed = root && self.prefix.is_empty() || is_embedded(of);
        for (key, value) in map {
            let declared = properties(of).and_then(|all| all.get(key));
            let schema = declared.or_else(|| additional(of).filter(|_| !(typed && is_type_field(key))));
            if let Some(schema) = schema {
                self.value(value, schema, &below(key), old.and_then(|old| old.get(key)), false);
            } else if of.get("additionalProperties").is_some() && !any_additional(of) && !typed {
                let error = Error::forbidden(&self.path(&below(key)), "");
                self.errors.push(error);
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
        let place = if self.prefix.is_empty() { name.to_owned() } else { self.path(name).to_string() };
        if is_int_or_string(of) && is_type_union(of) {
            return;
        }
        let each = |key: &str| -> Vec<ErrorList> {
            let list = of.get(key).and_then(Value::as_array).into_iter().flatten();
            list.map(|schema| self.alone(value, schema, name, old)).collect()
        };
        let (any, one, all) = (each("anyOf"), each("oneOf"), each("allOf"));
        let negated = of.get("not").map(|schema| self.alone(value, schema, name, old));
        if !any.is_empty() && any.iter().all(|errors| !errors.is_empty()) {
            self.plain(format!("\"{place}\" must validate at least one schema (anyOf)"));
            self.errors.extend(any.into_iter().next().unwrap_or_default());
        }
        let fitting = one.iter().filter(|errors| errors.is_empty()).count();
        if !one.is_empty() && fitting == 0 {
            self.plain(format!("\"{place}\" must validate one and only one schema (oneOf). Found none valid"));
            self.errors.extend(one.into_iter().next().unwrap_or_default());
        } else if fitting > 1 {
            let why = format!(
                "\"{place}\" must validate one and only one schema (oneOf). Found {fitting} valid alternatives"
            );
            self.plain(why);
        }
        let failed = all.iter().filter(|errors| !errors.is_empty()).count();
        if failed > 0 {
            let none = if failed == all.len() { ". None validated" } else { "" };
            self.plain(format!("\"{place}\" must validate all the schemas (allOf){none}"));
            self.errors.extend(all.into_iter().flatten());
        }
        if negated.is_some_and(|errors| errors.is_empty()) {
            self.plain(format!("\"{place}\" must not validate the schema (not)"));
        }
    }
}

/// `anyOf: [{type: integer}, {type: string}]` says no more than that it is an int or string.
fn is_type_union(of: &Value) -> bool {
    let of = of.get("anyOf").and_then(Value::as_array);
    of.is_some_and(|list| {
        list.iter().all(|schema| schema.as_object().is_some_and(|map| map.len() == 1 && map.contains_key("type")))
    })
}

fn bound(of: &Value, key: &str) -> Option<u64> {
    let value = of.get(key)?.as_i64()?;
    u64::try_from(value).ok()
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
