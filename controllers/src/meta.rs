//! Reading and making object metadata.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as WireSelector, ObjectMeta, OwnerReference, Time};
use mainstay_api::selector::LabelSelector;
use mainstay_client::{Change, Key, Object, Observed};

/// Labels or annotations.
pub(crate) type Map = BTreeMap<String, String>;

/// The owner that controls the object.
pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// Whether `uid` controls the object.
pub(crate) fn controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    controller_of(meta).is_some_and(|owner| owner.uid == uid)
}

/// A reference that makes `owner` the controller.
pub(crate) fn controller_reference<K: Object>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::API_VERSION.into(),
        kind: K::KIND.into(),
        name: name(owner.metadata()).into(),
        uid: uid(owner.metadata()).into(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// The key of the controlling owner if it is of this kind.
pub(crate) fn owner_key<K: Object>(meta: &ObjectMeta) -> Option<Key> {
    let owner = controller_of(meta).filter(|owner| owner.kind == K::KIND && owner.api_version == K::API_VERSION)?;
    Some(Key::new(namespace(meta), &owner.name))
}

/// Index values: the uid of the controller, or the namespace's orphans.
pub(crate) fn owner_index<K: Observed>(object: &K) -> Vec<String> {
    let meta = object.meta();
    vec![controller_of(meta).map_or_else(|| orphans_of(namespace(meta)), |owner| owner.uid.clone())]
}

/// The index value under which [`owner_index`] puts objects without controller.
pub(crate) fn orphans_of(namespace: &str) -> String {
    format!("orphan/{namespace}")
}

pub(crate) fn name(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or("")
}

pub(crate) fn namespace(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or("")
}

pub(crate) fn uid(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or("")
}

pub(crate) fn is_deleting(meta: &ObjectMeta) -> bool {
    meta.deletion_timestamp.is_some()
}

/// An annotation's value.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// When the object was made; objects that were never stored sort first.
pub(crate) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0)
}

/// What is left of `span` since `start`; zero when it is over.
pub(crate) fn remaining(start: &Time, span: Duration, now: Timestamp) -> Duration {
    span.saturating_sub(elapsed(start, now))
}

/// Time since `start`; zero if that lies ahead.
pub(crate) fn elapsed(start: &Time, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(start.0)).unwrap_or(Duration::ZERO)
}

/// Non-negative seconds as a duration.
pub(crate) fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}

/// A selector that can match; a malformed one (validation keeps them out) selects nothing.
pub(crate) fn selector(wire: &WireSelector) -> LabelSelector {
    let parsed = serde_json::to_value(wire).ok().and_then(|v| LabelSelector::from_object(&v).ok());
    parsed.unwrap_or_else(LabelSelector::nothing)
}

/// Whether the object's labels match.
pub(crate) fn selects(selector: &LabelSelector, meta: &ObjectMeta) -> bool {
    selector.matches(&meta.labels.as_ref())
}

/// The states that a change is about, the old one too: it may have mattered to somebody else.
pub(crate) fn states<K>(change: &Change<K>) -> Vec<&K> {
    match change {
        Change::Added(object) | Change::Deleted(object) => vec![object],
        Change::Updated { old, new } => vec![old, new],
    }
}
