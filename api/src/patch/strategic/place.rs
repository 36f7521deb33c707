use super::MergeError;
use crate::field::go_quote;
use crate::types::{Element, Field, Shape, Type};

/// Where in a type the merge is.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// At a struct.
    Struct(&'static Type),
    /// At a map whose values are this.
    MapOf(Inner),
    /// Nothing is known.
    Unknown,
}

/// What a list or map holds.
#[derive(Clone, Copy)]
pub(super) enum Inner {
    Struct(&'static Type),
    Scalar,
}

/// How one field is merged.
#[derive(Clone, Copy)]
pub(super) struct Strategy {
    /// Keyed lists and sets.
    pub merge: bool,
    /// The field is replaced as a whole.
    pub replace: bool,
    /// Unions: the diff says which keys remain.
    pub retain_keys: bool,
    /// The key of a list of structs, or empty.
    pub key: &'static str,
    /// The place of the field itself, if it is a map or struct.
    pub inside: Place,
    /// The place of the elements, if it is a list.
    pub elements: Place,
}

impl Strategy {
    const UNKNOWN: Strategy = Strategy {
        merge: false,
        replace: false,
        retain_keys: false,
        key: "",
        inside: Place::Unknown,
        elements: Place::Unknown,
    };
}

fn inner(field: &'static Field) -> Inner {
    match field.element {
        Element::Object(id) => Inner::Struct(id.get()),
        _ => Inner::Scalar,
    }
}

impl Inner {
    fn place(self) -> Place {
        match self {
            Inner::Struct(of) => Place::Struct(of),
            Inner::Scalar => Place::Unknown,
        }
    }
}

impl Place {
    /// How the field `name` of this place is merged, which its type must declare.
    pub(super) fn declared(self, name: &str) -> Result<Strategy, MergeError> {
        match self {
            Place::Struct(of) if of.field(name).is_none() => Err(MergeError::Other(format!(
                "unable to find api field in struct {} for the json field {}",
                of.name.rsplit('.').next().unwrap_or_default(),
                go_quote(name)
            ))),
            Place::MapOf(_) => Err(MergeError::Other(
                "merging an object in json but data type is not struct, instead is: map".to_owned(),
            )),
            _ => Ok(self.field(name)),
        }
    }

    /// How the field `name` of this place is merged.
    pub(super) fn field(self, name: &str) -> Strategy {
        let field = match self {
            Place::Struct(of) => of.field(name),
            Place::MapOf(inner) => return Strategy { inside: inner.place(), ..Strategy::UNKNOWN },
            Place::Unknown => None,
        };
        let Some(field) = field else { return Strategy::UNKNOWN };
        let has = |word: &str| field.patch_strategy.split(',').any(|strategy| strategy == word);
        let inner = inner(field);
        Strategy {
            merge: has("merge"),
            replace: has("replace"),
            retain_keys: has("retainKeys"),
            key: field.patch_merge_key,
            inside: if field.shape == Shape::Map { Place::MapOf(inner) } else { inner.place() },
            elements: inner.place(),
        }
    }
}
