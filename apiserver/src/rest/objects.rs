//! Routing of requests for objects, and the verbs.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, header};
use mainstay_api::status::{ApiResult, Status};
use tonic::body::Body;

use super::Rest;
use super::admitted::Admitted;
use super::body::read;
use super::negotiate::{self, Form, Media, Shape};
use super::query::Query;
use super::respond::{self, Include};
use super::served::{check_place, check_subresource, check_verb, is_there, nothing_here, unsupported};
use crate::aggregation::remote::Remote;
use crate::engine::{Answer, Body as ObjectBody, Call, Change, ListOptions, PatchKind, RawOptions, Target};
use crate::registry::Row;

/// Routes a request that has passed the filters.
pub(crate) async fn route(rest: Arc<Rest>, request: Admitted) -> Response<Body> {
    if !request.info.is_resource {
        return super::discovery::route(&rest, request).await;
    }
    let form = respond::error_form(&request.parts);
    let (group, version, resource) = (&request.info.group, &request.info.version, &request.info.resource);
    let mut found = rest.engine.registry().find(group, version, resource);
    if found.is_none() {
        if let Some(remote) = Remote::find(&rest.engine.reader, group, version) {
            return super::aggregated::proxy(&rest, &remote, request).await;
        }
        found = match rest.engine.late_row(group, version, resource).await {
            Ok(late) => late,
            Err(status) => return respond::error(form, &status),
        };
    }
    let Some(row) = found else { return nothing_here(&rest, &request, form) };
    if row.custom && !is_there(&request.info, &row) {
        return nothing_here(&rest, &request, form);
    }
    let warning = deprecation(&row);
    let answered = dispatch(&rest, request, row).await;
    let unrouted = matches!(&answered, Err(status) if *status == Status::method_not_allowed());
    let mut response = answered.unwrap_or_else(|status| respond::error(form, &status));
    if !unrouted {
        respond::warn(&mut response, warning.as_slice());
    }
    response
}

/// What clients of an old resource are told, whatever they do with it.
fn deprecation(row: &Row) -> Option<String> {
    if let Some(served) = &row.served {
        return served.warning.clone();
    }
    let text = match (row.resource.group.as_str(), row.resource.resource.as_str()) {
        ("", "endpoints") => "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
        ("", "componentstatuses") => "v1 ComponentStatus is deprecated in v1.19+",
        _ => return None,
    };
    Some(text.to_owned())
}

async fn dispatch(rest: &Arc<Rest>, request: Admitted, row: Arc<Row>) -> ApiResult<Response<Body>> {
    check_place(&request, &row)?;
    check_subresource(&request.info, &row)?;
    verb(rest, request, row).await
}

fn target(request: &Admitted, row: Arc<Row>) -> Target {
    let namespace = if row.resource.namespaced { request.info.namespace.clone() } else { String::new() };
    Target { row, namespace, name: request.info.name.clone(), subresource: request.info.subresource.clone() }
}

async fn verb(rest: &Arc<Rest>, request: Admitted, row: Arc<Row>) -> ApiResult<Response<Body>> {
    check_verb(&request, &row)?;
    let target = target(&request, row);
    // A head is had of custom objects and of what is proxied to, but of nothing else.
    if request.parts.method == Method::HEAD && request.info.subresource != "proxy" {
        return head(rest, request, target).await;
    }
    if super::connect::connects(&target) {
        return super::connect::connect(rest, request, target).await;
    }
    match request.info.verb {
        "watch" => super::watching::watch(rest, request, target).await,
        "list" => list(rest, request, target).await,
        "get" => get(rest, request, target).await,
        "create" => create(rest, request, target).await,
        "update" => update(rest, request, target).await,
        "patch" => patch(rest, request, target).await,
        "delete" => delete(rest, request, target).await,
        "deletecollection" => delete_collection(rest, request, target).await,
        _ => Err(unsupported(&request.info, &target.row)),
    }
}

/// The answer to a read of custom objects, without its body.
async fn head(rest: &Arc<Rest>, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let answer = match request.info.verb {
        "get" if target.row.custom => get(rest, request, target).await?,
        "list" if target.row.custom => list(rest, request, target).await?,
        _ => return Err(Status::method_not_allowed()),
    };
    Ok(answer.map(|_| Body::empty()))
}

fn include(form: Form, query: &Query) -> ApiResult<Include> {
    if form.shape == Shape::Table { Include::parse(query.text("includeObject")) } else { Ok(Include::Metadata) }
}

pub(crate) fn call_of(request: &Admitted) -> Call {
    Call::new(request.user.clone(), request.user_agent(), None)
}

async fn get(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, false)?;
    let answer = rest.engine.get(&target, request.query.text("resourceVersion")).await?;
    respond::object(form, &target.row, &answer, 200, include(form, &request.query)?)
}

/// The list options of a query.
pub(crate) fn list_options(query: &Query) -> ApiResult<ListOptions> {
    Ok(ListOptions {
        label_selector: query.text("labelSelector").to_owned(),
        field_selector: query.text("fieldSelector").to_owned(),
        limit: query.int("limit")?.unwrap_or(0),
        continuation: query.text("continue").to_owned(),
        resource_version: query.text("resourceVersion").to_owned(),
        resource_version_match: query.text("resourceVersionMatch").to_owned(),
        send_initial_events: query.get("sendInitialEvents").is_some().then(|| query.flag("sendInitialEvents")),
    })
}

/// Whether a list has no pages, whatever is asked: what may be of any age comes from Kubernetes' watch cache, and that whole;
/// events it does not hold.
fn comes_whole(target: &Target, options: &ListOptions) -> bool {
    let cached = target.row.custom || target.resource() != "events";
    options.resource_version == "0" && options.continuation.is_empty() && cached
}

async fn list(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, true)?;
    request.query.int("timeoutSeconds")?;
    let mut options = list_options(&request.query)?;
    if comes_whole(&target, &options) {
        options.limit = 0;
    }
    let target = Target { name: String::new(), ..target };
    let listing = rest.engine.list(&target, &options).await?;
    let listing = rest.engine.converted(&target.row, listing).await?;
    let include = include(form, &request.query)?;
    respond::list(form, &target.row, listing, include, request.header(header::ACCEPT_ENCODING))
}

pub(crate) fn raw_options(query: &Query) -> RawOptions {
    RawOptions {
        dry_run: query.all("dryRun"),
        field_manager: query.text("fieldManager").to_owned(),
        field_validation: query.text("fieldValidation").to_owned(),
        force: query.get("force").map(|_| query.flag("force")),
    }
}

/// A request body in its media type.
fn object_body(media: Media, bytes: Bytes) -> ObjectBody {
    match media {
        Media::Json => ObjectBody::Json(bytes),
        Media::Yaml => ObjectBody::Yaml(bytes),
        Media::Protobuf => ObjectBody::Protobuf(bytes),
    }
}

/// An answer with the warnings of its call, and with what the audit log is told.
pub(crate) fn finish(call: &Call, response: ApiResult<Response<Body>>, form: Form) -> ApiResult<Response<Body>> {
    let mut response = match response {
        Ok(response) => response,
        Err(status) if call.warnings.is_empty() && call.notes.is_empty() => return Err(status),
        Err(status) => respond::error(form, &status),
    };
    respond::warn(&mut response, &call.warnings);
    if !call.notes.is_empty() {
        response.extensions_mut().insert(call.notes.clone());
    }
    Ok(response)
}

/// The answer to a write; what the query asks of its form is looked at when the write is done.
fn written(form: Form, target: &Target, answer: &Answer, query: &Query) -> ApiResult<Response<Body>> {
    let code = if answer.created {
        201
    } else if answer.accepted {
        202
    } else {
        200
    };
    respond::object(form, &target.row, answer, code, include(form, query)?)
}

async fn create(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, false)?;
    let mut call = call_of(&request);
    let media = negotiate::body_media(request.header(header::CONTENT_TYPE), target.row.custom)?;
    let raw = raw_options(&request.query);
    let bytes = read(request.body).await?;
    let options = raw.validate("CreateOptions", false)?;
    let body = object_body(media, bytes);
    let answer = rest.engine.create(&mut call, &target, body, &options).await;
    finish(&call, answer.and_then(|answer| written(form, &target, &answer, &request.query)), form)
}

async fn update(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, false)?;
    let mut call = call_of(&request);
    // Unlike a creation, an update is refused for its options first.
    let media = negotiate::body_media(request.header(header::CONTENT_TYPE), target.row.custom);
    let raw = raw_options(&request.query);
    let bytes = read(request.body).await?;
    let options = raw.validate("UpdateOptions", false)?;
    let body = object_body(media?, bytes);
    let answer = rest.engine.update(&mut call, &target, body, &options).await;
    finish(&call, answer.and_then(|answer| written(form, &target, &answer, &request.query)), form)
}

async fn patch(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let kind = patch_kind(request.header(header::CONTENT_TYPE), target.row.custom)?;
    let form = request.form(&target.row, false)?;
    let mut call = call_of(&request);
    let raw = raw_options(&request.query);
    let bytes = read(request.body).await?;
    let options = raw.validate("PatchOptions", kind.is_none())?;
    let change = match kind {
        Some(kind) => Change::Patch(kind, bytes),
        None => Change::Apply(rest.engine.read_applied(&target, &bytes, &options)?),
    };
    let answer = rest.engine.modify(&mut call, &target, &change, &options).await;
    finish(&call, answer.and_then(|answer| written(form, &target, &answer, &request.query)), form)
}

/// The patch format of a content type; `None` is apply.
fn patch_kind(content_type: Option<&str>, custom: bool) -> ApiResult<Option<PatchKind>> {
    let media = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match media {
        "application/json-patch+json" => Ok(Some(PatchKind::Json)),
        "application/merge-patch+json" => Ok(Some(PatchKind::Merge)),
        "application/strategic-merge-patch+json" if !custom => Ok(Some(PatchKind::Strategic)),
        "application/apply-patch+yaml" => Ok(None),
        _ if custom => {
            let accepted =
                ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
            Err(Status::unsupported_media_type(&accepted))
        }
        _ => Err(Status::failure(415, "UnsupportedMediaType", "415: Unsupported Media Type").with_empty_details()),
    }
}

async fn delete(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, false)?;
    let mut call = call_of(&request);
    let content_type = request.header(header::CONTENT_TYPE).map(str::to_owned);
    let options = super::delete_options::read(&request.query, content_type.as_deref(), request.body).await?;
    let answer = rest.engine.delete(&mut call, &target, &options).await;
    finish(&call, answer.and_then(|answer| written(form, &target, &answer, &request.query)), form)
}

async fn delete_collection(rest: &Rest, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, false)?;
    request.query.int("timeoutSeconds")?;
    let list = list_options(&request.query)?;
    let mut call = call_of(&request);
    let target = Target { name: String::new(), ..target };
    rest.engine.judge_list(&target, &list)?;
    let content_type = request.header(header::CONTENT_TYPE).map(str::to_owned);
    let options = super::delete_options::read(&request.query, content_type.as_deref(), request.body).await?;
    let listing = rest.engine.delete_collection(&mut call, &target, &list, &options).await;
    let shown =
        listing.and_then(|listing| respond::list(form, &target.row, listing, include(form, &request.query)?, None));
    finish(&call, shown, form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn lists_of_any_age_come_whole() {
        let whole = |resource: &str, resource_version: &str, continuation: &str| {
            let row = Registry::builtin().find("", "v1", resource).unwrap();
            let target = Target { row, namespace: String::new(), name: String::new(), subresource: String::new() };
            let options = ListOptions {
                limit: 1,
                resource_version: resource_version.to_owned(),
                continuation: continuation.to_owned(),
                ..ListOptions::default()
            };
            comes_whole(&target, &options)
        };
        assert!(whole("pods", "0", ""));
        assert!(
            !whole("pods", "", "") && !whole("pods", "7", "") && !whole("pods", "0", "a") && !whole("events", "0", "")
        );
    }
}
