//! What a request expects in its body.

use mainstay_api::types::{self, Type};

use super::Target;

/// What a body has to be: the kind of the resource, or of the subresource.
pub(crate) struct Expected {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub object_type: Option<&'static Type>,
}

impl Expected {
    /// What a target's bodies are.
    pub(crate) fn of(target: &Target) -> Self {
        let row = &target.row.resource;
        let sub = row.subresource(&target.subresource).filter(|sub| !sub.kind.is_empty() && sub.kind != row.kind);
        match sub {
            Some(sub) => {
                let group = if sub.version.is_empty() { row.group.clone() } else { sub.group.clone() };
                let version = if sub.version.is_empty() { row.version.clone() } else { sub.version.clone() };
                let object_type = types::type_of(&group, &version, &sub.kind);
                Self { group, version, kind: sub.kind.clone(), object_type }
            }
            None => Self {
                group: row.group.clone(),
                version: row.version.clone(),
                kind: row.kind.clone(),
                object_type: row.object_type(),
            },
        }
    }

    pub(crate) fn api_version(&self) -> String {
        mainstay_api::resource::api_version(&self.group, &self.version)
    }
}
