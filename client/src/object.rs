//! What the client asks of a kind: an identity, metadata, and JSON.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::key::Key;
use crate::slim::without_managed_fields;

/// A kind of `k8s-openapi` that has object metadata. `kinds.rs` lists those that implement it; any other goes through
/// [`crate::DynamicApi`].
pub trait Object:
    k8s_openapi::Resource + k8s_openapi::Metadata<Ty = ObjectMeta> + Sized + Send + Sync + 'static
{
    /// Reads the object's JSON.
    ///
    /// # Errors
    /// [`Error::Codec`] if the JSON is not of this kind.
    fn from_json(json: &[u8]) -> Result<Self>;

    /// The object as JSON.
    ///
    /// # Errors
    /// [`Error::Codec`] if JSON has no word for a value in it.
    fn to_json(&self) -> Result<Vec<u8>>;
}

/// What an informer can keep: decoded from the wire once, with metadata to find it by. It goes without `managedFields`, which
/// would be most of an object's memory; a write without them keeps those that are stored.
pub trait Observed: Send + Sync + Sized + 'static {
    /// Reads the object's JSON.
    ///
    /// # Errors
    /// [`Error::Codec`] if the JSON is not of this kind.
    fn decode(json: &[u8]) -> Result<Self>;

    /// The object's metadata.
    fn meta(&self) -> &ObjectMeta;
}

impl<K: Object> Observed for K {
    fn decode(json: &[u8]) -> Result<Self> {
        K::from_json(&without_managed_fields(json))
    }

    fn meta(&self) -> &ObjectMeta {
        self.metadata()
    }
}

/// Any object, of which only identity and metadata are kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataObject {
    /// Group and version.
    #[serde(default)]
    pub api_version: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
}

impl Observed for MetadataObject {
    fn decode(json: &[u8]) -> Result<Self> {
        serde_json::from_slice(&without_managed_fields(json)).map_err(Error::codec("object metadata"))
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
}

/// Namespace and name of an object.
pub fn object_key<K: Observed>(object: &K) -> Key {
    let meta = object.meta();
    Key::new(meta.namespace.as_deref().unwrap_or(""), meta.name.as_deref().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn informers_keep_no_managed_fields() {
        let json = br#"{"metadata":{"managedFields":[{"manager":"m","operation":"Update"}],"name":"a"}}"#;
        let (whole, only) = (ConfigMap::decode(json).unwrap(), MetadataObject::decode(json).unwrap());
        assert_eq!((whole.metadata.name.as_deref(), whole.metadata.managed_fields), (Some("a"), None));
        assert_eq!((only.metadata.name.as_deref(), only.metadata.managed_fields), (Some("a"), None));
    }
}
