//! The way from `kubectl apply` on the client, which keeps its last configuration in an annotation, to apply on the
//! server.

use serde_json::Value;

use super::conflict::Conflict;
use super::schema::Schema;
use super::set::FieldSet;
use super::walk::field_set;
use crate::meta;

/// The annotation that kubectl keeps its last configuration in.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The conflicts that are left when kubectl may take what it applied from the client the last time.
pub(super) fn remaining(conflicts: Vec<Conflict>, live: &Value, schema: Schema<'_>) -> Vec<Conflict> {
    let Some(allowed) = allowed(live, schema) else { return conflicts };
    let left = conflicts.into_iter().map(|conflict| Conflict { set: conflict.set.difference(&allowed), ..conflict });
    left.filter(|conflict| !conflict.set.is_empty()).collect()
}

/// What the annotation sets to the value that is live: kubectl's own.
fn allowed(live: &Value, schema: Schema<'_>) -> Option<FieldSet> {
    let last: Value = serde_json::from_str(meta::annotation(live, LAST_APPLIED)?).ok()?;
    let set = field_set(&last, schema);
    let change = super::walk::compare(&last, live, schema);
    Some(set.difference(&change.modified).difference(&change.removed))
}

/// Writes the configuration into the annotation, if there is one, so that older clients go on working.
pub(super) fn sync_annotation(object: &mut Value, config: &Value) {
    if meta::annotation(object, LAST_APPLIED).is_none() {
        return;
    }
    let mut last = config.clone();
    meta::remove_annotation(&mut last, LAST_APPLIED);
    let size: usize = meta::annotations(object)
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    let text = format!("{last}\n");
    if size + text.len() <= meta::ANNOTATIONS_MAX {
        meta::set_annotation(object, LAST_APPLIED, &text);
    } else {
        meta::remove_annotation(object, LAST_APPLIED);
    }
}
