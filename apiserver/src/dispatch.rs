//! Which face a request is for: gRPC by its content type, REST otherwise.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, header};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::authn::UserInfo;
use crate::rest::{Identity, Rest};

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
        match crate::rest::identify(&self.rest, &parts) {
            Ok(user) => parts.extensions.insert(Identity(user)),
            Err(status) => return crate::grpc::status(&status).into_http(),
        };
        let mut routes = self.grpc.clone();
        match Service::call(&mut routes, Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
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
