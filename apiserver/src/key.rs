//! Where objects lie in the store: `<group>/<resource>\0<namespace>\0<name>`.
//!
//! The zero byte sorts before everything a name may contain, so a listing of a resource is ordered by namespace and
//! then by name, and one namespace is one range.

use bytes::Bytes;

/// The place of one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Group that stores the resource; empty for the core group.
    pub group: String,
    /// Plural name of the resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectKey {
    /// The key's bytes in the store.
    pub fn encode(&self) -> Bytes {
        let mut out =
            Vec::with_capacity(self.group.len() + self.resource.len() + self.namespace.len() + self.name.len() + 3);
        push_resource(&mut out, &self.group, &self.resource);
        out.extend_from_slice(self.namespace.as_bytes());
        out.push(0);
        out.extend_from_slice(self.name.as_bytes());
        out.into()
    }
}

/// The prefix of all objects of a resource, or of those in one namespace.
pub fn prefix(group: &str, resource: &str, namespace: Option<&str>) -> Bytes {
    let mut out = Vec::new();
    push_resource(&mut out, group, resource);
    if let Some(namespace) = namespace {
        out.extend_from_slice(namespace.as_bytes());
        out.push(0);
    }
    out.into()
}

fn push_resource(out: &mut Vec<u8>, group: &str, resource: &str) {
    out.extend_from_slice(group.as_bytes());
    out.push(b'/');
    out.extend_from_slice(resource.as_bytes());
    out.push(0);
}

/// The parts of a stored key: `<group>/<resource>`, namespace and name. `None` for keys that are not objects.
pub fn split(key: &[u8]) -> Option<(&str, &str, &str)> {
    let mut parts = key.splitn(3, |byte| *byte == 0);
    let mut next = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
    Some((next()?, next()?, next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_split_into_what_they_were_made_of() {
        let key =
            ObjectKey { group: "apps".into(), resource: "deployments".into(), namespace: "a".into(), name: "b".into() };
        assert_eq!(split(&key.encode()), Some(("apps/deployments", "a", "b")));
        assert!(key.encode().starts_with(&prefix("apps", "deployments", Some("a"))));
    }
}
