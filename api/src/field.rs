//! Errors about a field of an object, and the paths that name the field.

use serde_json::Value;

mod path;
mod quote;

pub use path::Path;
pub(crate) use quote::short_escape;
pub use quote::{
    float as go_float, is_printable, json as go_json, quote as go_quote, text as go_text, value as go_value,
};

/// The errors that validation found, in the order found.
pub type ErrorList = Vec<Error>;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Names something that does not exist.
    NotFound,
    /// Must be set.
    Required,
    /// Collides with another element.
    Duplicate,
    /// Has a wrong value.
    Invalid,
    /// Is not one of the values allowed.
    NotSupported,
    /// Must not be set, or not now.
    Forbidden,
    /// Is longer than allowed.
    TooLong,
    /// Has more elements than allowed.
    TooMany,
    /// A fault of the validation itself.
    Internal,
    /// Has a wrong type.
    TypeInvalid,
}

impl Kind {
    /// The reason of the Status cause.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Kind::NotFound => "FieldValueNotFound",
            Kind::Required => "FieldValueRequired",
            Kind::Duplicate => "FieldValueDuplicate",
            Kind::Invalid => "FieldValueInvalid",
            Kind::NotSupported => "FieldValueNotSupported",
            Kind::Forbidden => "FieldValueForbidden",
            Kind::TooLong => "FieldValueTooLong",
            Kind::TooMany => "FieldValueTooMany",
            Kind::Internal => "InternalError",
            Kind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    /// The words that start the message.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Kind::NotFound => "Not found",
            Kind::Required => "Required value",
            Kind::Duplicate => "Duplicate value",
            Kind::Invalid | Kind::TypeInvalid => "Invalid value",
            Kind::NotSupported => "Unsupported value",
            Kind::Forbidden => "Forbidden",
            Kind::TooLong => "Too long",
            Kind::TooMany => "Too many",
            Kind::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Kind::Required | Kind::Forbidden | Kind::TooLong | Kind::Internal)
    }
}

/// The offending value as the message shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// Left out, though the kind of error would show it.
    Omitted,
    /// Printed as Kubernetes prints a value of this JSON type: strings quoted, structs as JSON.
    Value(Value),
    /// Nothing is at this path, which prints as null; Kubernetes tells nothing from an empty list or map, so who knows the
    /// request can say what it had there.
    Absent(String),
    /// Printed as it is: for values whose Go form has no JSON counterpart (field order, internal types).
    Text(String),
    /// Printed piece by piece: such a text, in which some places are absent.
    Pieces(Vec<Piece>),
}

/// A piece of a shown value.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Printed as it is.
    Text(String),
    /// Nothing is at this path, as in [`Shown::Absent`].
    Absent(String),
}

impl Piece {
    /// What is printed.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Piece::Text(text) => text,
            Piece::Absent(_) => "null",
        }
    }
}

/// One error about one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: Kind,
    /// The path of the field, `spec.containers[0].name`.
    pub field: String,
    /// The offending value.
    pub value: Shown,
    /// Why, for people.
    pub detail: String,
}

impl Error {
    fn new(kind: Kind, path: &Path, value: Shown, detail: impl Into<String>) -> Error {
        Error { kind, field: path.to_string(), value, detail: detail.into() }
    }

    /// A wrong value.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, path, Shown::Value(value.into()), detail)
    }

    /// A wrong value whose text is given as it is to be printed.
    pub fn invalid_text(path: &Path, shown: impl Into<String>, detail: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, path, Shown::Text(shown.into()), detail)
    }

    /// A missing value; `detail` may be empty.
    pub fn required(path: &Path, detail: impl Into<String>) -> Error {
        Error::new(Kind::Required, path, Shown::Omitted, detail)
    }

    /// A value that must not be set.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Error {
        Error::new(Kind::Forbidden, path, Shown::Omitted, detail)
    }

    /// A value that is none of `supported`, which are listed in the order given.
    pub fn not_supported<S: AsRef<str>>(path: &Path, value: impl Into<Value>, supported: &[S]) -> Error {
        let detail = if supported.is_empty() {
            String::new()
        } else {
            let quoted: Vec<String> = supported.iter().map(|value| go_quote(value.as_ref())).collect();
            format!("supported values: {}", quoted.join(", "))
        };
        Error::new(Kind::NotSupported, path, Shown::Value(value.into()), detail)
    }

    /// A value that another element has already.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(Kind::Duplicate, path, Shown::Value(value.into()), "")
    }

    /// A value longer than `max` bytes; a negative `max` leaves the number out.
    pub fn too_long(path: &Path, max: i64) -> Error {
        let detail =
            if max >= 0 { format!("may not be more than {max} bytes") } else { "value is too long".to_owned() };
        Error::new(Kind::TooLong, path, Shown::Omitted, detail)
    }

    /// More than `max` elements; negative numbers are left out.
    pub fn too_many(path: &Path, actual: i64, max: i64) -> Error {
        let detail = match max {
            1 => "must have at most 1 item".to_owned(),
            0.. => format!("must have at most {max} items"),
            _ => "has too many items".to_owned(),
        };
        let value = if actual >= 0 { Shown::Value(actual.into()) } else { Shown::Omitted };
        Error::new(Kind::TooMany, path, value, detail)
    }

    /// A value of the wrong type.
    pub fn type_invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Error {
        Error::new(Kind::TypeInvalid, path, Shown::Value(value.into()), detail)
    }

    /// A value that names something that does not exist.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Error {
        Error::new(Kind::NotFound, path, Shown::Value(value.into()), "")
    }

    /// A fault of the validation itself.
    pub fn internal(path: &Path, why: impl std::fmt::Display) -> Error {
        Error::new(Kind::Internal, path, Shown::Omitted, why.to_string())
    }

    /// The same error with another detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Error {
        self.detail = detail.into();
        self
    }

    /// The same error without its value in the text.
    #[must_use]
    pub fn without_value(mut self) -> Error {
        self.value = Shown::Omitted;
        self
    }

    /// The message without the field: `Invalid value: "x": detail`.
    #[must_use]
    pub fn body(&self) -> String {
        let mut body = self.kind.words().to_owned();
        if self.kind.shows_value()
            && let Some(shown) = self.value.render()
        {
            body.push_str(": ");
            body.push_str(&shown);
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl Shown {
    fn render(&self) -> Option<String> {
        match self {
            Shown::Omitted => None,
            Shown::Absent(_) => Some("null".to_owned()),
            Shown::Text(text) => Some(text.clone()),
            Shown::Pieces(pieces) => Some(pieces.iter().map(Piece::text).collect()),
            Shown::Value(Value::String(text)) => Some(go_quote(text)),
            Shown::Value(Value::Number(number)) => Some(match number.as_f64() {
                Some(float) if number.is_f64() => go_float(float),
                _ => number.to_string(),
            }),
            Shown::Value(value) => Some(go_json(value)),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// All errors in one text: the only one as it is, several in brackets, repeated ones once.
#[must_use]
pub fn aggregate<E: ToString>(errors: &[E]) -> String {
    let mut seen = std::collections::HashSet::new();
    let texts: Vec<String> = errors.iter().map(ToString::to_string).filter(|text| seen.insert(text.clone())).collect();
    if texts.len() == 1 { texts[0].clone() } else { format!("[{}]", texts.join(", ")) }
}

#[cfg(test)]
mod tests;
