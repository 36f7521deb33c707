use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::identifier::escaped_word;

/// What an expression is known to evaluate to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known at run time only.
    Dyn,
    /// That of a part with an error, which may stand anywhere.
    Error,
    /// `null`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `uint`.
    Uint,
    /// `double`.
    Double,
    /// `string`.
    Text,
    /// `bytes`.
    Bytes,
    /// `google.protobuf.Timestamp`.
    Time,
    /// `google.protobuf.Duration`.
    Duration,
    /// `list(T)`.
    List(Box<Type>),
    /// `map(K, V)`.
    Map(Box<Type>, Box<Type>),
    /// `optional_type(T)`.
    Optional(Box<Type>),
    /// An object with fields of its own.
    Object(Arc<ObjectType>),
    /// A type of a library, by its name.
    Named(String),
    /// `type(T)`: a type itself.
    Kind(Box<Type>),
    /// A parameter of an overload.
    Var(char),
}

/// The fields of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectType {
    /// The name, as errors show it.
    pub name: String,
    /// The fields that can be selected.
    pub fields: BTreeMap<String, Type>,
}

impl ObjectType {
    /// The type of a field; one that is called like a word of the language may be named as it is.
    pub(super) fn field(&self, name: &str) -> Option<&Type> {
        self.fields.get(name).or_else(|| self.fields.get(&escaped_word(name)?))
    }
}

impl Type {
    /// `list(of)`.
    #[must_use]
    pub fn list(of: Type) -> Type {
        Type::List(Box::new(of))
    }

    /// `map(string, of)`.
    #[must_use]
    pub fn map(of: Type) -> Type {
        Type::Map(Box::new(Type::Text), Box::new(of))
    }

    /// An object type.
    #[must_use]
    pub fn object(name: &str, fields: impl IntoIterator<Item = (String, Type)>) -> Type {
        Type::Object(Arc::new(ObjectType { name: name.to_owned(), fields: fields.into_iter().collect() }))
    }

    /// The type with every object in it named after its place, by which errors tell them apart and no two are the same:
    /// `Pod.spec`, `Pod.spec.containers.@idx`.
    pub(super) fn placed(&self, name: &str) -> Type {
        match self {
            Type::Object(of) => {
                let fields = of.fields.iter();
                Type::object(name, fields.map(|(field, of)| (field.clone(), of.placed(&format!("{name}.{field}")))))
            }
            Type::List(of) => Type::list(of.placed(&format!("{name}.@idx"))),
            Type::Map(key, value) => Type::Map(key.clone(), Box::new(value.placed(&format!("{name}.@elem")))),
            other => other.clone(),
        }
    }

    /// What values of the type are called when they run.
    pub(super) fn runtime_name(&self) -> &str {
        match self {
            Type::Dyn | Type::Error | Type::Var(_) => "dyn",
            Type::Null => "null_type",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::Text => "string",
            Type::Bytes => "bytes",
            Type::Time => "google.protobuf.Timestamp",
            Type::Duration => "google.protobuf.Duration",
            Type::List(_) => "list",
            Type::Map(..) => "map",
            Type::Optional(_) => "optional_type",
            Type::Object(of) => of.name.as_str(),
            Type::Named(name) => name.as_str(),
            Type::Kind(_) => "type",
        }
    }

    /// The type of a type that expressions can name.
    pub(super) fn kind(name: &str) -> Option<Type> {
        let of = match name {
            "bool" | "int" | "uint" | "double" | "string" | "bytes" => Type::read(name),
            "null_type" => Type::Null,
            "list" => Type::read("list<dyn>"),
            "map" => Type::read("map<dyn,dyn>"),
            // Of these only the names show.
            "type" | "optional_type" => Type::Named(name.to_owned()),
            _ => return None,
        };
        Some(Type::Kind(Box::new(of)))
    }

    /// Reads the notation of the overload table: `list<A>`, `map<string,dyn>`; other names are types of libraries.
    pub(super) fn read(text: &str) -> Type {
        let inner = |prefix: &str| text.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
        if let Some(of) = inner("list<") {
            return Type::list(Type::read(of));
        }
        if let Some(of) = inner("type<") {
            return Type::Kind(Box::new(Type::read(of)));
        }
        if let Some(of) = inner("optional<") {
            return Type::Optional(Box::new(Type::read(of)));
        }
        if let Some((key, value)) = inner("map<").and_then(|pair| pair.split_once(',')) {
            return Type::Map(Box::new(Type::read(key)), Box::new(Type::read(value)));
        }
        match text {
            "dyn" => Type::Dyn,
            "null" => Type::Null,
            "bool" => Type::Bool,
            "int" => Type::Int,
            "uint" => Type::Uint,
            "double" => Type::Double,
            "string" => Type::Text,
            "bytes" => Type::Bytes,
            "time" => Type::Time,
            "duration" => Type::Duration,
            _ => match text.as_bytes() {
                [letter] if letter.is_ascii_uppercase() => Type::Var(char::from(*letter)),
                _ => Type::Named(text.to_owned()),
            },
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dyn => f.write_str("dyn"),
            Type::Error => f.write_str("!error!"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Uint => f.write_str("uint"),
            Type::Double => f.write_str("double"),
            Type::Text => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Time => f.write_str("timestamp"),
            Type::Duration => f.write_str("duration"),
            Type::List(of) => write!(f, "list({of})"),
            Type::Map(key, value) => write!(f, "map({key}, {value})"),
            Type::Optional(of) => write!(f, "optional_type({of})"),
            Type::Object(of) => f.write_str(&of.name),
            Type::Named(name) => f.write_str(name),
            Type::Kind(of) => write!(f, "type({of})"),
            Type::Var(letter) => write!(f, "{letter}"),
        }
    }
}
