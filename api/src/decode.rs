//! Strict decoding: checks an object against its type the way Kubernetes' decoder does, in its words, and brings it
//! into the form Kubernetes stores and serves.

mod faults;
mod named;
mod special;
mod walk;
mod words;

use serde_json::Value;

pub use self::faults::Faults;
pub use self::words::base64;
use crate::types::Type;

/// What came of decoding one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    /// The object with known fields only, in normal form.
    pub value: Value,
    /// Why the object cannot be read, in the decoder's words.
    pub errors: Faults,
    /// The same errors, as Kubernetes words them where it converts a map instead of reading JSON; a hundred
    /// at the most.
    pub conversions: Vec<String>,
    /// `unknown field "spec.foo"`, at most a hundred.
    pub unknown: Vec<String>,
}

/// Reads an object of a type: what does not belong is dropped and reported, the rest is normalised.
pub fn strict(object_type: &Type, value: &Value) -> Decoded {
    let mut walk = walk::Walk::default();
    let value = walk.structure(object_type, value);
    Decoded { value, errors: walk.errors, conversions: walk.conversions, unknown: walk.unknown }
}

/// The form Kubernetes stores and serves; what does not fit the type is dropped.
pub fn canonical(object_type: &Type, value: &Value) -> Value {
    strict(object_type, value).value
}

/// Why a document cannot even say which kind and version it is, in the decoder's words; null says nothing.
#[must_use]
pub fn unidentified(value: &Value) -> Option<String> {
    const HOLDER: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
    if value.is_null() {
        return None;
    }
    if !value.is_object() {
        return Some(format!("json: cannot unmarshal {} into Go value of type {HOLDER}", words::kind(value)));
    }
    let odd = |field: &&str| value.get(*field).is_some_and(|found| !found.is_string() && !found.is_null());
    let field = ["apiVersion", "kind"].into_iter().find(odd)?;
    let found = words::kind(&value[field]);
    Some(format!("json: cannot unmarshal {found} into Go struct field .{field} of type string"))
}

#[cfg(test)]
mod tests;
