//! Watches of custom objects by fields that only a webhook can tell: who has them converted selects them afterwards.

use std::collections::HashMap;

use mainstay_api::meta;
use serde_json::Value;

use super::stream::{WatchEventKind, WatchItem};
use crate::engine::fields::Fields;

/// Selects the converted items of one watch.
pub(super) struct Judge {
    fields: Fields,
    /// Whether objects were selected when they were last seen, by where they are.
    known: HashMap<String, bool>,
    /// All objects are seen, from the first state on.
    from_the_first: bool,
}

impl Judge {
    /// None is needed where objects can be selected as they are stored.
    pub(super) fn of(fields: &Fields, from_the_first: bool) -> Option<Self> {
        fields.is_deferred().then(|| Self { fields: fields.clone(), known: HashMap::new(), from_the_first })
    }

    /// A converted item as the watch sees it; `None` if it is not for it. The client of a watch that was resumed may know
    /// what is not selected now: it hears that it is gone.
    pub(super) fn judge(&mut self, item: WatchItem) -> Option<WatchItem> {
        let WatchItem::Event { kind, object, revision } = item else { return Some(item) };
        let value = crate::codec::decode(&object);
        let now = kind != WatchEventKind::Deleted && self.fields.fit(&value);
        let before = self.note(&value, kind, now);
        let kind = match (before, now) {
            (Some(false), true) => WatchEventKind::Added,
            (Some(true), true) => WatchEventKind::Modified,
            (None, true) => kind,
            (Some(true) | None, false) => WatchEventKind::Deleted,
            (Some(false), false) => return None,
        };
        Some(WatchItem::Event { kind, object, revision })
    }

    /// Whether the object was selected before, if that is known.
    fn note(&mut self, object: &Value, kind: WatchEventKind, now: bool) -> Option<bool> {
        let place = format!("{}/{}", meta::namespace(object), meta::name(object));
        let before = match kind {
            WatchEventKind::Deleted => self.known.remove(&place),
            _ => self.known.insert(place, now),
        };
        let is_new = kind == WatchEventKind::Added || self.from_the_first;
        before.or(is_new.then_some(false))
    }
}

#[cfg(test)]
mod tests {
    use mainstay_store::Revision;
    use serde_json::json;

    use super::*;
    use crate::engine::fields::testing;

    fn item(kind: WatchEventKind, host: &str) -> WatchItem {
        let object = json!({"metadata": {"namespace": "ns", "name": "x"}, "spec": {"host": host}});
        WatchItem::Event { kind, object: object.to_string().into(), revision: Revision(7) }
    }

    fn judge(from_the_first: bool) -> Judge {
        Judge::of(&testing::fields("Webhook", "spec.host=a"), from_the_first).unwrap()
    }

    fn told(judge: &mut Judge, kind: WatchEventKind, host: &str) -> Option<WatchEventKind> {
        match judge.judge(item(kind, host)) {
            Some(WatchItem::Event { kind, .. }) => Some(kind),
            _ => None,
        }
    }

    #[test]
    fn objects_come_and_go_as_they_are_selected() {
        use WatchEventKind::{Added, Deleted, Modified};
        let mut judge = judge(false);
        assert_eq!(told(&mut judge, Added, "b"), None);
        assert_eq!(told(&mut judge, Modified, "a"), Some(Added));
        assert_eq!(told(&mut judge, Modified, "a"), Some(Modified));
        assert_eq!(told(&mut judge, Modified, "b"), Some(Deleted));
        assert_eq!(told(&mut judge, Deleted, "b"), None);
        assert_eq!(told(&mut judge, Added, "a"), Some(Added));
        assert_eq!(told(&mut judge, Deleted, "a"), Some(Deleted));
    }

    #[test]
    fn a_resumed_watch_cannot_know_what_was_selected() {
        use WatchEventKind::{Deleted, Modified};
        assert_eq!(told(&mut judge(false), Modified, "a"), Some(Modified));
        assert_eq!(told(&mut judge(false), Modified, "b"), Some(Deleted));
        assert_eq!(told(&mut judge(true), Modified, "b"), None);
    }

    #[test]
    fn what_is_selected_as_it_is_stored_needs_no_judge() {
        for (strategy, selector) in [("None", "spec.host=a"), ("Webhook", "metadata.name=x"), ("Webhook", "")] {
            assert!(Judge::of(&testing::fields(strategy, selector), true).is_none(), "{strategy} {selector}");
        }
    }
}
