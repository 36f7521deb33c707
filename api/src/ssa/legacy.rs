//! The way from `kubectl apply` on the client, which keeps its last configuration in an annotation, to apply on the
//! server.

use serde_json::Value;

use super::conflict::Conflict;
use super::set::FieldSet;
use super::walk::field_set;
use super::{Write, check};
use crate::field::go_json;
use crate::meta;

/// The annotation that kubectl keeps its last configuration in.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The conflicts that are left when kubectl may take what it applied from the client the last time.
pub(super) fn remaining(conflicts: Vec<Conflict>, live: &Value, write: &Write<'_>) -> Vec<Conflict> {
    let Some(allowed) = allowed(live, write) else { return conflicts };
    let left = conflicts.into_iter().map(|conflict| Conflict { set: conflict.set.difference(&allowed), ..conflict });
    left.filter(|conflict| !conflict.set.is_empty()).collect()
}

/// What the annotation sets to the value that is live: kubectl's own. None if it is of another version or shape.
fn allowed(live: &Value, write: &Write<'_>) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(meta::annotation(live, LAST_APPLIED)?).ok()?;
    if meta::api_version(&last) != write.api_version || meta::kind(&last).is_empty() {
        return None;
    }
    check(&last, write.schema).ok()?;
    let set = field_set(&last, write.schema);
    let change = super::walk::compare(&last, live, write.schema);
    Some(set.difference(&change.modified).difference(&change.added).difference(&change.removed))
}

/// Writes the configuration into the annotation, if there is one, so that older clients go on working.
pub(super) fn sync_annotation(object: &mut Value, config: &Value) {
    if meta::annotation(object, LAST_APPLIED).is_none_or(str::is_empty) {
        return;
    }
    let mut last = config.clone();
    // The map stays, even if it is empty now.
    if let Some(annotations) = last.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    let others = meta::annotations(object).into_iter().flatten().filter(|(key, _)| *key != LAST_APPLIED);
    let size: usize = others.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    let text = format!("{}\n", go_json(&last));
    if size + LAST_APPLIED.len() + text.len() <= meta::ANNOTATIONS_MAX {
        meta::set_annotation(object, LAST_APPLIED, &text);
    } else {
        meta::remove_annotation(object, LAST_APPLIED);
    }
}
