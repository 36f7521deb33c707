//! Which objects belong to a controller: those it controls and whose labels match, plus orphans that match.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use mainstay_api::selector::LabelSelector;
use mainstay_client::{Api, Error, Object, Patch};
use serde_json::json;

use crate::meta::{controlled_by, controller_of, is_deleting, name, selects, uid};

/// What is to be done about ownership.
pub(crate) struct Claim<K> {
    /// Controlled already, and rightly.
    pub(crate) owned: Vec<Arc<K>>,
    /// To be taken over.
    pub(crate) adopt: Vec<Arc<K>>,
    /// Controlled, but the labels do not match any more.
    pub(crate) release: Vec<Arc<K>>,
}

/// Sorts `candidates` for an owner. One that is being deleted takes and leaves nothing.
pub(crate) fn claim<K: Object>(
    owner_uid: &str,
    owner_deleting: bool,
    selector: &LabelSelector,
    candidates: Vec<Arc<K>>,
) -> Claim<K> {
    let mut result = Claim { owned: Vec::new(), adopt: Vec::new(), release: Vec::new() };
    for object in candidates {
        let meta = object.metadata();
        let matches = selects(selector, meta);
        if controlled_by(meta, owner_uid) {
            if matches || owner_deleting {
                result.owned.push(object);
            } else {
                result.release.push(object);
            }
        } else if controller_of(meta).is_none() && matches && !owner_deleting && !is_deleting(meta) {
            result.adopt.push(object);
        }
    }
    result
}

impl<K: Object> Claim<K> {
    /// Writes adoptions and releases; returns everything owned afterwards. Objects that vanished meanwhile are left out.
    pub(crate) async fn settle(self, api: &Api<K>, owner: &OwnerReference) -> Result<Vec<Arc<K>>, Error> {
        let mut owned = self.owned;
        for object in self.release {
            let meta = object.metadata();
            let patch =
                json!({"metadata": {"uid": uid(meta), "ownerReferences": [{"$patch": "delete", "uid": owner.uid}]}});
            absent_is_fine(api.patch(name(meta), &Patch::Strategic(patch)).await)?;
        }
        for object in self.adopt {
            let meta = object.metadata();
            let patch = json!({"metadata": {"uid": uid(meta), "ownerReferences": [owner]}});
            if let Some(adopted) = absent_is_fine(api.patch(name(meta), &Patch::Strategic(patch)).await)? {
                owned.push(Arc::new(adopted));
            }
        }
        Ok(owned)
    }
}

/// None if the object is not there any more.
pub(crate) fn absent_is_fine<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}
