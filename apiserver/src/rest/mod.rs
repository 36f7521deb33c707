//! The HTTP face: Kubernetes' REST API over the engine.
//!
//! A request passes the [`crate::gate`] once, here; then it is routed to the engine, to discovery, or to one of the few paths
//! besides.

mod admitted;
mod aggregated;
mod body;
mod connect;
mod delete_options;
mod discovery;
mod filter;
mod headers;
mod health;
mod metrics;
pub(crate) mod negotiate;
mod objects;
mod openapi;
pub(crate) mod path;
mod pieces;
mod process;
pub(crate) mod query;
mod respond;
mod served;
mod statusz;
mod tagged;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;

use crate::agents::Agents;
use crate::aggregation::Aggregator;
use crate::authz::Authorizer;
use crate::engine::Engine;
use crate::gate::Gate;
use crate::startup::Startup;

pub(crate) use aggregated::discover;
pub(crate) use discovery::KUBERNETES_VERSION;
pub use metrics::Metrics;

/// Bytes of a request body at the most.
pub(crate) const BODY_LIMIT: usize = 3 << 20;

/// Everything that answering needs.
pub(crate) struct Rest {
    pub engine: Engine,
    /// What requests pass first.
    pub gate: Gate,
    pub authorizer: Arc<Authorizer>,
    /// The way to the nodes.
    pub agents: Arc<Agents>,
    /// What other servers serve.
    pub aggregator: Aggregator,
    pub metrics: Metrics,
    /// Whether what is logged is read.
    pub log: health::LogWatch,
    /// What has come of the health checks.
    pub outcomes: health::Outcomes,
    /// What is done of the server's start.
    pub startup: Arc<Startup>,
    /// How long a request may take that is neither a watch nor a stream.
    pub deadline: Duration,
    /// Ends watches when the server stops.
    pub stop: tokio_util::sync::CancellationToken,
}

impl Rest {
    /// Puts the face together.
    pub fn new(
        engine: Engine,
        gate: Gate,
        agents: Arc<Agents>,
        aggregator: Aggregator,
        startup: Arc<Startup>,
        deadline: Duration,
        stop: tokio_util::sync::CancellationToken,
    ) -> Arc<Self> {
        let mut metrics = Metrics::default();
        gate.flow.register(metrics.registry());
        if let Some(audit) = &gate.audit {
            audit.register(metrics.registry());
        }
        let authorizer = gate.authorizer.clone();
        let (log, outcomes) = (health::LogWatch::start(), health::Outcomes::default());
        Arc::new(Self { engine, gate, authorizer, agents, aggregator, metrics, log, outcomes, startup, deadline, stop })
    }

    /// How wide a list of a resource is that shows `limit` objects at the most (0: all).
    pub fn seats_of_list(&self, group: &str, version: &str, resource: &str, limit: usize) -> u32 {
        let Some(row) = self.engine.registry().find(group, version, resource) else { return 1 };
        let objects = self.engine.caches().of(&row.storage_group, resource).snapshot().objects.len();
        crate::flow::for_list(objects, limit)
    }

    /// Answers a request; never fails, never panics outward.
    pub async fn handle(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        filter::run(self, request).await
    }
}
