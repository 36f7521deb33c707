//! Objects that an expression constructs. What is in them may come from anywhere, conditions, loops and variables, so it
//! is looked at once they are made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::outcome::{Outcome, fail};
use super::{Key, Val};

/// The one type whose fields are known.
const OPERATION: &str = "JSONPatch";
/// Bytes that a change may have, about as many as a body.
const LARGEST: usize = 3 << 20;
/// So many wrong names are told: the same object may stand in a million places.
const MOST: usize = 100;

/// An object that an expression has constructed.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// The type, as the expression names it.
    name: String,
    pub(super) fields: BTreeMap<Key, Val>,
}

impl Made {
    /// The object of a literal.
    pub(super) fn construct(name: &str, fields: BTreeMap<Key, Val>) -> Outcome {
        let made = Self { name: name.to_owned(), fields };
        match made.misfit() {
            Some(why) => fail(why),
            None => Ok(Val::Made(Arc::new(made))),
        }
    }

    fn is_operation(&self) -> bool {
        self.name == OPERATION
    }

    /// The name of the type as far as it is known beforehand.
    pub(super) fn type_name(&self) -> &'static str {
        if self.is_operation() { OPERATION } else { "Object" }
    }

    /// Why there is no such operation; anything else may be constructed.
    fn misfit(&self) -> Option<String> {
        let mut fields = self.fields.iter().filter(|_| self.is_operation());
        fields.find_map(|(key, value)| match (key_text(key), value) {
            ("value", _) | ("op" | "path" | "from", Val::Text(_)) => None,
            (field @ ("op" | "path" | "from"), odd) => {
                Some(format!("unexpected type {} for JSONPatchType '{field}' field", go_type(odd)))
            }
            (other, _) => Some(format!("unexpected JSONPatchType field: {other}")),
        })
    }

    fn field(&self, name: &str) -> Option<&Val> {
        self.fields.get(&Key::Text(Arc::from(name)))
    }

    /// What is wrong with the names of the types in an object: of one that stands in another, the name is the other's
    /// with the field. Lists and maps in between have no names.
    fn misnamed(&self, path: &str, found: &mut Vec<String>) {
        if self.is_operation() || found.len() == MOST {
            return;
        }
        if self.name != path {
            found.push(format!(
                "unexpected type name \"{}\", expected \"{path}\", which matches field name path from root Object type",
                self.name
            ));
        }
        for (key, value) in &self.fields {
            misnamed(value, &format!("{path}.{}", key_text(key)), found);
        }
    }
}

fn misnamed(value: &Val, path: &str, found: &mut Vec<String>) {
    match value {
        Val::Made(made) => made.misnamed(path, found),
        Val::List(list) => list.iter().for_each(|item| misnamed(item, path, found)),
        Val::Map(map) => map.values().for_each(|item| misnamed(item, path, found)),
        _ => {}
    }
}

/// The name of a member; only those of maps may have none.
fn key_text(key: &Key) -> &str {
    match key {
        Key::Text(text) => text,
        Key::Bool(_) | Key::Int(_) => "",
    }
}

/// What Go calls the type of a value.
fn go_type(value: &Val) -> &'static str {
    match value {
        Val::Null => "structpb.NullValue",
        Val::Bool(_) => "bool",
        Val::Int(_) => "int64",
        Val::Uint(_) => "uint64",
        Val::Double(_) => "float64",
        Val::Bytes(_) => "[]uint8",
        Val::List(_) => "[]interface {}",
        Val::Map(_) => "map[string]interface {}",
        Val::Time(_) => "time.Time",
        Val::Duration(_) => "time.Duration",
        other => other.type_name(),
    }
}

/// Takes the size of a value from what is left. Values may hold others many times, so that one that was cheap to make
/// can be endless as JSON.
fn fits(value: &Val, left: &mut usize) -> bool {
    let own = match value {
        Val::Text(text) => text.len(),
        Val::Bytes(bytes) => bytes.len(),
        _ => 0,
    };
    if !take(own + 1, left) {
        return false;
    }
    let mut members =
        |map: &BTreeMap<Key, Val>| map.iter().all(|(key, value)| take(key_text(key).len(), left) && fits(value, left));
    match value {
        Val::Map(map) => members(map),
        Val::Made(made) => members(&made.fields),
        Val::List(list) => list.iter().all(|item| fits(item, left)),
        Val::Optional(Some(value)) => fits(value, left),
        _ => true,
    }
}

fn take(size: usize, left: &mut usize) -> bool {
    let rest = left.checked_sub(size);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

fn bounded(made: &Val) -> Result<(), String> {
    let mut left = LARGEST;
    if fits(made, &mut left) { Ok(()) } else { Err("the change is too large".to_owned()) }
}

/// The object that an expression has constructed as JSON, which is to be merged into another.
///
/// # Errors
/// That it is none or too large, or that the names of types in it are wrong, in Kubernetes' words.
pub fn configuration(made: &Val) -> Result<Value, String> {
    let Val::Made(object) = made else {
        return Err(format!("unsupported return type from ApplyConfiguration expression: {}", made.type_name()));
    };
    bounded(made)?;
    well_named(object)?;
    Ok(made.to_json())
}

/// The operations of the JSON patch that an expression has constructed.
///
/// # Errors
/// That it is no list of operations or too large, or that the names of types in one of them are wrong, in Kubernetes'
/// words.
pub fn operations(made: &Val) -> Result<Vec<Value>, String> {
    let Val::List(list) = made else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    };
    bounded(made)?;
    list.iter().map(operation).collect()
}

fn operation(item: &Val) -> Result<Value, String> {
    let Val::Made(made) = item else {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array of JSONPatch".to_owned());
    };
    // A list of objects is no object.
    if let Some(Val::Made(value)) = made.field("value") {
        well_named(value)?;
    }
    let text = |field: &str| made.field(field).and_then(Val::to_text).unwrap_or_default();
    // What has to be there is empty if it is not.
    let mut out = Map::from_iter([("op".to_owned(), json!(text("op"))), ("path".to_owned(), json!(text("path")))]);
    let from = text("from");
    if !from.is_empty() {
        out.insert("from".to_owned(), from.into());
    }
    out.extend(made.field("value").map(|value| ("value".to_owned(), value.to_json())));
    Ok(Value::Object(out))
}

/// The outermost type may have any name.
fn well_named(made: &Made) -> Result<(), String> {
    let mut found = Vec::new();
    made.misnamed(&made.name, &mut found);
    if found.is_empty() { Ok(()) } else { Err(format!("type mismatch: {}", found.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{CALL_BUDGET, Env, Program, Scope, Type};

    struct Numbers;

    impl Scope for Numbers {
        fn variable(&self, name: &str) -> Option<Val> {
            (name == "x").then(|| Val::list([1, 2].map(Val::Int)))
        }
    }

    fn made(text: &str) -> Result<Val, String> {
        let env = Env::new([("x".to_owned(), Type::Dyn)]).constructing(&["Object", "JSONPatch"]);
        let program = Program::compile(text, &env).unwrap();
        program.eval(&Numbers, &mut CALL_BUDGET.clone()).map_err(|error| error.to_string())
    }

    fn told(found: &str, wanted: &str) -> String {
        format!(
            "type mismatch: unexpected type name \"{found}\", expected \"{wanted}\", which matches field name path from \
             root Object type"
        )
    }

    #[test]
    fn the_parts_of_a_patch_are_texts() {
        let env = Env::new([("x".to_owned(), Type::Dyn)]).constructing(&["JSONPatch"]);
        assert!(Program::compile("[JSONPatch{op: x, path: '/a', value: 1}]", &env).is_ok());
        assert!(Program::compile("[JSONPatch{op: 'copy', path: '/b', ?from: optional.of('/a')}]", &env).is_ok());
        let why = Program::compile("[JSONPatch{op: 1}]", &env).unwrap_err().to_string();
        assert!(why.contains("expected type of field 'op' is 'string' but provided type is 'int'"), "{why}");
        let why = Program::compile("[JSONPatch{op: 'add', foo: 'a'}]", &env).unwrap_err().to_string();
        assert!(why.contains("expected type of field 'foo' is '' but provided type is 'string'"), "{why}");
        // What is known at run time only fails then.
        assert_eq!(made("[JSONPatch{foo: x}]"), Err("unexpected JSONPatchType field: foo".to_owned()));
        let why = "unexpected type int64 for JSONPatchType 'op' field";
        assert_eq!(made("[JSONPatch{op: x[0]}]"), Err(why.to_owned()));
    }

    #[test]
    fn types_are_named_by_the_way_to_them() {
        let misnamed = |text: &str| configuration(&made(text).unwrap()).err().unwrap_or_default();
        let fine = "Object{spec: Object.spec{a: 1, list: [Object.spec.list{b: x}], map: {'k': Object.spec.map{c: 1}}}}";
        assert_eq!(misnamed(fine), "");
        assert_eq!(misnamed("Object{spec: Object.wrong{}}"), told("Object.wrong", "Object.spec"));
        for list in
            ["[Object.spec.item{}]", "x.map(i, Object.spec.item{}).slice(0, 1)", "x == [] ? [] : [Object.spec.item{}]"]
        {
            let found = misnamed(&format!("Object{{spec: Object.spec{{list: {list}}}}}"));
            assert_eq!(found, told("Object.spec.item", "Object.spec.list"), "{list}");
        }
    }

    #[test]
    fn what_is_endless_is_refused() {
        let doubled = (0..60).fold(Val::Int(1), |value, _| Val::list([value.clone(), value]));
        let fields = BTreeMap::from([(Key::Text(Arc::from("a")), doubled)]);
        let made = Made::construct("Object", fields).unwrap();
        assert_eq!(configuration(&made), Err("the change is too large".to_owned()));
        assert_eq!(operations(&Val::list([made])), Err("the change is too large".to_owned()));
    }

    #[test]
    fn objects_without_fields_are_zero() {
        assert_eq!(made("optional.ofNonZeroValue(Object{}).hasValue()"), Ok(Val::Bool(false)));
        assert_eq!(made("optional.ofNonZeroValue(Object{a: 0}).hasValue()"), Ok(Val::Bool(true)));
    }

    #[test]
    fn not_every_wrong_name_is_told() {
        let object = |name: &str, list: Val| Made::construct(name, BTreeMap::from([(Key::Text(Arc::from("a")), list)]));
        let wrong = object("Wrong", Val::Null).unwrap();
        let why = configuration(&object("Object", Val::list(vec![wrong; 3 * MOST])).unwrap()).unwrap_err();
        assert_eq!(why.lines().count(), MOST);
    }

    #[test]
    fn operations_are_made_anywhere_in_an_expression() {
        let read = |text: &str| operations(&made(text).unwrap());
        let add = |path: &str, value: Value| json!({"op": "add", "path": path, "value": value});
        let both = Ok(vec![add("/1", json!(1)), add("/2", json!(2))]);
        let each = "JSONPatch{op: 'add', path: '/' + string(i), value: i}";
        assert_eq!(read(&format!("x.map(i, {each})")), both);
        assert_eq!(read(&format!("x.filter(i, i > 1).map(i, {each})")), Ok(vec![add("/2", json!(2))]));
        let one = |at: u8| format!("[JSONPatch{{op: 'add', path: '/{at}', value: {at}}}]");
        assert_eq!(read(&format!("{} + {}", one(1), one(2))), both);
        assert_eq!(read(&format!("(x[0] == 1 ? {} : []) + {}", one(1), one(2))), both);
        assert_eq!(read(&format!("(x[0] == 1 ? [] : {}) + []", one(1))), Ok(Vec::new()));
        let value = "Object.a{b: Object.b{}}";
        let wrong = Err(told("Object.b", "Object.a.b"));
        for list in [
            format!("[JSONPatch{{op: 'add', path: '/a', value: {value}}}]"),
            format!("x.map(i, JSONPatch{{op: 'add', path: '/a', value: {value}}})"),
            format!("[JSONPatch{{op: 'add', path: '/a', value: x == [] ? 1 : dyn({value})}}] + []"),
        ] {
            assert_eq!(read(&list), wrong, "{list}");
        }
        assert_eq!(read("[JSONPatch{op: 'add', path: '/1', value: b'a'}]"), Ok(vec![add("/1", json!("YQ=="))]));
        assert_eq!(read("[JSONPatch{from: '/a'}]"), Ok(vec![json!({"op": "", "path": "", "from": "/a"})]));
    }
}
