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
use tonic::{Request, Response, Streaming};

use super::access::{authorize, call, options, respond, target, user};
use crate::authn::UserInfo;
use crate::engine::{
    Answer, Body, Call, Change, DeleteOptions, ListOptions, Listing, Operation, PatchKind, Target, stored_to_request,
};
use crate::rest::Rest;

pub(crate) struct ObjectsService {
    pub rest: Arc<Rest>,
}

type Reply<T> = Result<Response<T>, tonic::Status>;

fn answer(answer: Answer) -> ObjectResponse {
    ObjectResponse { object: answer.bytes, created: answer.created }
}

fn told<T>(result: ApiResult<Response<T>>) -> Reply<T> {
    result.map_err(|status| super::status(&status))
}

impl ObjectsService {
    async fn get_object(&self, request: Request<GetRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let message = request.into_inner();
        let target = target(&self.rest, message.r#ref)?;
        authorize(&self.rest, &user, "get", &target, "")?;
        Ok(Response::new(answer(self.rest.engine.get(&target, &message.resource_version).await?)))
    }

    async fn list_objects(&self, request: Request<ListRequest>) -> ApiResult<Response<ListResponse>> {
        let user = user(request.extensions())?;
        let (target, options) = self.list_call(request.into_inner())?;
        authorize(&self.rest, &user, "list", &target, &options.field_selector)?;
        let listing = self.rest.engine.list(&target, &options).await?;
        let listing = self.rest.engine.converted(&target.row, listing).await?;
        Ok(Response::new(listed(&target, &listing)?))
    }

    fn list_call(&self, message: ListRequest) -> ApiResult<(Target, ListOptions)> {
        let options = ListOptions {
            label_selector: message.label_selector,
            field_selector: message.field_selector,
            limit: message.limit.into(),
            continuation: message.r#continue,
            resource_version: message.resource_version,
            resource_version_match: message.resource_version_match,
            send_initial_events: None,
        };
        Ok((target(&self.rest, message.r#ref)?, options))
    }

    async fn create_object(&self, request: Request<CreateRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let target = target(&self.rest, message.r#ref)?;
        authorize(&self.rest, &user, "create", &target, "")?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = options(message.options, "CreateOptions", None)?;
        let result = self.rest.engine.create(&mut call, &target, Body::Json(message.object), &options).await?;
        Ok(respond(answer(result), &call))
    }

    async fn update_object(&self, request: Request<UpdateRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let target = target(&self.rest, message.r#ref)?;
        authorize(&self.rest, &user, "update", &target, "")?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = options(message.options, "UpdateOptions", None)?;
        let result = self.rest.engine.update(&mut call, &target, Body::Json(message.object), &options).await?;
        Ok(respond(answer(result), &call))
    }

    async fn patch_object(&self, request: Request<PatchRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let target = target(&self.rest, message.r#ref.clone())?;
        authorize(&self.rest, &user, "patch", &target, "")?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = options(message.options.clone(), "PatchOptions", None)?;
        let change = patch(&message)?;
        let result = self.rest.engine.modify(&mut call, &target, &change, &options).await?;
        Ok(respond(answer(result), &call))
    }

    async fn apply_object(&self, request: Request<ApplyRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let target = target(&self.rest, message.r#ref)?;
        authorize(&self.rest, &user, "patch", &target, "")?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = options(message.options, "PatchOptions", Some(message.force))?;
        let config = self.rest.engine.read_applied(&mut call, &target, &message.object, &options)?;
        let result = self.rest.engine.modify(&mut call, &target, &Change::Apply(config), &options).await?;
        Ok(respond(answer(result), &call))
    }

    async fn delete_object(&self, request: Request<DeleteRequest>) -> ApiResult<Response<ObjectResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let target = target(&self.rest, message.r#ref)?;
        authorize(&self.rest, &user, "delete", &target, "")?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = delete_options(&message.delete_options, message.options.as_ref())?;
        let result = self.rest.engine.delete(&mut call, &target, &options).await?;
        Ok(respond(answer(result), &call))
    }

    async fn delete_objects(&self, request: Request<DeleteCollectionRequest>) -> ApiResult<Response<ListResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let (target, list) = self.list_call(message.list.unwrap_or_default())?;
        authorize(&self.rest, &user, "deletecollection", &target, &list.field_selector)?;
        let mut call = call(user, &metadata, message.options.as_ref());
        let options = delete_options(&message.delete_options, message.options.as_ref())?;
        let listing = self.rest.engine.delete_collection(&mut call, &target, &list, &options).await?;
        Ok(respond(listed(&target, &listing)?, &call))
    }

    async fn transact(&self, request: Request<TxnRequest>) -> ApiResult<Response<TxnResponse>> {
        let user = user(request.extensions())?;
        let (metadata, _, message) = request.into_parts();
        let mut call = call(user.clone(), &metadata, message.options.as_ref());
        let options = options(message.options, "PatchOptions", None)?;
        let mut operations = Vec::with_capacity(message.operations.len());
        for operation in message.operations {
            operations.push(self.operation(&user, &mut call, operation)?);
        }
        let (answers, revision) = self.rest.engine.transact(&mut call, &operations, &options).await?;
        let results = answers.into_iter().map(answer).collect();
        Ok(respond(TxnResponse { results, resource_version: revision.0.to_string() }, &call))
    }

    fn operation(&self, user: &UserInfo, call: &mut Call, operation: TxnOperation) -> ApiResult<(Target, Operation)> {
        let operation =
            operation.operation.ok_or_else(|| Status::bad_request("an operation of the transaction is empty"))?;
        let allowed = |verb: &str, reference| -> ApiResult<Target> {
            let target = target(&self.rest, reference)?;
            authorize(&self.rest, user, verb, &target, "")?;
            Ok(target)
        };
        Ok(match operation {
            WireOperation::Create(create) => {
                (allowed("create", create.r#ref)?, Operation::Create(Body::Json(create.object)))
            }
            WireOperation::Update(update) => {
                (allowed("update", update.r#ref)?, Operation::Update(Body::Json(update.object)))
            }
            WireOperation::Patch(message) => {
                (allowed("patch", message.r#ref.clone())?, Operation::Change(patch(&message)?))
            }
            WireOperation::Apply(apply) => {
                let target = allowed("patch", apply.r#ref)?;
                let options = options(apply.options, "PatchOptions", Some(apply.force))?;
                let config = self.rest.engine.read_applied(call, &target, &apply.object, &options)?;
                (target, Operation::Change(Change::Apply(config)))
            }
            WireOperation::Delete(delete) => {
                let target = allowed("delete", delete.r#ref)?;
                (target, Operation::Delete(delete_options(&delete.delete_options, delete.options.as_ref())?))
            }
        })
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
        told(self.get_object(request).await)
    }

    async fn list(&self, request: Request<ListRequest>) -> Reply<ListResponse> {
        told(self.list_objects(request).await)
    }

    async fn create(&self, request: Request<CreateRequest>) -> Reply<ObjectResponse> {
        told(self.create_object(request).await)
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Reply<ObjectResponse> {
        told(self.update_object(request).await)
    }

    async fn patch(&self, request: Request<PatchRequest>) -> Reply<ObjectResponse> {
        told(self.patch_object(request).await)
    }

    async fn apply(&self, request: Request<ApplyRequest>) -> Reply<ObjectResponse> {
        told(self.apply_object(request).await)
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Reply<ObjectResponse> {
        told(self.delete_object(request).await)
    }

    async fn delete_collection(&self, request: Request<DeleteCollectionRequest>) -> Reply<ListResponse> {
        told(self.delete_objects(request).await)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Reply<TxnResponse> {
        told(self.transact(request).await)
    }

    type WatchStream = super::watch::Updates;

    async fn watch(&self, request: Request<Streaming<WatchCommand>>) -> Reply<Self::WatchStream> {
        let user = user(request.extensions()).map_err(|status| super::status(&status))?;
        Ok(Response::new(super::watch::serve(self.rest.clone(), user, request.into_inner())))
    }
}
