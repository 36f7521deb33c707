//! Which face a request is for: gRPC by its content type, REST otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, header};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::audit::{Trail, on_end};
use crate::authz::RequestInfo;
use crate::gate::{Arrival, Identity};
use crate::grpc::Way;
use crate::rest::Rest;
use crate::user::UserInfo;

/// Both faces; a cheap handle.
#[derive(Clone)]
pub(crate) struct Dispatch {
    pub rest: Arc<Rest>,
    pub grpc: Routes,
}

impl Dispatch {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let content_type = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
        if content_type.is_some_and(|media| media.starts_with(b"application/grpc")) {
            return self.answer_grpc(request).await;
        }
        self.rest.clone().handle(request).await
    }

    /// Authenticates, then lets the services authorize what each call is about.
    async fn answer_grpc(&self, request: Request<Body>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let arrival = Arrival::now(&parts);
        let asked = RequestInfo::of(&parts.method, &parts.uri);
        let gate = &self.rest.gate;
        let caller = match gate.authenticate(&parts).await {
            Ok(real) => gate.impersonate(real, &parts, &asked),
            Err(status) => Err(status),
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(status) => return crate::grpc::status(&status).into_http(),
        };
        // Calls of the engine leave trails of their own, as they say what they are about.
        let whole = !parts.uri.path().starts_with(crate::grpc::OBJECTS);
        let attributes = asked.attributes(&caller.user);
        let trail = if whole { gate.trail(&parts, &arrival, &caller, &attributes) } else { None };
        parts.extensions.insert(Identity(caller.user.clone()));
        let way = Way { parts: gate.audit.is_some().then(|| parts.clone()), arrival, caller };
        parts.extensions.insert(Arc::new(way));
        let mut routes = self.grpc.clone();
        let response = match Service::call(&mut routes, Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        match trail {
            Some(trail) => with_trail(response, trail),
            None => response,
        }
    }
}

/// Ends a trail when the answer's body ends.
fn with_trail(response: Response<Body>, mut trail: Trail) -> Response<Body> {
    let refusal = response.headers().get("grpc-status").and_then(|value| value.to_str().ok()?.parse().ok());
    let code = refusal.map_or(200, crate::grpc::http_code);
    trail.started(code);
    response.map(|body| on_end(body, trail, code))
}

/// Both faces for callers in this process, under a fixed identity, through the same filters.
#[derive(Clone)]
pub struct InProcess {
    dispatch: Dispatch,
    user: UserInfo,
}

impl InProcess {
    pub(crate) fn new(dispatch: Dispatch, user: UserInfo) -> Self {
        Self { dispatch, user }
    }
}

impl Service<Request<Body>> for InProcess {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(Identity(self.user.clone()));
        let dispatch = self.dispatch.clone();
        Box::pin(async move { Ok(dispatch.answer(request).await) })
    }
}
