//! Selectors: which objects a list, a watch, a Service or a controller means.

mod field;
mod label;
mod lexer;
mod object;
mod parse;
mod requirement;

pub use field::{FieldSelector, FieldTerm};
pub use label::LabelSelector;
pub use object::validate_label_selector;
pub use requirement::{Labels, Operator, Requirement};

/// Why a selector cannot be read, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl From<SelectorError> for crate::status::Status {
    fn from(error: SelectorError) -> Self {
        Self::bad_request(error.0)
    }
}

#[cfg(test)]
mod tests;
