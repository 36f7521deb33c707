//! Calls on objects whose kind is known only at run time.

use bytes::Bytes;
use mainstay_proto::v1::txn_operation::Operation;
use serde_json::Value;

use crate::client::{Client, Write};
use crate::error::{Error, Result};
use crate::options::{DeleteOptions, ListParams, ObjectList, Patch};
use crate::raw::{Raw, encode, write};
use crate::target::Target;
use crate::watch::Watcher;

/// Calls on the objects of one resource, in one namespace or over all.
#[derive(Clone)]
pub struct DynamicApi {
    pub(crate) raw: Raw,
}

impl DynamicApi {
    /// Over all namespaces, or of a cluster-scoped resource. Writes take the namespace from the object.
    pub fn all(client: Client, target: Target) -> Self {
        DynamicApi { raw: Raw::new(client, target, "") }
    }

    /// In one namespace.
    pub fn namespaced(client: Client, target: Target, namespace: &str) -> Self {
        DynamicApi { raw: Raw::new(client, target, namespace) }
    }

    /// The resource.
    pub fn target(&self) -> &Target {
        &self.raw.target
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

    /// "Ignore", "Warn" or "Strict" for unknown and duplicate fields.
    #[must_use]
    pub fn field_validation(mut self, how: &str) -> Self {
        how.clone_into(&mut self.raw.options.field_validation);
        self
    }

    /// An object, or with a subresource that.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, name: &str, subresource: &str) -> Result<Value> {
        value(&self.raw.get(name, subresource).await?)
    }

    /// An object, or None if it is not there.
    ///
    /// # Errors
    /// [`Error`] for all but 404.
    pub async fn get_opt(&self, name: &str) -> Result<Option<Value>> {
        match self.get(name, "").await {
            Err(error) if error.is_not_found() => Ok(None),
            other => other.map(Some),
        }
    }

    /// One page of objects.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list(&self, params: &ListParams) -> Result<ObjectList<Value>> {
        let page = self.raw.list(params).await?;
        let items = page.items.iter().map(value).collect::<Result<_>>()?;
        let ObjectList { resource_version, continue_token, remaining, .. } = page;
        Ok(ObjectList { items, resource_version, continue_token, remaining })
    }

    /// Makes the object.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create(&self, object: &Value) -> Result<Value> {
        value(&self.raw.create(text(object, "namespace"), "", "", encode(object)?).await?)
    }

    /// Posts to a subresource of `name`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_subresource(&self, name: &str, subresource: &str, body: &Value) -> Result<Value> {
        value(&self.raw.create("", name, subresource, encode(body)?).await?)
    }

    /// Replaces the object, or with a subresource that part of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn update(&self, object: &Value, subresource: &str) -> Result<Value> {
        let (namespace, name) = (text(object, "namespace"), text(object, "name"));
        value(&self.raw.update(namespace, name, subresource, encode(object)?).await?)
    }

    /// Changes the object, or with a subresource that part of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn patch(&self, name: &str, subresource: &str, patch: &Patch) -> Result<Value> {
        value(&self.raw.patch(name, subresource, patch).await?)
    }

    /// Server-side apply; also says whether the object was made by it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn apply(&self, name: &str, subresource: &str, object: &Value, force: bool) -> Result<(Value, bool)> {
        let (object, created) = self.raw.apply(name, subresource, encode(object)?, force).await?;
        Ok((value(&object)?, created))
    }

    /// Deletes the object; returns the server's answer (the object or a Status).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Value> {
        value(&self.raw.delete(name, options).await?)
    }

    /// Deletes all objects that `params` selects.
    ///
    /// # Errors
    /// [`Error`]; some objects may be gone then.
    pub async fn delete_all(&self, params: &ListParams, options: &DeleteOptions) -> Result<()> {
        self.raw.delete_all(params, options).await.map(|_| ())
    }

    /// Changes after `params.resource_version`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn watch(&self, params: &ListParams) -> Result<Watcher> {
        self.raw.watch(params).await
    }

    /// [`DynamicApi::create`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn create_op(&self, object: &Value) -> Result<Write> {
        let request = self.raw.create_request(text(object, "namespace"), "", "", encode(object)?);
        Ok(write(Operation::Create(request)))
    }

    /// [`DynamicApi::patch`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn patch_op(&self, name: &str, patch: &Patch) -> Result<Write> {
        Ok(write(Operation::Patch(self.raw.patch_request(name, "", patch)?)))
    }

    /// [`DynamicApi::delete`] as part of [`Client::txn`].
    ///
    /// # Errors
    /// [`Error::Codec`].
    pub fn delete_op(&self, name: &str, options: &DeleteOptions) -> Result<Write> {
        Ok(write(Operation::Delete(self.raw.delete_request(name, options)?)))
    }
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or("")
}

fn value(json: &Bytes) -> Result<Value> {
    if json.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(json).map_err(Error::codec("an answer"))
}
