//! YAML in and out: read as kubectl reads it (YAML 1.1 booleans and octal numbers), written as Kubernetes writes it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::options::DuplicateKeyPolicy;

mod emit;
mod fault;
mod resolve;
mod scalar;
mod twice;

pub use emit::to_string;
pub use twice::Twice;

/// Why a text is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// It breaks the syntax.
    #[error("yaml: {message}")]
    Syntax {
        /// What is wrong, and in most cases in which line.
        message: String,
    },
    /// Keys appear twice in a map, and the caller asked to be told.
    #[error("yaml: unmarshal errors:{}", told(.keys))]
    Duplicate {
        /// The keys, one at least.
        keys: Vec<Twice>,
    },
}

fn told(keys: &[Twice]) -> String {
    keys.iter().map(|key| format!("\n  {key}")).collect()
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
    if let Some(message) = fault::of_leading_tab(text) {
        return Err(YamlError::Syntax { message });
    }
    match first_document::<scalar::Node>(text, duplicates) {
        None => Ok(Value::Null),
        Some(Ok(node)) => Ok(node.0),
        Some(Err(error)) => Err(explain(&error, text)),
    }
}

fn first_document<T: DeserializeOwned>(text: &str, duplicates: Duplicates) -> Option<Result<T, serde_saphyr::Error>> {
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options(&mut reader, options(duplicates));
    documents.next()
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
        let key = crate::field::go_quote(key.as_deref().unwrap_or_default());
        return refused(Twice { line, key }, source);
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    YamlError::Syntax { message: fault::of(message, line, source) }
}

/// Why a text in which a key appears twice is refused: for its syntax, or else for all such keys.
fn refused(key: Twice, source: &str) -> YamlError {
    if let Err(fault) = parse(source, Duplicates::LastWins) {
        return fault;
    }
    let keys = match first_document::<twice::Found>(source, Duplicates::LastWins) {
        Some(Ok(found)) if !found.keys.is_empty() => found.keys,
        // Our parser passes over those that are numbers.
        _ => vec![key],
    };
    YamlError::Duplicate { keys }
}

#[cfg(test)]
mod tests;
