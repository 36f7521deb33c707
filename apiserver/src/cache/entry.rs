//! One object in a watch cache: its bytes, and what selectors ask of them, parsed when first asked.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use mainstay_store::Revision;
use serde::Deserialize;
use serde_json::Value;

/// A version of an object.
#[derive(Debug)]
pub struct CachedObject {
    /// Its key in the store.
    pub key: Bytes,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// JSON, revision included.
    pub value: Bytes,
    /// The revision that made this version.
    pub modified: Revision,
    parsed: OnceLock<Arc<Value>>,
    labels: OnceLock<BTreeMap<String, String>>,
}

impl CachedObject {
    /// Wraps stored bytes; `None` if the key is not an object's.
    pub fn new(key: Bytes, value: Bytes, modified: Revision) -> Option<Self> {
        let (_, namespace, name) = crate::key::split(&key)?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Some(Self { key, namespace, name, value, modified, parsed: OnceLock::new(), labels: OnceLock::new() })
    }

    /// The object, parsed once and kept.
    pub fn parsed(&self) -> Arc<Value> {
        self.parsed.get_or_init(|| Arc::new(crate::codec::decode(&self.value))).clone()
    }

    /// The object, parsed for this caller only: for passes over many objects that shall not fill memory.
    pub fn parse(&self) -> Arc<Value> {
        match self.parsed.get() {
            Some(value) => value.clone(),
            None => Arc::new(crate::codec::decode(&self.value)),
        }
    }

    /// The labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        self.labels.get_or_init(|| {
            serde_json::from_slice::<LabelsOnly>(&self.value)
                .map(|only| only.metadata.labels.unwrap_or_default())
                .unwrap_or_default()
        })
    }

    /// `spec.nodeName`, read without building the whole object.
    pub fn node_name(&self) -> Option<String> {
        serde_json::from_slice::<NodeNameOnly>(&self.value).ok()?.spec?.node_name.filter(|name| !name.is_empty())
    }

    /// Bytes held, roughly.
    pub fn size(&self) -> usize {
        self.value.len() + self.key.len() + 256
    }
}

#[derive(Deserialize)]
struct LabelsOnly {
    metadata: MetadataLabels,
}

#[derive(Deserialize)]
struct MetadataLabels {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct NodeNameOnly {
    #[serde(default)]
    spec: Option<SpecNodeName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecNodeName {
    #[serde(default)]
    node_name: Option<String>,
}
