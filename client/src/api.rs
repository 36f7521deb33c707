//! Calls on the objects of one kind.

use std::marker::PhantomData;

use bytes::Bytes;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use mainstay_proto::v1::txn_operation::Operation;
use serde_json::{Value, json};

use crate::client::{Client, Write};
use crate::error::{Error, Result};
use crate::object::Object;
use crate::options::{DeleteOptions, ListParams, ObjectList, Patch};
use crate::raw::{Raw, encode, write};
use crate::target::Target;
use crate::watch::Watcher;

/// Calls on the objects of kind `K`, in one namespace or over all.
pub struct Api<K> {
    pub(crate) raw: Raw,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Api<K> {
    fn clone(&self) -> Self {
        Api { raw: self.raw.clone(), kind: PhantomData }
    }
}

impl<K: Object> Api<K> {
    /// Over all namespaces, or of a cluster-scoped kind. Writes take the namespace from the object.
    pub fn all(client: Client) -> Self {
        Self::of(client, "")
    }

    /// In one namespace.
    pub fn namespaced(client: Client, namespace: &str) -> Self
    where
        K: k8s_openapi::Resource<Scope = NamespaceResourceScope>,
    {
        Self::of(client, namespace)
    }

    fn of(client: Client, namespace: &str) -> Self {
        let target = Target::new(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT);
        Api { raw: Raw::new(client, target, namespace), kind: PhantomData }
    }

    /// The same kind in another namespace (empty: all, or a cluster-scoped kind).
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        let mut api = self.clone();
        namespace.clone_into(&mut api.raw.namespace);
        api
    }

    /// Writes go through everything but the store.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.raw.options.dry_run = dry_run;
        self
    }

    /// Writes own their fields under this name.
    #[must_use]
    pub fn manager(mut self, manager: &str) -> Self {
        manager.clone_into(&mut self.raw.options.field_manager);
        self
    }

    /// The client below.
    pub fn client(&self) -> &Client {
        &self.raw.client
    }

    /// The object of this name.
    ///
    /// # Errors
    /// 404 if it is not there; [`Error`] else.
    pub async fn get(&self, name: &str) -> Result<K> {
        K::from_json(&self.raw.get(name, "").await?)
    }

    /// The object of this name, or None if it is not there.
    ///
    /// # Errors
    /// [`Error`] for all but 404.
    pub async fn get_opt(&self, name: &str) -> Result<Option<K>> {
        match self.get(name).await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// One page of objects.
    ///
    /// # Errors
    /// 410 if the continuation is too old; [`Error`] else.
    pub async fn list(&self, params: &ListParams) -> Result<ObjectList<K>> {
        typed(self.raw.list(params).await?)
    }

    /// Makes the object.
    ///
    /// # Errors
    /// AlreadyExists, Invalid, Forbidden; [`Error`] else.
    pub async fn create(&self, object: &K) -> Result<K> {
        let (namespace, _) = place(object);
        K::from_json(&self.raw.create(namespace, "", "", json_of(object)?).await?)
    }

    /// Replaces the object; its resource version, if set, must be the stored one.
    ///
    /// # Errors
    /// Conflict, NotFound, Invalid; [`Error`] else.
    pub async fn update(&self, object: &K) -> Result<K> {
        let (namespace, name) = place(object);
        K::from_json(&self.raw.update(namespace, name, "", json_of(object)?).await?)
    }

    /// Replaces the object's status.
    ///
    /// # Errors
    /// As [`Api::update`].
    pub async fn update_status(&self, object: &K) -> Result<K> {
        self.update_subresource(object, "status").await
    }

    /// Replaces what a subresource of the object is about, such as `approval`.
    ///
    /// # Errors
    /// As [`Api::update`].
    pub async fn update_subresource(&self, object: &K, subresource: &str) -> Result<K> {
        let (namespace, name) = place(object);
        K::from_json(&self.raw.update(namespace, name, subresource, json_of(object)?).await?)
    }

    /// Changes the object.
    ///
    /// # Errors
    /// NotFound, Invalid, Conflict; [`Error`] else.
    pub async fn patch(&self, name: &str, patch: &Patch) -> Result<K> {
        K::from_json(&self.raw.patch(name, "", patch).await?)
    }

    /// Changes a subresource (`status`, `scale`, …); returns the answer as it came.
    ///
    /// # Errors
    /// As [`Api::patch`].
    pub async fn patch_subresource(&self, name: &str, subresource: &str, patch: &Patch) -> Result<Value> {
        value(&self.raw.patch(name, subresource, patch).await?)
    }

    /// Changes the object's status.
    ///
    /// # Errors
    /// As [`Api::patch`].
    pub async fn patch_status(&self, name: &str, patch: &Patch) -> Result<K> {
        K::from_json(&self.raw.patch(name, "status", patch).await?)
    }

    /// Server-side apply of the fields in `object`, under the manager of this handle.
    ///
    /// # Errors
    /// Conflict if others own fields and `force` is not set; [`Error`] else.
    pub async fn apply(&self, name: &str, object: &Value, force: bool) -> Result<K> {
        K::from_json(&self.raw.apply(name, "", encode(object)?, force).await?.0)
    }

    /// Server-side apply of the status in `object`, under the manager of this handle.
    ///
    /// # Errors
    /// NotFound; otherwise as [`Api::apply`].
    pub async fn apply_status(&self, name: &str, object: &Value, force: bool) -> Result<K> {
        K::from_json(&self.raw.apply(name, "status", encode(object)?, force).await?.0)
    }

    /// Deletes the object; with a grace period or finalizers it may stay for a while.
    ///
    /// # Errors
    /// NotFound, Conflict on a precondition; [`Error`] else.
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<()> {
        self.raw.delete(name, options).await.map(|_| ())
    }

    /// Deletes all objects that `params` selects.
    ///
    /// # Errors
    /// [`Error`]; some objects may be gone then.
    pub async fn delete_all(&self, params: &ListParams, options: &DeleteOptions) -> Result<()> {
        self.raw.delete_all(params, options).await.map(|_| ())
    }

    /// Posts `body` to a subresource (`token`, `binding`, …) and returns the answer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_subresource(&self, name: &str, subresource: &str, body: &Value) -> Result<Value> {
        value(&self.raw.create("", name, subresource, encode(body)?).await?)
    }

    /// Reads a subresource.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get_subresource(&self, name: &str, subresource: &str) -> Result<Value> {
        value(&self.raw.get(name, subresource).await?)
    }

    /// Changes of the objects that `params` selects, after its resource version.
    ///
    /// # Errors
    /// [`Error::Shutdown`]; what the server refuses comes with the first event.
    pub async fn watch(&self, params: &ListParams) -> Result<Watcher> {
        self.raw.watch(params).await
    }

    /// [`Api::create`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn create_op(&self, object: &K) -> Result<Write> {
        let (namespace, _) = place(object);
        Ok(write(Operation::Create(self.raw.create_request(namespace, "", "", json_of(object)?))))
    }

    /// [`Api::update`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn update_op(&self, object: &K) -> Result<Write> {
        let (namespace, name) = place(object);
        Ok(write(Operation::Update(self.raw.update_request(namespace, name, "", json_of(object)?))))
    }

    /// [`Api::update_status`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn update_status_op(&self, object: &K) -> Result<Write> {
        let (namespace, name) = place(object);
        Ok(write(Operation::Update(self.raw.update_request(namespace, name, "status", json_of(object)?))))
    }

    /// [`Api::patch`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn patch_op(&self, name: &str, patch: &Patch) -> Result<Write> {
        Ok(write(Operation::Patch(self.raw.patch_request(name, "", patch)?)))
    }

    /// [`Api::delete`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn delete_op(&self, name: &str, options: &DeleteOptions) -> Result<Write> {
        Ok(write(Operation::Delete(self.raw.delete_request(name, options)?)))
    }
}

impl Api<Pod> {
    /// Evicts a pod: a deletion that disruption budgets may refuse with 429.
    ///
    /// # Errors
    /// TooManyRequests, NotFound; [`Error`] else.
    pub async fn evict(&self, name: &str, options: &DeleteOptions) -> Result<()> {
        let body = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.raw.namespace}, "deleteOptions": options.to_json(),
        });
        self.create_subresource(name, "eviction", &body).await.map(|_| ())
    }

    /// Binds a pod to a node.
    ///
    /// # Errors
    /// Conflict if it is bound; NotFound; [`Error`] else.
    pub async fn bind(&self, name: &str, uid: &str, node: &str) -> Result<()> {
        self.create_subresource(name, "binding", &binding(&self.raw.namespace, name, uid, node)).await.map(|_| ())
    }

    /// [`Api::bind`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn bind_op(&self, name: &str, uid: &str, node: &str) -> Result<Write> {
        let body = encode(&binding(&self.raw.namespace, name, uid, node))?;
        Ok(write(Operation::Create(self.raw.create_request("", name, "binding", body))))
    }
}

fn binding(namespace: &str, name: &str, uid: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    })
}

/// An empty namespace leaves it to the handle.
fn place<K: Object>(object: &K) -> (&str, &str) {
    let meta = object.metadata();
    (meta.namespace.as_deref().unwrap_or(""), meta.name.as_deref().unwrap_or(""))
}

fn json_of<K: Object>(object: &K) -> Result<Bytes> {
    object.to_json().map(Bytes::from)
}

fn value(json: &[u8]) -> Result<Value> {
    if json.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(json).map_err(Error::codec("an answer"))
}

fn typed<K: Object>(page: ObjectList<Bytes>) -> Result<ObjectList<K>> {
    let items = page.items.iter().map(|item| K::from_json(item)).collect::<Result<_>>()?;
    let ObjectList { resource_version, continue_token, remaining, .. } = page;
    Ok(ObjectList { items, resource_version, continue_token, remaining })
}
