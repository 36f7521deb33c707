//! What controls look at, and how they tell what they found.

use crate::strategy::validate::{At, containers};

/// A control that a pod does not meet.
pub(crate) struct Violation {
    /// In two or three words.
    pub reason: String,
    /// Where and what.
    pub detail: String,
}

/// A pod, or a template, with the version of the policy that it is held against.
pub(crate) struct Pod<'a> {
    /// Its metadata.
    pub metadata: At<'a>,
    /// Its spec.
    pub spec: At<'a>,
    /// The minor version.
    pub version: u32,
}

/// All of them in one text.
pub(crate) fn join(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("{} ({})", violation.reason, violation.detail))
        .collect::<Vec<_>>()
        .join(", ")
}

pub(super) fn violation(reason: &str, detail: impl Into<String>) -> Option<Violation> {
    Some(Violation { reason: reason.to_owned(), detail: detail.into() })
}

/// `container "a"` or `containers "a", "b"` of those that match.
pub(super) fn named(spec: &At<'_>, matches: impl Fn(&At<'_>) -> bool) -> Option<String> {
    let names: Vec<&str> =
        containers::every(spec).filter(|container| matches(container)).map(|at| at.get("name").str()).collect();
    (!names.is_empty()).then(|| format!("{} {}", plural("container", "containers", names.len()), quoted(&names)))
}

/// The pod itself and its containers, of those that match.
pub(super) fn setters(spec: &At<'_>, matches: impl Fn(&At<'_>) -> bool) -> Vec<String> {
    let pod = matches(spec).then(|| "pod".to_owned());
    pod.into_iter().chain(named(spec, matches)).collect()
}

/// The same as one subject; none if there are none.
pub(super) fn who(spec: &At<'_>, matches: impl Fn(&At<'_>) -> bool) -> Option<String> {
    Some(setters(spec, matches).join(" and ")).filter(|who| !who.is_empty())
}

pub(super) fn plural<'a>(one: &'a str, many: &'a str, count: usize) -> &'a str {
    if count == 1 { one } else { many }
}

/// Each in quotes.
pub(super) fn quoted<S: AsRef<str>>(values: &[S]) -> String {
    values.iter().map(|value| format!("\"{}\"", value.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Sorted, and each once.
pub(super) fn set<S: Ord>(values: impl Iterator<Item = S>) -> Vec<S> {
    values.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

pub(super) fn context<'a>(at: &At<'a>) -> At<'a> {
    at.get("securityContext")
}

/// Pods for Windows know less; that counts since 1.25.
pub(super) fn is_windows(pod: &Pod<'_>) -> bool {
    pod.version >= 25 && pod.spec.get("os").get("name").str() == "windows"
}

/// The users of a pod are not those of its host; that counts since 1.35.
pub(super) fn has_own_users(pod: &Pod<'_>) -> bool {
    pod.version >= 35 && pod.spec.opt("hostUsers").is_some_and(|at| !at.bool())
}
