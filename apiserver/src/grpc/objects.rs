//! `Objects`: the verbs of the engine.

use std::sync::Arc;

use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::objects_server::Objects;
use mainstay_proto::v1::txn_operation::Operation as WireOperation;
use mainstay_proto::v1::{
    ApplyRequest, CreateRequest, DeleteCollectionRequest, DeleteRequest, GetRequest, ListRequest, ListResponse,
    ObjectResponse, PatchRequest, PatchType, TxnOperation, TxnRequest, TxnResponse, UpdateRequest, WatchCommand,
    WriteOptions as WireOptions,
};
use serde_json::json;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Streaming};

use super::access::{collection, options, respond, target};
use super::asking::{Asking, Way};
use crate::engine::{
    Answer, Body, Change, DeleteOptions, ListOptions, Listing, Operation, PatchKind, Target, stored_to_request,
};
use crate::rest::Rest;

pub(crate) struct ObjectsService {
    pub rest: Arc<Rest>,
}

type Reply<T> = Result<Response<T>, tonic::Status>;

fn answer(answer: Answer) -> ObjectResponse {
    ObjectResponse { object: answer.bytes, created: answer.created }
}

impl ObjectsService {
    /// The call, its metadata and its message.
    fn begin<T>(&self, request: Request<T>) -> Result<(Asking, MetadataMap, T), tonic::Status> {
        let (metadata, extensions, message) = request.into_parts();
        let asking = Asking::of(&self.rest, &extensions).map_err(|status| super::status(&status))?;
        Ok((asking, metadata, message))
    }

    async fn in_time<T>(&self, answer: impl Future<Output = ApiResult<T>>) -> ApiResult<T> {
        match tokio::time::timeout(self.rest.deadline, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::timeout("request did not complete within the allotted timeout", 0)),
        }
    }

    async fn get_object(&self, asking: &Asking, message: GetRequest) -> ApiResult<Response<ObjectResponse>> {
        let target = target(&self.rest, message.r#ref).await?;
        asking.authorize("get", &target, "").await?;
        Ok(Response::new(answer(self.rest.engine.get(&target, &message.resource_version).await?)))
    }

    async fn list_objects(&self, asking: &Asking, message: ListRequest) -> ApiResult<Response<ListResponse>> {
        let (target, options) = self.list_call(message).await?;
        asking.authorize("list", &target, &options.field_selector).await?;
        let listing = self.rest.engine.list(&target, &options).await?;
        let listing = self.rest.engine.converted(&target.row, listing).await?;
        Ok(Response::new(listed(&target, &listing)?))
    }

    async fn list_call(&self, message: ListRequest) -> ApiResult<(Target, ListOptions)> {
        let options = ListOptions {
            label_selector: message.label_selector,
            field_selector: message.field_selector,
            limit: message.limit.into(),
            continuation: message.r#continue,
            resource_version: message.resource_version,
            resource_version_match: message.resource_version_match,
            send_initial_events: None,
        };
        Ok((collection(target(&self.rest, message.r#ref).await?), options))
    }

    async fn create_object(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: CreateRequest,
    ) -> ApiResult<Response<ObjectResponse>> {
        let target = collection(target(&self.rest, message.r#ref).await?);
        asking.authorize("create", &target, "").await?;
        asking.sent(&message.object);
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = options(message.options, "CreateOptions", None)?;
        let result = self.rest.engine.create(&mut call, &target, Body::Json(message.object), &options).await;
        asking.noted(&call);
        Ok(respond(answer(result?), &call))
    }

    async fn update_object(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: UpdateRequest,
    ) -> ApiResult<Response<ObjectResponse>> {
        let target = target(&self.rest, message.r#ref).await?;
        asking.authorize("update", &target, "").await?;
        asking.sent(&message.object);
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = options(message.options, "UpdateOptions", None)?;
        let result = self.rest.engine.update(&mut call, &target, Body::Json(message.object), &options).await;
        asking.noted(&call);
        Ok(respond(answer(result?), &call))
    }

    async fn patch_object(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: PatchRequest,
    ) -> ApiResult<Response<ObjectResponse>> {
        let target = target(&self.rest, message.r#ref.clone()).await?;
        asking.authorize("patch", &target, "").await?;
        asking.sent(&message.patch);
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = options(message.options.clone(), "PatchOptions", None)?;
        let change = patch(&message)?;
        let result = self.rest.engine.modify(&mut call, &target, &change, &options).await;
        asking.noted(&call);
        Ok(respond(answer(result?), &call))
    }

    async fn apply_object(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: ApplyRequest,
    ) -> ApiResult<Response<ObjectResponse>> {
        let target = target(&self.rest, message.r#ref).await?;
        asking.authorize("patch", &target, "").await?;
        asking.sent(&message.object);
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = options(message.options, "PatchOptions", Some(message.force))?;
        let config = self.rest.engine.read_applied(&target, &message.object, &options)?;
        let result = self.rest.engine.modify(&mut call, &target, &Change::Apply(config), &options).await;
        asking.noted(&call);
        Ok(respond(answer(result?), &call))
    }

    async fn delete_object(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: DeleteRequest,
    ) -> ApiResult<Response<ObjectResponse>> {
        let target = target(&self.rest, message.r#ref).await?;
        asking.authorize("delete", &target, "").await?;
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = delete_options(&message.delete_options, message.options.as_ref())?;
        let result = self.rest.engine.delete(&mut call, &target, &options).await;
        asking.noted(&call);
        Ok(respond(answer(result?), &call))
    }

    async fn delete_objects(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: DeleteCollectionRequest,
    ) -> ApiResult<Response<ListResponse>> {
        let (target, list) = self.list_call(message.list.unwrap_or_default()).await?;
        asking.authorize("deletecollection", &target, &list.field_selector).await?;
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = delete_options(&message.delete_options, message.options.as_ref())?;
        let listing = self.rest.engine.delete_collection(&mut call, &target, &list, &options).await;
        asking.noted(&call);
        Ok(respond(listed(&target, &listing?)?, &call))
    }

    async fn transact(
        &self,
        asking: &Asking,
        metadata: &MetadataMap,
        message: TxnRequest,
    ) -> ApiResult<Response<TxnResponse>> {
        let mut call = asking.call(metadata, message.options.as_ref());
        let options = options(message.options, "PatchOptions", None)?;
        let mut operations = Vec::with_capacity(message.operations.len());
        for operation in message.operations {
            operations.push(self.operation(asking, operation).await?);
        }
        let done = self.rest.engine.transact(&mut call, &operations, &options).await;
        asking.noted(&call);
        let (answers, revision) = done?;
        let results = answers.into_iter().map(answer).collect();
        Ok(respond(TxnResponse { results, resource_version: revision.0.to_string() }, &call))
    }

    async fn operation(&self, asking: &Asking, operation: TxnOperation) -> ApiResult<(Target, Operation)> {
        let operation =
            operation.operation.ok_or_else(|| Status::bad_request("an operation of the transaction is empty"))?;
        let (verb, reference, body) = match &operation {
            WireOperation::Create(one) => ("create", one.r#ref.clone(), &one.object),
            WireOperation::Update(one) => ("update", one.r#ref.clone(), &one.object),
            WireOperation::Patch(one) => ("patch", one.r#ref.clone(), &one.patch),
            WireOperation::Apply(one) => ("patch", one.r#ref.clone(), &one.object),
            WireOperation::Delete(one) => ("delete", one.r#ref.clone(), &one.delete_options),
        };
        let target = target(&self.rest, reference).await?;
        let target = if verb == "create" { collection(target) } else { target };
        asking.authorize(verb, &target, "").await?;
        asking.sent(body);
        let operation = match operation {
            WireOperation::Create(create) => Operation::Create(Body::Json(create.object)),
            WireOperation::Update(update) => Operation::Update(Body::Json(update.object)),
            WireOperation::Patch(message) => Operation::Change(patch(&message)?),
            WireOperation::Apply(apply) => {
                let options = options(apply.options, "PatchOptions", Some(apply.force))?;
                let config = self.rest.engine.read_applied(&target, &apply.object, &options)?;
                Operation::Change(Change::Apply(config))
            }
            WireOperation::Delete(delete) => {
                Operation::Delete(delete_options(&delete.delete_options, delete.options.as_ref())?)
            }
        };
        Ok((target, operation))
    }
}

fn patch(message: &PatchRequest) -> ApiResult<Change> {
    let kind = match message.r#type() {
        PatchType::Json => PatchKind::Json,
        PatchType::Merge => PatchKind::Merge,
        PatchType::Strategic => PatchKind::Strategic,
        PatchType::Unspecified => return Err(Status::bad_request("the patch names no type")),
    };
    Ok(Change::Patch(kind, message.patch.clone()))
}

fn delete_options(bytes: &[u8], options: Option<&WireOptions>) -> ApiResult<DeleteOptions> {
    let raw = if bytes.is_empty() { json!({}) } else { crate::engine::parse_options(bytes)? };
    let parsed = DeleteOptions::parse(raw)?;
    Ok(DeleteOptions { dry_run: parsed.dry_run || options.is_some_and(|options| options.dry_run), ..parsed })
}

fn listed(target: &Target, listing: &Listing) -> ApiResult<ListResponse> {
    let items = listing.items.iter().map(|item| stored_to_request(&target.row, item.value.clone()));
    Ok(ListResponse {
        items: items.collect::<ApiResult<_>>()?,
        resource_version: listing.revision.0.to_string(),
        r#continue: listing.continuation.clone(),
        remaining_item_count: listing.remaining,
    })
}

#[tonic::async_trait]
impl Objects for ObjectsService {
    async fn get(&self, request: Request<GetRequest>) -> Reply<ObjectResponse> {
        let (asking, _, message) = self.begin(request)?;
        let answer = self.in_time(self.get_object(&asking, message)).await;
        asking.told(answer)
    }

    async fn list(&self, request: Request<ListRequest>) -> Reply<ListResponse> {
        let (asking, _, message) = self.begin(request)?;
        let answer = self.in_time(self.list_objects(&asking, message)).await;
        asking.told(answer)
    }

    async fn create(&self, request: Request<CreateRequest>) -> Reply<ObjectResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.create_object(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Reply<ObjectResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.update_object(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn patch(&self, request: Request<PatchRequest>) -> Reply<ObjectResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.patch_object(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Reply<ObjectResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.apply_object(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Reply<ObjectResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.delete_object(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn delete_collection(&self, request: Request<DeleteCollectionRequest>) -> Reply<ListResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.delete_objects(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Reply<TxnResponse> {
        let (asking, metadata, message) = self.begin(request)?;
        let answer = self.in_time(self.transact(&asking, &metadata, message)).await;
        asking.told(answer)
    }

    type WatchStream = super::watch::Updates;

    async fn watch(&self, request: Request<Streaming<WatchCommand>>) -> Reply<Self::WatchStream> {
        let way = request.extensions().get::<Arc<Way>>().cloned();
        let way = way.ok_or_else(|| super::status(&Status::unauthorized()))?;
        Ok(Response::new(super::watch::serve(self.rest.clone(), way, request.into_inner())))
    }
}
