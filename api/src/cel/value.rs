use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use ipnet::IpNet;
use serde_json::{Map, Number, Value};

use super::constructed::Made;
use super::list::List;
use super::moment::Moment;
use crate::quantity::Quantity;

/// A value at run time.
#[derive(Clone)]
pub enum Val {
    /// `null`.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `uint`.
    Uint(u64),
    /// `double`.
    Double(f64),
    /// `string`.
    Text(Arc<str>),
    /// `bytes`.
    Bytes(Arc<[u8]>),
    /// `list`.
    List(Arc<List>),
    /// `map`, or an object.
    Map(Arc<BTreeMap<Key, Val>>),
    /// An object that the expression has constructed.
    Made(Arc<Made>),
    /// `google.protobuf.Timestamp`.
    Time(Moment),
    /// `google.protobuf.Duration`, in nanoseconds.
    Duration(i64),
    /// `optional`.
    Optional(Option<Arc<Val>>),
    /// A type, by name.
    Kind(Arc<str>),
    /// A resource quantity.
    Quantity(Arc<Quantity>),
    /// A URL.
    Url(Arc<str>),
    /// An IP address.
    Ip(IpAddr),
    /// An IP range.
    Cidr(IpNet),
    /// A semantic version: three numbers, and what follows.
    Semver(Arc<(u64, u64, u64, String)>),
    /// A format of names, by its name.
    Format(Arc<str>),
    /// A value of the host's, with methods of its own.
    Host(Arc<dyn Host>),
}

/// A value that the embedding program gives, such as an authorizer.
pub trait Host: Send + Sync {
    /// Name of the type.
    fn type_name(&self) -> &'static str;

    /// Calls a method; `None` if there is none of the name.
    fn call(&self, name: &str, arguments: &[Val]) -> Option<Result<Val, String>>;
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A text.
    Text(Arc<str>),
}

impl Key {
    /// The key as a value.
    #[must_use]
    pub fn to_val(&self) -> Val {
        match self {
            Key::Bool(flag) => Val::Bool(*flag),
            Key::Int(number) => i64::try_from(*number)
                .map(Val::Int)
                .or_else(|_| u64::try_from(*number).map(Val::Uint))
                .unwrap_or(Val::Null),
            Key::Text(text) => Val::Text(text.clone()),
        }
    }

    /// The value as a key.
    #[must_use]
    pub fn of(value: &Val) -> Option<Key> {
        match value {
            Val::Bool(flag) => Some(Key::Bool(*flag)),
            Val::Int(number) => Some(Key::Int((*number).into())),
            Val::Uint(number) => Some(Key::Int((*number).into())),
            #[expect(clippy::cast_possible_truncation, reason = "it is whole")]
            Val::Double(number) if number.fract() == 0.0 => Some(Key::Int(*number as i128)),
            Val::Text(text) => Some(Key::Text(text.clone())),
            _ => None,
        }
    }
}

impl Val {
    /// A text.
    #[must_use]
    pub fn text(text: impl AsRef<str>) -> Val {
        Val::Text(Arc::from(text.as_ref()))
    }

    /// A list.
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Val>) -> Val {
        Val::List(Arc::new(List::new(items.into_iter().collect())))
    }

    /// JSON without a schema: numbers without a fraction are `int`.
    #[must_use]
    pub fn from_json(value: &Value) -> Val {
        match value {
            Value::Null => Val::Null,
            Value::Bool(flag) => Val::Bool(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Val::Int(whole),
                None => Val::Double(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => Val::text(text),
            Value::Array(list) => Val::list(list.iter().map(Val::from_json)),
            Value::Object(map) => {
                let pairs = map.iter().map(|(key, value)| (Key::Text(Arc::from(key.as_str())), Val::from_json(value)));
                Val::Map(Arc::new(pairs.collect()))
            }
        }
    }

    /// The value as JSON; what JSON does not know becomes its text, or base64.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Val::Null => Value::Null,
            Val::Bool(flag) => (*flag).into(),
            Val::Int(number) => (*number).into(),
            Val::Uint(number) => (*number).into(),
            Val::Double(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Val::List(list) => list.iter().map(Val::to_json).collect(),
            Val::Map(map) => members_to_json(map),
            Val::Made(made) => members_to_json(&made.fields),
            Val::Optional(inner) => inner.as_ref().map_or(Value::Null, |value| value.to_json()),
            Val::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes).into(),
            other => other.to_text().map_or(Value::Null, Value::String),
        }
    }

    /// The text of a value, as `string()` makes it; `None` for values without one.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Val::Bool(flag) => flag.to_string(),
            Val::Int(number) => number.to_string(),
            Val::Uint(number) => number.to_string(),
            Val::Double(number) => crate::field::go_float(*number),
            Val::Text(text) | Val::Url(text) | Val::Kind(text) => text.to_string(),
            Val::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok()?,
            Val::Time(time) => time.to_string(),
            Val::Duration(nanos) => super::time::duration_text(*nanos),
            Val::Quantity(quantity) => quantity.to_string(),
            Val::Ip(ip) => ip.to_string(),
            Val::Cidr(net) => net.to_string(),
            Val::Semver(version) => format!("{}.{}.{}{}", version.0, version.1, version.2, version.3),
            _ => return None,
        })
    }

    /// The name of the value's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Uint(_) => "uint",
            Val::Double(_) => "double",
            Val::Text(_) => "string",
            Val::Bytes(_) => "bytes",
            Val::List(_) => "list",
            Val::Map(_) => "map",
            Val::Made(made) => made.type_name(),
            Val::Time(_) => "google.protobuf.Timestamp",
            Val::Duration(_) => "google.protobuf.Duration",
            Val::Optional(_) => "optional_type",
            Val::Kind(_) => "type",
            Val::Quantity(_) => "kubernetes.Quantity",
            Val::Url(_) => "kubernetes.URL",
            Val::Ip(_) => "net.IP",
            Val::Cidr(_) => "net.CIDR",
            Val::Semver(_) => "kubernetes.Semver",
            Val::Format(_) => "kubernetes.NamedFormat",
            Val::Host(host) => host.type_name(),
        }
    }

    /// Roughly how large the value is: characters, elements, or one.
    #[must_use]
    pub fn size(&self) -> u64 {
        (match self {
            Val::Text(text) | Val::Url(text) => text.len(),
            Val::Bytes(bytes) => bytes.len(),
            Val::List(list) => list.len(),
            Val::Map(map) => map.len(),
            Val::Made(made) => made.fields.len(),
            _ => 1,
        }) as u64
    }

    /// Order of two values of comparable types.
    #[must_use]
    pub fn compare(&self, other: &Val) -> Option<Ordering> {
        match (self, other) {
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
            (Val::Time(a), Val::Time(b)) => Some(a.cmp(b)),
            (Val::Duration(a), Val::Duration(b)) => Some(a.cmp(b)),
            (Val::Quantity(a), Val::Quantity(b)) => Some(a.cmp(b)),
            (Val::Semver(a), Val::Semver(b)) => Some(super::versions::compare(a, b)),
            _ => self.compare_numbers(other),
        }
    }

    fn compare_numbers(&self, other: &Val) -> Option<Ordering> {
        let whole = |value: &Val| match value {
            Val::Int(number) => Some(i128::from(*number)),
            Val::Uint(number) => Some(i128::from(*number)),
            _ => None,
        };
        if let (Some(a), Some(b)) = (whole(self), whole(other)) {
            return Some(a.cmp(&b));
        }
        self.as_double()?.partial_cmp(&other.as_double()?)
    }

    fn as_double(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "numbers of different kinds compare as doubles")]
        match self {
            Val::Int(number) => Some(*number as f64),
            Val::Uint(number) => Some(*number as f64),
            Val::Double(number) => Some(*number),
            _ => None,
        }
    }
}

fn members_to_json(members: &BTreeMap<Key, Val>) -> Value {
    let pairs = members.iter().map(|(key, value)| (key.to_val().to_text().unwrap_or_default(), value.to_json()));
    Value::Object(pairs.collect::<Map<_, _>>())
}

impl std::fmt::Debug for Val {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}({})", self.type_name(), self.to_json())
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Val) -> bool {
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::List(a), Val::List(b)) => a == b,
            (Val::Map(a), Val::Map(b)) => a == b,
            (Val::Made(a), Val::Made(b)) => a == b,
            (Val::Optional(a), Val::Optional(b)) => a == b,
            (Val::Kind(a), Val::Kind(b)) | (Val::Url(a), Val::Url(b)) | (Val::Format(a), Val::Format(b)) => a == b,
            (Val::Ip(a), Val::Ip(b)) => a == b,
            (Val::Cidr(a), Val::Cidr(b)) => a == b,
            _ => self.compare(other) == Some(Ordering::Equal),
        }
    }
}
