//! The calls on one collection, in bytes; `Api` and `DynamicApi` put types on top.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_proto::v1;
use mainstay_proto::v1::txn_operation::Operation;
use serde_json::Value;

use crate::client::{Client, Write};
use crate::error::{Error, Result};
use crate::options::{DeleteOptions, ListParams, ObjectList, Patch};
use crate::target::Target;
use crate::transport::Safety;
use crate::watch::{WatchSpec, Watcher};

/// Sends one request, cloned for each attempt.
macro_rules! send {
    ($raw:expr, $safety:expr, $method:ident, $request:expr) => {{
        let request = $request;
        let send = |mut client: mainstay_proto::v1::objects_client::ObjectsClient<crate::transport::BoxedService>| {
            let request = request.clone();
            async move { client.$method(request).await }
        };
        let response = $raw.client.transport().call($safety, send).await?;
        $raw.client.take(response)
    }};
}

/// A collection: a resource, in one namespace or over all.
#[derive(Clone)]
pub(crate) struct Raw {
    pub(crate) client: Client,
    pub(crate) target: Arc<Target>,
    pub(crate) namespace: String,
    pub(crate) options: v1::WriteOptions,
}

impl Raw {
    pub(crate) fn new(client: Client, target: Target, namespace: &str) -> Self {
        let options = client.options.clone();
        Raw { client, target: Arc::new(target), namespace: namespace.to_owned(), options }
    }

    pub(crate) fn reference(&self, namespace: &str, name: &str, subresource: &str) -> v1::ResourceRef {
        let namespace = if namespace.is_empty() { &self.namespace } else { namespace };
        v1::ResourceRef {
            group: self.target.group.clone(),
            version: self.target.version.clone(),
            resource: self.target.resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    pub(crate) async fn get(&self, name: &str, subresource: &str) -> Result<Bytes> {
        let reference = Some(self.reference("", name, subresource));
        let request = v1::GetRequest { r#ref: reference, resource_version: String::new() };
        Ok(send!(self, Safety::Read, get, request).object)
    }

    fn list_request(&self, params: &ListParams) -> v1::ListRequest {
        v1::ListRequest {
            r#ref: Some(self.reference("", "", "")),
            label_selector: params.labels.clone(),
            field_selector: params.fields.clone(),
            limit: params.limit,
            r#continue: params.continue_token.clone(),
            resource_version: params.resource_version.clone(),
            resource_version_match: String::new(),
        }
    }

    pub(crate) async fn list(&self, params: &ListParams) -> Result<ObjectList<Bytes>> {
        Ok(page(send!(self, Safety::Read, list, self.list_request(params))))
    }

    pub(crate) fn create_request(&self, namespace: &str, name: &str, sub: &str, object: Bytes) -> v1::CreateRequest {
        let reference = Some(self.reference(namespace, name, sub));
        v1::CreateRequest { r#ref: reference, object, options: Some(self.options.clone()) }
    }

    pub(crate) async fn create(&self, namespace: &str, name: &str, sub: &str, object: Bytes) -> Result<Bytes> {
        let request = self.create_request(namespace, name, sub, object);
        Ok(send!(self, Safety::Write, create, request).object)
    }

    pub(crate) fn update_request(&self, namespace: &str, name: &str, sub: &str, object: Bytes) -> v1::UpdateRequest {
        let reference = Some(self.reference(namespace, name, sub));
        v1::UpdateRequest { r#ref: reference, object, options: Some(self.options.clone()) }
    }

    pub(crate) async fn update(&self, namespace: &str, name: &str, sub: &str, object: Bytes) -> Result<Bytes> {
        let request = self.update_request(namespace, name, sub, object);
        Ok(send!(self, Safety::Write, update, request).object)
    }

    pub(crate) fn patch_request(&self, name: &str, sub: &str, patch: &Patch) -> Result<v1::PatchRequest> {
        let (kind, body) = match patch {
            Patch::Json(body) => (v1::PatchType::Json, body),
            Patch::Merge(body) => (v1::PatchType::Merge, body),
            Patch::Strategic(body) => (v1::PatchType::Strategic, body),
        };
        Ok(v1::PatchRequest {
            r#ref: Some(self.reference("", name, sub)),
            r#type: kind.into(),
            patch: encode(body)?,
            options: Some(self.options.clone()),
        })
    }

    pub(crate) async fn patch(&self, name: &str, sub: &str, patch: &Patch) -> Result<Bytes> {
        Ok(send!(self, Safety::Write, patch, self.patch_request(name, sub, patch)?).object)
    }

    pub(crate) async fn apply(&self, name: &str, sub: &str, object: Bytes, force: bool) -> Result<(Bytes, bool)> {
        let reference = Some(self.reference("", name, sub));
        let options = Some(self.options.clone());
        let answer = send!(self, Safety::Write, apply, v1::ApplyRequest { r#ref: reference, object, force, options });
        Ok((answer.object, answer.created))
    }

    pub(crate) fn delete_request(&self, name: &str, options: &DeleteOptions) -> Result<v1::DeleteRequest> {
        Ok(v1::DeleteRequest {
            r#ref: Some(self.reference("", name, "")),
            delete_options: encode(&options.to_json())?,
            options: Some(self.options.clone()),
        })
    }

    pub(crate) async fn delete(&self, name: &str, options: &DeleteOptions) -> Result<Bytes> {
        Ok(send!(self, Safety::Write, delete, self.delete_request(name, options)?).object)
    }

    pub(crate) async fn delete_all(&self, params: &ListParams, options: &DeleteOptions) -> Result<ObjectList<Bytes>> {
        let request = v1::DeleteCollectionRequest {
            list: Some(self.list_request(params)),
            delete_options: encode(&options.to_json())?,
            options: Some(self.options.clone()),
        };
        Ok(page(send!(self, Safety::Write, delete_collection, request)))
    }

    pub(crate) fn watch_spec(&self, params: &ListParams) -> WatchSpec {
        WatchSpec {
            reference: self.reference("", "", ""),
            labels: params.labels.clone(),
            fields: params.fields.clone(),
            resource_version: params.resource_version.clone(),
            send_initial_events: false,
        }
    }

    pub(crate) async fn watch(&self, params: &ListParams) -> Result<Watcher> {
        self.client.watch(self.watch_spec(params)).await
    }
}

pub(crate) fn write(operation: Operation) -> Write {
    Write(v1::TxnOperation { operation: Some(operation) })
}

pub(crate) fn encode(value: &Value) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(Error::codec("a request body"))
}

fn page(answer: v1::ListResponse) -> ObjectList<Bytes> {
    ObjectList {
        items: answer.items,
        resource_version: answer.resource_version,
        continue_token: answer.r#continue,
        remaining: answer.remaining_item_count,
    }
}
