//! What server-side apply knows about an object's shape: built-in types, CRD schemas, or what the values tell.

use serde_json::{Map, Value};

use crate::types::{Element, Field, ListType, Shape, Special, Type, by_name};

/// A place in a schema.
#[derive(Clone, Copy, Debug)]
pub enum Schema<'a> {
    /// A built-in struct.
    Struct(&'static Type),
    /// A field of a built-in struct.
    Field(&'static Field),
    /// The elements of a list or map field of a built-in struct.
    Element(&'static Field),
    /// The root of a custom resource, with its structural schema.
    Custom(&'a Value),
    /// A place inside of a structural schema.
    Structural(&'a Value),
    /// Nothing is known: maps merge, lists are atomic.
    Deduced,
}

/// The kinds of scalar that the type check tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    Number,
    Bool,
    Any,
}

/// How a list merges.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Relation {
    Atomic,
    Set,
    /// By these keys, with the defaults of those that may be absent.
    Keyed(Vec<(String, Option<Value>)>),
}

/// What a place is.
#[derive(Clone, Debug)]
pub(super) enum Atom<'a> {
    Scalar(Scalar),
    Map { atomic: bool },
    List { relation: Relation, element: Schema<'a> },
}

impl<'a> Schema<'a> {
    /// What this place is, for this value.
    pub(super) fn atom(self, value: &Value) -> Atom<'a> {
        match self {
            Schema::Struct(of) => type_atom(of, value),
            Schema::Field(field) => match field.shape {
                Shape::Single => match element_atom(field.element, value) {
                    Atom::Map { atomic } => Atom::Map { atomic: atomic || field.atomic_map },
                    other => other,
                },
                Shape::Map => Atom::Map { atomic: field.atomic_map },
                Shape::List => Atom::List { relation: relation(field), element: Schema::Element(field) },
            },
            Schema::Element(field) => element_atom(field.element, value),
            Schema::Custom(_) => Atom::Map { atomic: false },
            Schema::Structural(schema) => structural_atom(schema, value),
            Schema::Deduced => deduced_atom(value),
        }
    }

    /// The schema of a field of this place, and whether the field is declared by name. None: there is no such field.
    pub(super) fn child(self, name: &str) -> Option<(Schema<'a>, bool)> {
        match self {
            Schema::Struct(of) => struct_child(of, name),
            Schema::Field(field) if field.shape == Shape::Map => Some((Schema::Element(field), false)),
            Schema::Field(field) | Schema::Element(field) => match field.element {
                Element::Object(id) => struct_child(id.get(), name),
                _ => Some((Schema::Deduced, false)),
            },
            Schema::Custom(schema) => match name {
                "apiVersion" | "kind" => Some((Schema::Deduced, true)),
                "metadata" => Some((metadata(), true)),
                _ => structural_child(schema, name),
            },
            Schema::Structural(schema) => structural_child(schema, name),
            Schema::Deduced => Some((Schema::Deduced, false)),
        }
    }

    /// The schema after a step of a path, and whether the step is a declared field.
    pub(super) fn step(self, step: &str) -> (Schema<'a>, bool) {
        if let Some(name) = step.strip_prefix("f:") {
            return self.child(name).unwrap_or((Schema::Deduced, false));
        }
        match self.atom(&Value::Array(Vec::new())) {
            Atom::List { element, .. } => (element, false),
            _ => (Schema::Deduced, false),
        }
    }

    /// Whether whatever is here changes hands as a whole.
    pub(super) fn is_atomic(self) -> bool {
        matches!(self.atom(&Value::Null), Atom::Map { atomic: true } | Atom::List { relation: Relation::Atomic, .. })
    }

    /// The object that a new one is compared with: what Kubernetes writes for the zero value of the type.
    #[must_use]
    pub fn empty_object(self) -> Value {
        match self {
            Schema::Struct(of) => empty_struct(of),
            _ => Value::Object(Map::new()),
        }
    }
}

fn metadata<'a>() -> Schema<'a> {
    by_name("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").map_or(Schema::Deduced, Schema::Struct)
}

fn struct_child<'a>(of: &'static Type, name: &str) -> Option<(Schema<'a>, bool)> {
    match of.special {
        None => of.field(name).map(|field| (Schema::Field(field), true)),
        Some(_) => Some((Schema::Deduced, false)),
    }
}

fn type_atom<'a>(of: &'static Type, value: &Value) -> Atom<'a> {
    match of.special {
        None => Atom::Map { atomic: of.atomic },
        Some(Special::Time | Special::MicroTime | Special::Duration | Special::Quantity | Special::IntOrString) => {
            Atom::Scalar(Scalar::Any)
        }
        Some(Special::StringList) => Atom::List { relation: Relation::Atomic, element: Schema::Deduced },
        Some(_) => deduced_atom(value),
    }
}

fn element_atom<'a>(element: Element, value: &Value) -> Atom<'a> {
    match element {
        Element::String | Element::Bytes => Atom::Scalar(Scalar::Text),
        Element::Int32 | Element::Int64 | Element::Double => Atom::Scalar(Scalar::Number),
        Element::Bool => Atom::Scalar(Scalar::Bool),
        Element::Any => deduced_atom(value),
        Element::Object(id) => type_atom(id.get(), value),
    }
}

fn deduced_atom<'a>(value: &Value) -> Atom<'a> {
    match value {
        Value::Object(_) => Atom::Map { atomic: false },
        Value::Array(_) => Atom::List { relation: Relation::Atomic, element: Schema::Deduced },
        _ => Atom::Scalar(Scalar::Any),
    }
}

fn relation(field: &'static Field) -> Relation {
    match field.list_type {
        None | Some(ListType::Atomic) => Relation::Atomic,
        Some(ListType::Set) => Relation::Set,
        Some(ListType::Map) => {
            let default = |key: &str| match field.element {
                Element::Object(id) => id.get().field(key).and_then(|key| key.default.clone()),
                _ => None,
            };
            Relation::Keyed(field.list_keys.iter().map(|key| ((*key).to_owned(), default(key))).collect())
        }
    }
}

fn empty_struct(of: &'static Type) -> Value {
    let mut map = Map::new();
    for field in of.members() {
        let is_struct = field.shape == Shape::Single
            && !field.pointer
            && !field.omit_zero
            && field.object().is_some_and(|inner| inner.special.is_none());
        if is_struct {
            map.insert(field.json.to_owned(), field.object().map_or(Value::Null, empty_struct));
        } else if is_moment(field) || (!field.omit_empty && !field.omit_zero) {
            map.insert(field.json.to_owned(), zero(field));
        }
    }
    Value::Object(map)
}

/// Whether this is a time that is written, as null, even if there is none: it is a struct, which is never empty in Go.
fn is_moment(field: &Field) -> bool {
    field.shape == Shape::Single
        && !field.pointer
        && !field.omit_zero
        && matches!(field.special(), Some(Special::Time | Special::MicroTime))
}

fn zero(field: &Field) -> Value {
    if field.pointer || field.shape != Shape::Single {
        return Value::Null;
    }
    match field.element {
        Element::String => "".into(),
        Element::Int32 | Element::Int64 | Element::Double => 0.into(),
        Element::Bool => false.into(),
        Element::Bytes | Element::Any | Element::Object(_) => Value::Null,
    }
}

fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or_default()
}

fn text<'v>(schema: &'v Value, name: &str) -> &'v str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn structural_atom<'a>(schema: &'a Value, value: &Value) -> Atom<'a> {
    if flag(schema, "x-kubernetes-int-or-string") {
        return Atom::Scalar(Scalar::Any);
    }
    match text(schema, "type") {
        "object" => Atom::Map { atomic: text(schema, "x-kubernetes-map-type") == "atomic" },
        "array" => Atom::List {
            relation: structural_relation(schema),
            element: schema.get("items").map_or(Schema::Deduced, Schema::Structural),
        },
        "string" => Atom::Scalar(Scalar::Text),
        "integer" | "number" => Atom::Scalar(Scalar::Number),
        "boolean" => Atom::Scalar(Scalar::Bool),
        _ => deduced_atom(value),
    }
}

fn structural_relation(schema: &Value) -> Relation {
    match text(schema, "x-kubernetes-list-type") {
        "set" => Relation::Set,
        "map" => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten();
            let default = |key: &str| schema.get("items")?.get("properties")?.get(key)?.get("default").cloned();
            Relation::Keyed(keys.filter_map(Value::as_str).map(|key| (key.to_owned(), default(key))).collect())
        }
        _ => Relation::Atomic,
    }
}

fn structural_child<'a>(schema: &'a Value, name: &str) -> Option<(Schema<'a>, bool)> {
    if let Some(property) = schema.get("properties").and_then(|properties| properties.get(name)) {
        return Some((Schema::Structural(property), true));
    }
    match schema.get("additionalProperties") {
        Some(values @ Value::Object(_)) => return Some((Schema::Structural(values), false)),
        Some(Value::Bool(true)) => return Some((Schema::Deduced, false)),
        _ => {}
    }
    if flag(schema, "x-kubernetes-embedded-resource") {
        match name {
            "apiVersion" | "kind" => return Some((Schema::Deduced, true)),
            "metadata" => return Some((metadata(), true)),
            _ => {}
        }
    }
    let open = flag(schema, "x-kubernetes-preserve-unknown-fields") || text(schema, "type").is_empty();
    open.then_some((Schema::Deduced, false))
}
