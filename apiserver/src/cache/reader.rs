//! What strategies, admission and authorization read: the caches, as they stand.

use std::sync::Arc;

use serde_json::Value;

use super::Caches;
use crate::key::{ObjectKey, prefix};
use crate::strategy::Reader;

/// Reads objects from the watch caches.
#[derive(Clone)]
pub struct CacheReader(pub Arc<Caches>);

impl Reader for CacheReader {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = ObjectKey {
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.into(),
            name: name.into(),
        };
        self.0.of(group, resource).get(&key.encode()).map(|object| object.parsed())
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let snapshot = self.0.of(group, resource).snapshot();
        let prefix = prefix(group, resource, namespace);
        snapshot.under(&prefix).map(|object| object.parsed()).collect()
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let pods = self.0.of("", "pods").snapshot().on_node(node);
        pods.values().map(|object| object.parsed()).collect()
    }
}
