//! Who owns whom, as far as the informers have seen. Memory only.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use mainstay_client::Target;

use crate::meta::{is_deleting, name, namespace, uid};

pub(crate) const FOREGROUND: &str = "foregroundDeletion";
pub(crate) const ORPHAN: &str = "orphan";

/// An object in the graph.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Shared by all of a kind.
    pub(crate) target: Arc<Target>,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) owners: Vec<OwnerReference>,
    pub(crate) deleting: bool,
    pub(crate) finalizers: Vec<String>,
}

impl Item {
    pub(crate) fn new(target: &Arc<Target>, meta: &ObjectMeta) -> Self {
        Item {
            target: target.clone(),
            namespace: namespace(meta).to_owned(),
            name: name(meta).to_owned(),
            uid: uid(meta).to_owned(),
            owners: meta.owner_references.clone().unwrap_or_default(),
            deleting: is_deleting(meta),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
        }
    }

    /// It is being deleted and waits for `finalizer`.
    pub(crate) fn waits_for(&self, finalizer: &str) -> bool {
        self.deleting && self.finalizers.iter().any(|f| f == finalizer)
    }
}

#[derive(Default)]
pub(crate) struct Graph {
    items: HashMap<String, Item>,
    dependents: HashMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Takes an object's newest state; returns the uids that have to be looked at because of it.
    pub(crate) fn put(&mut self, item: Item) -> Vec<String> {
        let mut affected = Vec::new();
        let old = self.items.get(&item.uid).cloned();
        for owner in old.iter().flat_map(|o| &o.owners) {
            if !item.owners.iter().any(|o| o.uid == owner.uid) {
                self.unlink(&owner.uid, &item.uid);
                // An owner that deletes its dependents first may have been waiting for this one.
                affected.push(owner.uid.clone());
            }
        }
        for owner in &item.owners {
            self.dependents.entry(owner.uid.clone()).or_default().insert(item.uid.clone());
        }
        if !item.owners.is_empty() || item.deleting {
            affected.push(item.uid.clone());
        }
        if item.waits_for(FOREGROUND) {
            affected.extend(self.dependents_of(&item.uid));
        }
        self.items.insert(item.uid.clone(), item);
        affected
    }

    /// Forgets an object; returns the uids that have to be looked at because of it.
    pub(crate) fn remove(&mut self, uid: &str) -> Vec<String> {
        let Some(item) = self.items.remove(uid) else { return Vec::new() };
        let mut affected = self.dependents_of(uid);
        for owner in item.owners {
            self.unlink(&owner.uid, uid);
            affected.push(owner.uid);
        }
        affected
    }

    fn unlink(&mut self, owner: &str, dependent: &str) {
        if let Some(set) = self.dependents.get_mut(owner) {
            set.remove(dependent);
            if set.is_empty() {
                self.dependents.remove(owner);
            }
        }
    }

    pub(crate) fn get(&self, uid: &str) -> Option<&Item> {
        self.items.get(uid)
    }

    pub(crate) fn dependents_of(&self, uid: &str) -> Vec<String> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// Dependents that exist and keep their owner from going while it deletes in the foreground.
    pub(crate) fn blockers_of(&self, owner: &str) -> Vec<String> {
        let blocks = |item: &Item| item.owners.iter().any(|o| o.uid == owner && o.block_owner_deletion == Some(true));
        let known = self.dependents_of(owner).into_iter();
        known.filter(|uid| self.items.get(uid).is_some_and(blocks)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(uid: &str, owner: Option<&str>) -> Item {
        let owners =
            owner.map(|o| OwnerReference { uid: o.into(), block_owner_deletion: Some(true), ..Default::default() });
        Item {
            target: Arc::new(Target::new("", "v1", "pods")),
            namespace: "x".into(),
            name: uid.into(),
            uid: uid.into(),
            owners: owners.into_iter().collect(),
            deleting: false,
            finalizers: Vec::new(),
        }
    }

    #[test]
    fn when_an_owner_goes_its_dependents_are_looked_at() {
        let mut graph = Graph::default();
        graph.put(item("owner", None));
        graph.put(item("child", Some("owner")));
        assert_eq!(graph.blockers_of("owner"), ["child"]);
        assert_eq!(graph.remove("owner"), ["child"]);
    }

    #[test]
    fn when_a_dependent_goes_or_is_released_its_owner_is_looked_at() {
        let mut graph = Graph::default();
        graph.put(item("owner", None));
        graph.put(item("a", Some("owner")));
        graph.put(item("b", Some("owner")));
        assert_eq!(graph.put(item("a", None)), ["owner"]);
        assert_eq!(graph.remove("b"), ["owner"]);
        assert!(graph.dependents_of("owner").is_empty());
    }
}
