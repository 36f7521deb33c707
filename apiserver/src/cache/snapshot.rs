//! One moment of a resource: its objects in order, and how many there are where.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use imbl::OrdMap;
use mainstay_store::Revision;

use super::entry::CachedObject;

type Objects = OrdMap<Bytes, Arc<CachedObject>>;

/// A consistent view of a resource. Copies share what they have in common.
#[derive(Clone)]
pub struct Snapshot {
    /// The objects by key.
    pub objects: Objects,
    /// Objects by `spec.nodeName`, where the resource has it.
    by_node: Option<OrdMap<String, Objects>>,
    /// How many objects a namespace has.
    by_namespace: OrdMap<String, usize>,
    /// The last change that this view holds.
    pub revision: Revision,
}

impl Snapshot {
    pub(super) fn empty(indexed_by_node: bool, revision: Revision) -> Self {
        let by_node = indexed_by_node.then(OrdMap::new);
        Self { objects: OrdMap::new(), by_node, by_namespace: OrdMap::new(), revision }
    }

    pub(super) fn is_indexed_by_node(&self) -> bool {
        self.by_node.is_some()
    }

    /// Puts an object in, in place of `previous`, its version before.
    pub(super) fn put(&mut self, object: Arc<CachedObject>, previous: Option<&CachedObject>) {
        self.leave_node(previous);
        if let Some((by_node, node)) = self.by_node.as_mut().zip(object.node_name()) {
            let mut objects = by_node.remove(&node).unwrap_or_default();
            objects.insert(object.key.clone(), object.clone());
            by_node.insert(node, objects);
        }
        if previous.is_none() {
            let count = self.count(Some(&object.namespace));
            self.by_namespace.insert(object.namespace.clone(), count + 1);
        }
        self.objects.insert(object.key.clone(), object);
    }

    /// Takes `previous` out.
    pub(super) fn remove(&mut self, previous: &CachedObject) {
        self.leave_node(Some(previous));
        match self.count(Some(&previous.namespace)) {
            0 | 1 => self.by_namespace.remove(&previous.namespace),
            count => self.by_namespace.insert(previous.namespace.clone(), count - 1),
        };
        self.objects.remove(&previous.key);
    }

    fn leave_node(&mut self, previous: Option<&CachedObject>) {
        let Some(by_node) = &mut self.by_node else { return };
        if let Some((previous, node)) = previous.and_then(|previous| Some((previous, previous.node_name()?))) {
            let mut objects = by_node.remove(&node).unwrap_or_default();
            objects.remove(&previous.key);
            if !objects.is_empty() {
                by_node.insert(node, objects);
            }
        }
    }

    /// How many objects a namespace has, or all of them.
    pub fn count(&self, namespace: Option<&str>) -> usize {
        match namespace {
            Some(namespace) => self.by_namespace.get(namespace).copied().unwrap_or(0),
            None => self.objects.len(),
        }
    }

    /// The objects with this `spec.nodeName`.
    pub fn on_node(&self, node: &str) -> OrdMap<Bytes, Arc<CachedObject>> {
        self.by_node.as_ref().and_then(|by_node| by_node.get(node)).cloned().unwrap_or_default()
    }

    /// The objects whose keys begin with `prefix`, in order.
    pub fn under<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = &'a Arc<CachedObject>> + 'a {
        self.under_after(prefix, None)
    }

    /// Those of them whose keys come after `after`.
    pub fn under_after<'a>(
        &'a self,
        prefix: &'a [u8],
        after: Option<&Bytes>,
    ) -> impl Iterator<Item = &'a Arc<CachedObject>> + 'a {
        let from = match after {
            Some(after) if after.as_ref() >= prefix => Bound::Excluded(after.clone()),
            _ => Bound::Included(Bytes::copy_from_slice(prefix)),
        };
        self.objects
            .range((from, Bound::Unbounded))
            .map(|(_, object)| object)
            .take_while(move |object| object.key.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, node: &str) -> Arc<CachedObject> {
        let key = Bytes::from(format!("/pods\0{namespace}\0{name}"));
        let value = Bytes::from(format!("{{\"metadata\":{{}},\"spec\":{{\"nodeName\":\"{node}\"}}}}"));
        Arc::new(CachedObject::new(key, value, Revision(1)).unwrap())
    }

    fn names(objects: impl Iterator<Item = impl AsRef<CachedObject>>) -> Vec<String> {
        objects.map(|object| object.as_ref().name.clone()).collect()
    }

    #[test]
    fn counts_and_the_index_follow_changes() {
        let mut view = Snapshot::empty(true, Revision(0));
        let (a, b) = (pod("x", "a", ""), pod("y", "b", "n1"));
        view.put(a.clone(), None);
        view.put(b.clone(), None);
        let moved = pod("x", "a", "n1");
        view.put(moved.clone(), Some(&a));
        assert_eq!([view.count(None), view.count(Some("x")), view.count(Some("z"))], [2, 1, 0]);
        assert_eq!(names(view.on_node("n1").values()), ["a", "b"]);
        view.remove(&moved);
        assert_eq!([view.count(None), view.count(Some("x"))], [1, 0]);
        assert_eq!(names(view.on_node("n1").values()), ["b"]);
    }

    #[test]
    fn a_range_begins_after_a_key_and_stays_under_its_prefix() {
        let mut view = Snapshot::empty(false, Revision(0));
        for (namespace, name) in [("w", "z"), ("x", "a"), ("x", "b"), ("y", "c")] {
            view.put(pod(namespace, name, ""), None);
        }
        let prefix = b"/pods\0x\0";
        assert_eq!(names(view.under(prefix)), ["a", "b"]);
        assert_eq!(names(view.under_after(prefix, Some(&Bytes::from_static(b"/pods\0x\0a")))), ["b"]);
        assert_eq!(names(view.under_after(prefix, Some(&Bytes::from_static(b"/pods\0w\0z")))), ["a", "b"]);
    }
}
