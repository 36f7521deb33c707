//! What is particular to a kind: which fields a write resets, what makes an object valid, what is allocated with it.
//!
//! The engine fixes the order of steps and asks a kind's [`Strategy`] at each. Everything here is defaulted, so a kind
//! without a file of its own (a custom resource, say) works by the facts of its [`Resource`] row alone.

use std::sync::Arc;

use jiff::Timestamp;
use mainstay_api::field::ErrorList;
use mainstay_api::names;
use mainstay_api::resource::Resource;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use crate::user::UserInfo;

pub(crate) mod base;
mod features;
mod internal;
mod kinds;
mod registry;
mod rules;
mod same;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod validate;
mod warnings;

pub(crate) use kinds::admission::{client_config, review_versions};
use kinds::certificates::signer_name;
pub(crate) use kinds::pod::qos_class;
pub use kinds::pod::{bind, set_condition};
pub use registry::for_resource;
pub(crate) use rules::Rules;

/// What strategies may know about the write that they are part of.
pub struct Context<'a> {
    /// The resource's row.
    pub resource: &'a Resource,
    /// The subresource written through; empty for the object itself.
    pub subresource: &'a str,
    /// The request's namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// The object's name.
    pub name: &'a str,
    /// Who writes.
    pub user: &'a UserInfo,
    /// The time of the request.
    pub now: Timestamp,
    /// The other objects, from the watch caches.
    pub reader: &'a dyn Reader,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// Reads objects in their stored version from the watch caches; they may be a moment old, so whatever must be unique is
/// guarded in the transaction too.
pub trait Reader: Send + Sync {
    /// One object.
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>>;

    /// All objects of a resource, of one namespace or of all.
    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>>;

    /// The pods that are bound to a node.
    fn pods_on(&self, node: &str) -> Vec<Arc<Value>> {
        let mut pods = self.list("", "pods", None);
        pods.retain(|pod| pod["spec"]["nodeName"] == node);
        pods
    }
}

/// A write to another object that happens in the same transaction as the object's own, or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum SideWrite {
    /// Creates the object; the transaction is guarded by its absence. Someone was faster if the guard fails:
    /// the engine calls [`Strategy::allocate`] again once the caches have caught up.
    Create {
        /// The other object's storage group.
        group: &'static str,
        /// Its plural name.
        resource: &'static str,
        /// Its namespace; empty if it is cluster-scoped.
        namespace: String,
        /// Its name.
        name: String,
        /// The object, complete but for uid, creation time and resource version.
        object: Value,
    },
    /// Replaces the object; the transaction is guarded by the revision that it was read at.
    Replace {
        /// The other object's storage group.
        group: &'static str,
        /// Its plural name.
        resource: &'static str,
        /// Its namespace; empty if it is cluster-scoped.
        namespace: String,
        /// Its name.
        name: String,
        /// The object as it shall be, with the resource version that it was read at.
        object: Value,
    },
    /// Deletes the object if it is there.
    Delete {
        /// The other object's storage group.
        group: &'static str,
        /// Its plural name.
        resource: &'static str,
        /// Its namespace; empty if it is cluster-scoped.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// The rules of a kind. Objects come in the version of storage; the engine validates metadata and moves
/// `metadata.generation` to its first value, and calls these in the order they are listed.
pub trait Strategy: Send + Sync {
    /// Sets what a creator cannot: drops the status, sets what the server owns. After mutating admission.
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
    }

    /// Takes from `old` what this endpoint may not write: the status through the object, the rest through `status`;
    /// moves `metadata.generation`.
    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        base::prepare_update(cx, new, old);
    }

    /// Assigns what is unique in the cluster. Called before validation for a create and an update, and again when a side
    /// write lost a race.
    ///
    /// # Errors
    /// What was asked for is taken, or nothing is left.
    fn allocate(&self, _cx: &Context<'_>, _obj: &mut Value, _old: Option<&Value>) -> ApiResult<Vec<SideWrite>> {
        Ok(Vec::new())
    }

    /// Writes that go with the removal of the object: what it had allocated is free again.
    fn release(&self, _cx: &Context<'_>, _obj: &Value) -> Vec<SideWrite> {
        Vec::new()
    }

    /// Defaults that a new object gets only from what the server has set in it, which Kubernetes gives when it is read
    /// for the first time. After validation and admission.
    fn complete(&self, _obj: &mut Value) {}

    /// The errors of a new object; metadata is validated by the engine.
    fn validate_create(&self, _cx: &Context<'_>, _obj: &Value) -> ErrorList {
        ErrorList::new()
    }

    /// The errors of a changed object; metadata is validated by the engine.
    fn validate_update(&self, _cx: &Context<'_>, _new: &Value, _old: &Value) -> ErrorList {
        ErrorList::new()
    }

    /// Texts for Warning headers.
    fn warnings(&self, _cx: &Context<'_>, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong with a name; `prefix` for a generateName, which may end in a dash.
    fn name_errors(&self, name: &str, prefix: bool) -> Vec<String> {
        let name = if prefix { names::mask_trailing_dash(name) } else { name.to_owned() };
        names::is_dns1123_subdomain(&name)
    }

    /// Whether a name of which only the beginning is given is made unlike all others; if not, the beginning is the name.
    fn draws_names(&self) -> bool {
        true
    }

    /// Seconds that a deletion leaves the object, or `None` if the kind knows no graceful deletion.
    /// `requested` is what the client asked for.
    fn delete_grace(&self, _cx: &Context<'_>, _obj: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// Texts for Warning headers of a deletion.
    fn delete_warnings(&self, _options: &crate::engine::options::DeleteOptions) -> Vec<String> {
        Vec::new()
    }

    /// Whether the kind begins deletions itself: preconditions are checked first, in the words of the storage, and the first
    /// request only marks the object.
    fn begins_deletion(&self) -> bool {
        false
    }

    /// Changes the object when its deletion begins, if [`Self::holds_deletion`] says so.
    fn begin_delete(&self, _cx: &Context<'_>, _obj: &mut Value) {}

    /// Something besides finalizers and grace keeps the object of which the deletion has begun.
    fn holds_deletion(&self, _obj: &Value) -> bool {
        false
    }
}
