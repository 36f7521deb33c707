//! The HTTP face: Kubernetes' REST API over the engine.
//!
//! A request passes authentication, flow control and authorization in that order, once, here; then it is routed to the
//! engine, to discovery, or to one of the few paths besides.

mod connect;
mod discovery;
mod filter;
mod flow;
mod health;
mod metrics;
pub(crate) mod negotiate;
mod objects;
mod openapi;
pub(crate) mod path;
pub(crate) mod query;
mod respond;
mod watching;

use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;

use crate::agents::Agents;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::engine::Engine;

pub(crate) use discovery::KUBERNETES_VERSION;
pub(crate) use filter::identify;
pub use metrics::Metrics;

/// A request's identity when it comes from inside the process.
#[derive(Clone)]
pub(crate) struct Identity(pub crate::authn::UserInfo);

/// The leaf certificate (DER) that a connection's client showed.
#[derive(Clone)]
pub(crate) struct PeerCertificate(pub bytes::Bytes);

/// Bytes of a request body at the most.
pub(crate) const BODY_LIMIT: usize = 3 << 20;

/// Everything that answering needs.
pub(crate) struct Rest {
    pub engine: Engine,
    pub authenticator: Arc<Authenticator>,
    pub authorizer: Arc<Authorizer>,
    /// The way to the nodes.
    pub agents: Arc<Agents>,
    pub flow: flow::Flow,
    pub metrics: Metrics,
    /// Ends watches when the server stops.
    pub stop: tokio_util::sync::CancellationToken,
}

impl Rest {
    /// Puts the face together.
    pub fn new(
        engine: Engine,
        authenticator: Arc<Authenticator>,
        authorizer: Arc<Authorizer>,
        agents: Arc<Agents>,
        stop: tokio_util::sync::CancellationToken,
    ) -> Arc<Self> {
        let (flow, metrics) = (flow::Flow::default(), Metrics::default());
        Arc::new(Self { engine, authenticator, authorizer, agents, flow, metrics, stop })
    }

    /// Answers a request; never fails, never panics outward.
    pub async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        filter::run(self, request).await
    }
}
