//! YAML in and out: read as kubectl reads it (YAML 1.1 booleans and octal numbers), written as Kubernetes writes it.

use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

mod emit;
mod fault;
mod resolve;
mod scalar;

pub use emit::to_string;

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// It breaks the syntax.
    #[error("yaml: {message}")]
    Syntax {
        /// What is wrong, and in most cases in which line.
        message: String,
    },
    /// A key appears twice in a map, and the caller asked to be told.
    #[error("yaml: unmarshal errors:\n  line {line}: key {} already set in map", crate::field::go_quote(.key))]
    Duplicate {
        /// The line, from 1.
        line: u64,
        /// The key.
        key: String,
    },
}

/// Whether a key that appears twice is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// The last one counts.
    LastWins,
    /// It is.
    Refuse,
}

fn options(duplicates: Duplicates) -> serde_saphyr::Options {
    let policy = match duplicates {
        Duplicates::LastWins => DuplicateKeyPolicy::LastWins,
        Duplicates::Refuse => DuplicateKeyPolicy::Error,
    };
    // Bodies are limited before they get here, their depth where they become values, and alias bombs by the alias
    // limits, which stay on.
    serde_saphyr::options! {
        budget: None,
        legacy_octal_numbers: true,
        duplicate_keys: policy,
    }
}

/// Reads the first document; an empty text is null.
///
/// # Errors
/// If it is not YAML, or has a key twice and `duplicates` refuses that.
pub fn parse(text: &str, duplicates: Duplicates) -> Result<Value, YamlError> {
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options(&mut reader, options(duplicates));
    let first: Option<Result<scalar::Node, _>> = documents.next();
    match first {
        None => Ok(Value::Null),
        Some(Ok(node)) => Ok(node.0),
        Some(Err(error)) => Err(explain(&error, text)),
    }
}

/// Reads all documents, leaving out empty ones.
///
/// # Errors
/// If one of them is not YAML.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents: Vec<scalar::Node> = serde_saphyr::from_multiple_with_options(text, options(Duplicates::LastWins))
        .map_err(|error| explain(&error, text))?;
    Ok(documents.into_iter().map(|node| node.0).filter(|value| !value.is_null()).collect())
}

fn explain(error: &serde_saphyr::Error, source: &str) -> YamlError {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error {
        return YamlError::Duplicate { line, key: key.clone().unwrap_or_default() };
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    YamlError::Syntax { message: fault::of(message, line, source) }
}

#[cfg(test)]
mod tests;
