//! What every request passes before it is routed: panic guard, metrics, the [`crate::gate`], deadline.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Full};
use mainstay_api::status::{ApiResult, Status};
use tonic::body::Body;

use super::admitted::Admitted;
use super::negotiate::Form;
use super::path::RequestInfo;
use super::query::Query;
use super::respond::error_form;
use super::{Rest, respond};
use crate::audit::{self, Content, Notes, Trail};
use crate::authn::{forget_token, overlooked_token};
use crate::authz::{self, AuthzAttributes};
use crate::flow::{Class, Permit};
use crate::gate::{Arrival, Caller};
use crate::user::UserInfo;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const FLOW_SCHEMA: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const PRIORITY_LEVEL: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// A request on its way through the filters.
struct Passing {
    parts: Parts,
    info: RequestInfo,
    query: Query,
    /// What it is about, to those who judge.
    asked: authz::RequestInfo,
    /// A watch, or a stream to a node.
    long: bool,
    /// How long it may take, unless it is a long one.
    deadline: Duration,
}

pub(crate) async fn run(rest: Arc<Rest>, request: Request<Body>) -> Response<Body> {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let guarded = AssertUnwindSafe(answer(rest.clone(), request)).catch_unwind();
    let response = guarded.await.unwrap_or_else(|_| {
        tracing::error!(%method, path, "a request handler panicked");
        respond::error(Form::JSON, &Status::internal("the handler of the request failed"))
    });
    let info = RequestInfo::parse(&method, &path, false, None);
    rest.metrics.count(&info, response.status().as_u16(), began.elapsed());
    response
}

async fn answer(rest: Arc<Rest>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let arrival = Arrival::now(&parts);
    let query = Query::parse(parts.uri.query());
    let watching = query.get("watch").is_some_and(|_| query.flag("watch"));
    let field_name = pinned_name(&query);
    let info = RequestInfo::parse(&parts.method, parts.uri.path(), watching, field_name.as_deref());
    let asked = authz::RequestInfo::of(&parts.method, &parts.uri).answered_as(&info);
    let long = is_stream(&info);
    let warning = overlooked_token(&parts.headers);
    let passing = Passing { parts, info, query, asked, long, deadline: rest.deadline };
    let (trail, mut response) = audited(rest, passing, body, &arrival).await;
    respond::warn(&mut response, warning.as_slice());
    if let Ok(id) = HeaderValue::from_str(&arrival.id) {
        response.headers_mut().insert(AUDIT_ID, id);
    }
    match trail {
        Some((trail, long)) => close(trail, response, long).await,
        None => response,
    }
}

/// Who asks, and how long the request may take; a time that makes no sense is told to anybody.
async fn let_in(rest: &Rest, passing: &Passing) -> ApiResult<(UserInfo, Duration)> {
    let longest = rest.deadline;
    let time = if passing.long { longest } else { deadline(&passing.query, longest)? };
    Ok((rest.gate.authenticate(&passing.parts).await?, time))
}

/// Authenticates, and answers between the first and the last event of the audit trail.
async fn audited(
    rest: Arc<Rest>,
    mut passing: Passing,
    body: Body,
    arrival: &Arrival,
) -> (Option<(Trail, bool)>, Response<Body>) {
    let form = error_form(&passing.parts);
    let begin =
        |caller: &Caller| rest.gate.trail(&passing.parts, arrival, caller, &passing.asked.attributes(&caller.user));
    let (real, time) = match let_in(&rest, &passing).await {
        Ok(known) => known,
        Err(status) => {
            let nobody = Caller { user: UserInfo::default(), real: None };
            let trail = begin(&nobody);
            if let Some(trail) = trail {
                trail.turned_away(status.code(), Content::json(status.to_json().into()));
            }
            return (None, respond::error(form, &status));
        }
    };
    let (caller, refusal) = match rest.gate.impersonate(real.clone(), &passing.parts, &passing.asked) {
        Ok(caller) => (caller, None),
        Err(status) => (Caller { user: real, real: None }, Some(status)),
    };
    let mut trail = begin(&caller);
    passing.deadline = time;
    forget_token(&mut passing.parts.headers);
    if caller.real.is_some() {
        forget_impersonation(&mut passing.parts.headers);
    }
    let long = passing.long;
    let response = match refusal {
        Some(status) => respond::error(form, &status),
        None => admitted(rest.clone(), passing, body, caller.user, trail.as_mut()).await,
    };
    (trail.map(|trail| (trail, long)), response)
}

/// Whoever the request is passed on to would take who acts already for somebody who wants to act as another.
fn forget_impersonation(headers: &mut HeaderMap) {
    super::headers::forget(headers, "impersonate-");
}

/// Waits for the request's turn, authorizes it and has it answered.
async fn admitted(
    rest: Arc<Rest>,
    passing: Passing,
    body: Body,
    user: UserInfo,
    mut trail: Option<&mut Trail>,
) -> Response<Body> {
    let form = error_form(&passing.parts);
    let attributes = passing.asked.attributes(&user);
    let (class, permit) = turn(&rest, &passing, &attributes).await;
    let permit = match permit {
        Ok(permit) => permit,
        Err(status) => return told(class, held_back(&status)),
    };
    if let Err(status) = rest.gate.authorize(&attributes, trail.as_deref_mut()) {
        return told(class, as_said(respond::error(form, &status)));
    }
    let Passing { parts, info, query, long, deadline, .. } = passing;
    let body = match kept(&parts, body, long, trail).await {
        Ok(body) => body,
        Err(status) => return told(class, respond::error(form, &status)),
    };
    let request = Admitted { parts, body, info, query, user };
    let response = if long {
        super::objects::route(rest, request).await
    } else {
        in_time(deadline, super::objects::route(rest, request)).await
    };
    // Of a watch, only its beginning was paid for.
    drop(permit);
    told(class, response)
}

/// A watch waits for its turn to begin; streams to nodes do not.
async fn turn(
    rest: &Rest,
    passing: &Passing,
    attributes: &AuthzAttributes<'_>,
) -> (Option<Class>, ApiResult<Option<Permit>>) {
    if passing.long && passing.info.verb != "watch" {
        return (None, Ok(None));
    }
    rest.gate.turn(attributes, || seats(rest, passing)).await
}

fn seats(rest: &Rest, passing: &Passing) -> u32 {
    let info = &passing.info;
    if info.verb != "list" {
        return 1;
    }
    let limit = passing.query.text("limit").parse().unwrap_or(0);
    rest.seats_of_list(&info.group, &info.version, &info.resource, limit)
}

/// Keeps the body for the audit trail, if that wants it.
async fn kept(parts: &Parts, body: Body, long: bool, trail: Option<&mut Trail>) -> ApiResult<Body> {
    let Some(trail) = trail.filter(|trail| !long && trail.wants_request()) else { return Ok(body) };
    let bytes = super::body::read(body).await?;
    if !bytes.is_empty() {
        let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let zipped = text(header::CONTENT_ENCODING) == "gzip";
        trail.request(Content { bytes: bytes.clone(), media: text(header::CONTENT_TYPE).to_owned(), zipped });
    }
    Ok(Body::new(Full::new(bytes)))
}

/// Ends a trail with its answer; that of a long one ends when its body does.
async fn close(mut trail: Trail, mut response: Response<Body>, long: bool) -> Response<Body> {
    let code = response.status().as_u16();
    if let Some(notes) = response.extensions_mut().remove::<Notes>() {
        trail.noted(notes);
    }
    if long && code < 400 {
        trail.started(code);
        return response.map(|body| audit::on_end(body, trail, code));
    }
    if !trail.wants_response(code) {
        trail.complete(code, None);
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            let zipped = text(header::CONTENT_ENCODING) == "gzip";
            let content = Content { bytes: bytes.clone(), media: text(header::CONTENT_TYPE).to_owned(), zipped };
            trail.complete(code, Some(content));
            Response::from_parts(parts, Body::new(Full::new(bytes)))
        }
        Err(error) => {
            trail.complete(code, None);
            respond::error(Form::JSON, &Status::internal(error))
        }
    }
}

/// Whoever has to come back later is told so in plain text, whatever they accept.
fn held_back(status: &Status) -> Response<Body> {
    let mut response = respond::text(status.code(), format!("{}\n", status.message));
    if let Some(seconds) = status.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    as_said(response)
}

/// A refusal repeats what was asked for; nobody shall take it for a page.
fn as_said(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Tells how the request was classified.
fn told(class: Option<Class>, mut response: Response<Body>) -> Response<Body> {
    if let Some(class) = class {
        for (name, uid) in [(FLOW_SCHEMA, &class.schema), (PRIORITY_LEVEL, &class.level)] {
            if let Ok(value) = HeaderValue::from_str(uid) {
                response.headers_mut().insert(name, value);
            }
        }
    }
    response
}

/// The time that a client gives its request; never more than the server does.
fn deadline(query: &Query, longest: Duration) -> ApiResult<Duration> {
    let text = query.text("timeout");
    if text.is_empty() {
        return Ok(longest);
    }
    let asked = mainstay_api::numbers::go_duration(text)
        .map_err(|why| Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))?;
    Ok(if asked.is_zero() { longest } else { asked.min(longest) })
}

async fn in_time(deadline: Duration, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(response) => response,
        Err(_) => {
            respond::error(Form::JSON, &Status::timeout("request did not complete within the allotted timeout", 0))
        }
    }
}

fn pinned_name(query: &Query) -> Option<String> {
    let selector = mainstay_api::selector::FieldSelector::parse(query.text("fieldSelector")).ok()?;
    selector.requires("metadata.name").map(str::to_owned)
}

fn is_stream(info: &RequestInfo) -> bool {
    let connects = matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy" | "log");
    info.verb == "watch" || connects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_back_reads_it_in_plain_text() {
        let response = held_back(&Status::too_many_requests("Too many requests, please try again later.", 1));
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((response.status().as_u16(), header("retry-after")), (429, "1".to_owned()));
        assert_eq!(header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
    }

    #[test]
    fn who_acts_as_another_is_passed_on_as_that_one_alone() {
        let mut headers = HeaderMap::new();
        for name in ["impersonate-user", "impersonate-group", "impersonate-extra-a", "accept"] {
            headers.append(name, HeaderValue::from_static("x"));
            headers.append(name, HeaderValue::from_static("y"));
        }
        forget_impersonation(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
