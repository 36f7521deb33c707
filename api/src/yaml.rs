//! YAML in and out: read as kubectl reads it (YAML 1.1 booleans and octal numbers), written as Kubernetes writes it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

mod emit;
mod fault;
mod key;
mod merging;
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

fn options(duplicates: Duplicates, merge_keys: MergeKeyPolicy) -> serde_saphyr::Options {
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
        merge_keys: merge_keys,
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
    let merges = merging::may_merge(text);
    // The parser lets what a map has itself win over merges; where later ones are to win, those are ours.
    let read = if merges && duplicates == Duplicates::LastWins {
        first_document::<scalar::Node<true>>(text, options(duplicates, MergeKeyPolicy::AsOrdinary))
            .map(|read| read.map(|node| node.0))
    } else {
        first_document::<scalar::Node<false>>(text, options(duplicates, MergeKeyPolicy::Merge))
            .map(|read| read.map(|node| node.0))
    };
    let value = read.unwrap_or(Ok(Value::Null)).map_err(|error| explain(&error, text))?;
    // What a merge repeats it leaves out.
    let keys = if merges && duplicates == Duplicates::Refuse { repeated(text) } else { Vec::new() };
    if keys.is_empty() { Ok(value) } else { Err(YamlError::Duplicate { keys }) }
}

fn first_document<T: DeserializeOwned>(
    text: &str,
    options: serde_saphyr::Options,
) -> Option<Result<T, serde_saphyr::Error>> {
    let mut reader = text.as_bytes();
    let mut documents = serde_saphyr::read_with_options(&mut reader, options);
    documents.next()
}

/// The keys that appear twice but for most of those that are numbers, which the parser passes over.
fn repeated(text: &str) -> Vec<Twice> {
    let found = if merging::may_merge(text) {
        first_document::<twice::Found<true>>(text, options(Duplicates::LastWins, MergeKeyPolicy::AsOrdinary))
            .map(|found| found.map(|found| found.keys))
    } else {
        first_document::<twice::Found<false>>(text, options(Duplicates::LastWins, MergeKeyPolicy::Merge))
            .map(|found| found.map(|found| found.keys))
    };
    found.and_then(Result::ok).unwrap_or_default()
}

/// Reads all documents, leaving out empty ones.
///
/// # Errors
/// If one of them is not YAML.
pub fn parse_all(text: &str) -> Result<Vec<Value>, YamlError> {
    let documents: Vec<scalar::Node<false>> =
        serde_saphyr::from_multiple_with_options(text, options(Duplicates::LastWins, MergeKeyPolicy::Merge))
            .map_err(|error| explain(&error, text))?;
    Ok(documents.into_iter().map(|node| node.0).filter(|value| !value.is_null()).collect())
}

fn explain(error: &serde_saphyr::Error, source: &str) -> YamlError {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line());
    if let serde_saphyr::Error::DuplicateMappingKey { key, .. } = error {
        return refused(Twice { line, key: shown(key.as_deref().unwrap_or_default()) }, source);
    }
    let text = error.to_string();
    let message = text.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default();
    YamlError::Syntax { message: fault::of(message, line, source) }
}

/// A key as Go shows it: one that is a number is not quoted.
fn shown(key: &str) -> String {
    let read = first_document::<key::Key>(key, options(Duplicates::LastWins, MergeKeyPolicy::Merge));
    match read {
        Some(Ok(key)) => key.in_go(),
        _ => crate::field::go_quote(key),
    }
}

/// Why a text in which a key appears twice, the first time this one, is refused: for its syntax, or else for all such
/// keys.
fn refused(first: Twice, source: &str) -> YamlError {
    if let Err(fault) = parse(source, Duplicates::LastWins) {
        return fault;
    }
    let mut keys = repeated(source);
    if !keys.iter().any(|key| key.key == first.key || key.key == crate::field::go_quote(&first.key)) {
        keys.insert(0, first);
    }
    YamlError::Duplicate { keys }
}

#[cfg(test)]
mod tests;
