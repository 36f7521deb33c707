//! What every request passes before it is routed, in this order: panic guard, metrics, authentication, flow control,
//! authorization, deadline.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use http::request::Parts;
use http::{Request, Response};
use mainstay_api::status::{ApiResult, Status};
use tonic::body::Body;

use super::negotiate::Form;
use super::path::RequestInfo;
use super::query::Query;
use super::{Identity, PeerCertificate, Rest, respond};
use crate::authn::UserInfo;
use crate::authz;

/// How long a request may take that is neither a watch nor a stream.
const DEADLINE: Duration = Duration::from_secs(60);

/// A request that may be answered.
pub(crate) struct Admitted {
    pub parts: Parts,
    pub body: Body,
    pub info: RequestInfo,
    pub query: Query,
    pub user: UserInfo,
}

impl Admitted {
    /// A header as text.
    pub fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `User-Agent`.
    pub fn user_agent(&self) -> &str {
        self.header(http::header::USER_AGENT).unwrap_or_default()
    }
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
    let query = Query::parse(parts.uri.query());
    let watching = query.get("watch").is_some_and(|_| query.flag("watch"));
    let field_name = pinned_name(&query);
    let info = RequestInfo::parse(&parts.method, parts.uri.path(), watching, field_name.as_deref());
    let user = match identify(&rest, &parts) {
        Ok(user) => user,
        Err(status) => return respond::error(error_form(&parts), &status),
    };
    let streams = is_stream(&info, &query);
    let permit = match rest.flow.admit(&user, streams).await {
        Ok(permit) => permit,
        Err(status) => return respond::error(error_form(&parts), &status),
    };
    if let Err(status) = authorize(&rest, &parts, &user) {
        return respond::error(error_form(&parts), &status);
    }
    let request = Admitted { parts, body, info, query, user };
    let response = if streams {
        super::objects::route(rest, request).await
    } else {
        match deadline(&request.query) {
            Ok(deadline) => in_time(deadline, super::objects::route(rest, request)).await,
            Err(status) => respond::error(error_form(&request.parts), &status),
        }
    };
    drop(permit);
    response
}

/// The time that a client gives its request; never more than the server does.
fn deadline(query: &Query) -> ApiResult<Duration> {
    let text = query.text("timeout");
    if text.is_empty() {
        return Ok(DEADLINE);
    }
    let asked = super::query::go_duration(text)
        .map_err(|why| Status::bad_request(format!("invalid timeout specified in the request URL - {why}")))?;
    Ok(if asked.is_zero() { DEADLINE } else { asked.min(DEADLINE) })
}

async fn in_time(deadline: Duration, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    match tokio::time::timeout(deadline, answer).await {
        Ok(response) => response,
        Err(_) => {
            respond::error(Form::JSON, &Status::timeout("request did not complete within the allotted timeout", 0))
        }
    }
}

/// Who asks: the identity given in the process, or what the request shows.
pub(crate) fn identify(rest: &Rest, parts: &Parts) -> ApiResult<UserInfo> {
    if let Some(Identity(user)) = parts.extensions.get::<Identity>() {
        return Ok(user.clone());
    }
    let peer = parts.extensions.get::<PeerCertificate>();
    rest.authenticator.authenticate(parts, peer.map(|peer| peer.0.as_ref()))
}

fn authorize(rest: &Rest, parts: &Parts, user: &UserInfo) -> ApiResult<()> {
    let info = authz::RequestInfo::of(&parts.method, &parts.uri);
    rest.authorizer.require(&info.attributes(user))
}

fn pinned_name(query: &Query) -> Option<String> {
    let selector = mainstay_api::selector::FieldSelector::parse(query.text("fieldSelector")).ok()?;
    selector.requires("metadata.name").map(str::to_owned)
}

fn is_stream(info: &RequestInfo, query: &Query) -> bool {
    let connects = matches!(info.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy" | "log");
    info.verb == "watch" || connects || info.is_resource && query.flag("watch") && query.get("watch").is_some()
}

/// Errors are told in the media type that the client takes, or in JSON.
pub(crate) fn error_form(parts: &Parts) -> Form {
    let accept = parts.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let form = super::negotiate::negotiate(accept, &super::negotiate::SERVED, false).unwrap_or(Form::JSON);
    Form { shape: super::negotiate::Shape::Object, ..form }
}
