//! Custom resources: definitions at run time, and the objects of the kinds that they define.
//!
//! A definition becomes one [`Served`] a version, which hangs on the version's row of the registry; the verb engine asks
//! it where a built-in kind would ask its type. Every master makes the rows from its own watch cache
//! ([`crate::registry::Registry::refresh`]); conditions and the removal of instances are the leader's ([`controller`]).

mod approval;
pub(crate) mod controller;
pub(crate) mod definition;
mod late;
mod naming;
mod objects;
mod read;
mod removals;
mod scale_paths;
mod served;

pub(crate) use objects::Objects;
pub(crate) use served::{Served, rows, stored_row};

/// Group and plural of definitions.
pub(crate) const GROUP: &str = "apiextensions.k8s.io";
/// Plural of definitions.
pub(crate) const DEFINITIONS: &str = "customresourcedefinitions";
/// Holds a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Whether a definition is of objects that are there without it: they are stored where its own would be, and are not its.
pub(crate) fn is_builtin(definition: &serde_json::Value) -> bool {
    let text = |pointer: &str| definition.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (group, plural) = (text("/spec/group"), text("/spec/names/plural"));
    mainstay_api::resource::builtin().iter().any(|row| row.group == group && row.resource == plural)
}

/// The status of a definition's condition, empty if it has none of the type.
pub(crate) fn condition<'v>(definition: &'v serde_json::Value, kind: &str) -> &'v str {
    let list = definition.pointer("/status/conditions").and_then(serde_json::Value::as_array);
    let found = list.into_iter().flatten().find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}
