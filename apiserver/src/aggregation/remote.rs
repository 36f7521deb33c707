//! APIServices that another server serves, and what that server said it has: pure.

use base64::Engine as _;
use mainstay_api::meta;
use mainstay_api::resource::{Resource, Subresource};
use serde_json::Value;

use super::{API_SERVICES, GROUP};
use crate::strategy::Reader;

/// A group and version behind a service of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The APIService's name.
    pub name: String,
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub service: String,
    pub port: u16,
    /// What its certificate is verified with, PEM; empty for what the system trusts.
    pub roots: Vec<u8>,
    /// Its certificate is not verified.
    pub insecure: bool,
    /// The last word on whether it can be used.
    pub available: bool,
}

impl Remote {
    /// The remote that an APIService is about, if it is about one.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        object.pointer("/spec/service").filter(|service| service.is_object())?;
        let port = object.pointer("/spec/service/port").and_then(Value::as_u64).unwrap_or(443);
        let condition = available(object);
        Some(Self {
            name: meta::name(object).to_owned(),
            group: text("/spec/group").to_owned(),
            version: text("/spec/version").to_owned(),
            namespace: text("/spec/service/namespace").to_owned(),
            service: text("/spec/service/name").to_owned(),
            port: u16::try_from(port).unwrap_or(443),
            roots: base64::engine::general_purpose::STANDARD.decode(text("/spec/caBundle")).unwrap_or_default(),
            insecure: object.pointer("/spec/insecureSkipTLSVerify").and_then(Value::as_bool).unwrap_or_default(),
            available: condition.is_some_and(|condition| condition["status"] == "True"),
        })
    }

    /// The remote that serves a group and version.
    pub fn find(reader: &dyn Reader, group: &str, version: &str) -> Option<Self> {
        let object = reader.get(GROUP, API_SERVICES, "", &format!("{version}.{group}"))?;
        Self::of(&object)
    }

    /// All of them, by priority and name, as discovery lists them.
    pub fn all(reader: &dyn Reader) -> Vec<Self> {
        let priority = |object: &Value| {
            let number = |field: &str| object.pointer(&format!("/spec/{field}")).and_then(Value::as_i64).unwrap_or(0);
            (-number("groupPriorityMinimum"), -number("versionPriority"), meta::name(object).to_owned())
        };
        let mut objects = reader.list(GROUP, API_SERVICES, None);
        objects.sort_by_key(|object| priority(object));
        objects.iter().filter_map(|object| Self::of(object)).collect()
    }

    /// The name that its certificate is for.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    /// `/apis/<group>/<version>`.
    pub fn path(&self) -> String {
        format!("/apis/{}/{}", self.group, self.version)
    }
}

/// The condition `Available` of an APIService.
pub(crate) fn available(object: &Value) -> Option<&Value> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array)?;
    conditions.iter().find(|condition| condition["type"] == "Available")
}

/// The rows that a discovered list of resources stands for.
pub(crate) fn rows(remote: &Remote, list: &Value) -> Vec<Resource> {
    let entries = list.get("resources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let texts = |entry: &Value, field: &str| -> Vec<String> {
        let list = entry[field].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rows: Vec<Resource> = Vec::new();
    for entry in entries {
        let name = text(entry, "name");
        if let Some((owner, sub)) = name.split_once('/') {
            let own = |field: &str, fallback: &str| {
                let own = text(entry, field);
                if own.is_empty() { fallback.to_owned() } else { own }
            };
            let subresource = Subresource {
                name: sub.to_owned(),
                group: own("group", &remote.group),
                version: own("version", &remote.version),
                kind: text(entry, "kind"),
                verbs: texts(entry, "verbs"),
                reset: Vec::new(),
            };
            if let Some(row) = rows.iter_mut().find(|row| row.resource == owner) {
                row.subresources.push(subresource);
            }
            continue;
        }
        rows.push(Resource {
            group: remote.group.clone(),
            version: remote.version.clone(),
            resource: name,
            singular: text(entry, "singularName"),
            kind: text(entry, "kind"),
            short_names: texts(entry, "shortNames"),
            categories: texts(entry, "categories"),
            namespaced: entry["namespaced"].as_bool().unwrap_or_default(),
            verbs: texts(entry, "verbs"),
            storage_version_hash: text(entry, "storageVersionHash"),
            ..Resource::default()
        });
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_local_service_is_no_remote() {
        assert_eq!(Remote::of(&json!({"spec": {"group": "apps", "version": "v1"}})), None);
    }

    #[test]
    fn discovered_resources_become_rows() {
        let object = json!({"metadata": {"name": "v1.x.io"}, "spec": {"group": "x.io", "version": "v1",
            "service": {"name": "s", "namespace": "n"}}});
        let remote = Remote::of(&object).unwrap();
        assert_eq!((remote.port, remote.host().as_str(), remote.available), (443, "s.n.svc", false));
        let list = json!({"resources": [
            {"name": "things", "singularName": "thing", "kind": "Thing", "namespaced": true, "verbs": ["get"]},
            {"name": "things/status", "kind": "Thing", "verbs": ["get"]}]});
        let rows = rows(&remote, &list);
        assert_eq!((rows.len(), rows[0].subresources.len(), rows[0].kind.as_str()), (1, 1, "Thing"));
    }
}
