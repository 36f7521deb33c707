//! Fields of values.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::identifier::escaped_word;
use super::outcome::{Outcome, fail};
use super::{EvalError, Key, Val};

/// What is said of a name that is asked of a list.
const NO_NAMES: &str = "unsupported index type 'string' in list";

/// A member by its name. Fields that are called like words of the language are kept escaped, but may be named as they
/// are.
fn member<'m>(map: &'m BTreeMap<Key, Val>, name: &str) -> Option<&'m Val> {
    let own = map.get(&Key::Text(Arc::from(name)));
    own.or_else(|| map.get(&Key::Text(Arc::from(escaped_word(name)?))))
}

fn own(map: &BTreeMap<Key, Val>, name: &str) -> Outcome {
    match member(map, name) {
        Some(value) => Ok(value.clone()),
        None => fail(format!("no such key: {name}")),
    }
}

/// A field of a map or an object.
pub(super) fn field(operand: &Val, name: &str) -> Outcome {
    match operand {
        Val::Map(map) => own(map, name),
        Val::Made(made) => own(&made.fields, name),
        Val::Optional(None) => Ok(Val::Optional(None)),
        Val::Optional(Some(inner)) => Ok(Val::Optional(field(inner, name).ok().map(Arc::new))),
        Val::List(_) => fail(NO_NAMES),
        // Anything else has no fields.
        _ => fail(format!("no such key: {name}")),
    }
}

/// Whether there is such a field.
pub(super) fn has(operand: &Val, name: &str) -> Result<bool, EvalError> {
    match operand {
        Val::Map(map) => Ok(member(map, name).is_some()),
        Val::Made(made) => Ok(member(&made.fields, name).is_some()),
        Val::Optional(inner) => Ok(inner.as_ref().is_some_and(|inner| has(inner, name).unwrap_or_default())),
        Val::List(_) => fail(NO_NAMES),
        _ => Ok(false),
    }
}
