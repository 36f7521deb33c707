//! The node's Lease: what `kubectl describe node` and others look at to see when the node was last heard of. Nothing of the
//! cluster itself depends on it; masters learn of a node's health from its session.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use mainstay_client::{Api, Client, Error, Store};
use tokio_util::sync::CancellationToken;

/// Between two renewals.
const RENEW: Duration = Duration::from_secs(10);
/// What others count the node as gone after, in seconds.
const HOLDS: i32 = 40;
/// Where the leases of nodes are.
const NAMESPACE: &str = "kube-node-lease";

/// Keeps the lease of a node renewed.
pub(crate) struct LeaseKeeper {
    api: Api<Lease>,
    name: String,
    node: Store<Node>,
    known: Option<Lease>,
}

impl LeaseKeeper {
    pub fn new(client: Client, name: &str, node: Store<Node>) -> LeaseKeeper {
        LeaseKeeper { api: Api::namespaced(client, NAMESPACE), name: name.to_owned(), node, known: None }
    }

    /// Until the agent stops.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(RENEW);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.renew().await {
                self.known = None;
                tracing::debug!(%error, "the node's lease is not renewed");
            }
        }
    }

    /// One write, unless somebody else wrote the lease meanwhile.
    async fn renew(&mut self) -> Result<(), Error> {
        let Some(node) = self.node.find("", &self.name) else { return Ok(()) };
        let known = match self.known.take() {
            Some(lease) => Some(lease),
            None => self.api.get_opt(&self.name).await?,
        };
        let renewed = renewed(known.as_ref(), &node, &self.name, Timestamp::now());
        let written = match known {
            Some(_) => self.api.update(&renewed).await?,
            None => self.api.create(&renewed).await?,
        };
        self.known = Some(written);
        Ok(())
    }
}

/// The lease as it shall be from now on.
fn renewed(known: Option<&Lease>, node: &Node, name: &str, now: Timestamp) -> Lease {
    let owner = node.metadata.uid.clone().map(|uid| OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.to_owned(),
        uid,
        ..OwnerReference::default()
    });
    let mut lease = known.cloned().unwrap_or_default();
    lease.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        owner_references: owner.map(|owner| vec![owner]),
        ..lease.metadata
    };
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(name.to_owned()),
        lease_duration_seconds: Some(HOLDS),
        renew_time: Some(MicroTime(now)),
        ..lease.spec.unwrap_or_default()
    });
    lease
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_belongs_to_its_node_and_keeps_what_others_wrote() {
        let node = Node { metadata: ObjectMeta { uid: Some("u".into()), ..ObjectMeta::default() }, ..Node::default() };
        let first = renewed(None, &node, "n", Timestamp::UNIX_EPOCH);
        let owner = first.metadata.owner_references.as_ref().map(|owners| owners[0].uid.as_str());
        assert_eq!(owner, Some("u"));
        let mut known = first.clone();
        known.metadata.resource_version = Some("7".into());
        let later = Timestamp::from_second(10).unwrap();
        let next = renewed(Some(&known), &node, "n", later);
        assert_eq!(next.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(next.spec.unwrap().renew_time, Some(MicroTime(later)));
    }
}
