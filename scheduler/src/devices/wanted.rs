//! What one pod wants of devices, computed once and asked of each node.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};
use mainstay_api::devices::{is_allocated, users};

use super::allocate::Search;
use super::assignment::Assignment;
use super::choice::Choice;
use super::known::{Devices, uid};
use super::obstacle::Obstacle;
use super::offers::{self, Market, Pool};
use super::outcome;
use super::readiness::{Readiness, is_overdue, readiness};
use super::request::Wish;
use super::taken::Taken;

/// The claims of a pod, and what those without devices ask for.
pub(crate) struct Wanted<'a> {
    devices: &'a Devices,
    claims: Vec<&'a Arc<ResourceClaim>>,
    wishes: Vec<Wish<'a>>,
    pools: Vec<Pool<'a>>,
    taken: Taken<'a>,
}

impl<'a> Wanted<'a> {
    /// Looks everything up.
    ///
    /// # Errors
    /// Why it is of no use to look at nodes.
    pub(crate) fn new(pod: &Pod, devices: &'a Devices) -> Result<Self, Obstacle> {
        let claims = devices.claims_of(pod)?;
        let mut wanted =
            Self { devices, claims: Vec::new(), wishes: Vec::new(), pools: Vec::new(), taken: Taken::default() };
        let mut number = 0;
        for claim in claims.iter().copied().filter(|claim| !is_allocated(claim)) {
            if devices.promised.contains_key(uid(claim)) {
                return Err(Obstacle::NotYet);
            }
            wanted.wishes.push(Wish::new(claim, devices, &mut number).map_err(Obstacle::Never)?);
        }
        wanted.claims = claims;
        if !wanted.wishes.is_empty() {
            wanted.pools = offers::pools(devices.slices.values().map(AsRef::as_ref));
            wanted.taken = Taken::by(devices.allocations());
        }
        Ok(wanted)
    }

    /// Whether the pod wants none.
    pub(crate) fn is_nothing(&self) -> bool {
        self.claims.is_empty()
    }

    /// Whether the pod may have its devices on a node.
    ///
    /// # Errors
    /// Why not, in Kubernetes' words.
    pub(crate) fn check(&self, node: &Node) -> Result<(), String> {
        if self.claims.iter().any(|claim| self.is_unavailable(claim, node)) {
            return Err("resourceclaim not available on the node".to_owned());
        }
        self.allocate(node).map(drop)
    }

    /// The pod's claims with the devices that they get on a node, which has passed [`Wanted::check`].
    pub(crate) fn assign(&self, node: &Node) -> Vec<Assignment> {
        let mut allocations = self.allocate(node).unwrap_or_default().into_iter();
        let assign = |claim: &&Arc<ResourceClaim>| {
            let allocation = if is_allocated(claim) { None } else { allocations.next() };
            Assignment { claim: Arc::clone(claim), allocation }
        };
        self.claims.iter().map(assign).collect()
    }

    /// A claim whose devices are of no use on some of the nodes, and which nobody else uses: without them the pod may be
    /// given others.
    pub(crate) fn to_deallocate<'n>(
        &self,
        pod_uid: &str,
        nodes: impl Iterator<Item = &'n Node>,
    ) -> Option<Arc<ResourceClaim>> {
        let idle = |claim: &ResourceClaim| users(claim).all(|user| user.uid == pod_uid);
        let mut candidates: Vec<_> = self.claims.iter().filter(|claim| is_allocated(claim) && idle(claim)).collect();
        if candidates.is_empty() {
            return None;
        }
        let nodes: Vec<&Node> = nodes.collect();
        candidates.retain(|claim| nodes.iter().any(|node| self.is_unavailable(claim, node)));
        candidates.first().map(|claim| Arc::clone(claim))
    }

    /// How much the pod would like what it gets on a node, which has passed [`Wanted::check`]: the more of its first
    /// choices, the more.
    pub(crate) fn preference(&self, node: &Node) -> i64 {
        let mut ways = self.wishes.iter().flat_map(|wish| wish.requests.iter().flatten());
        if ways.all(|way| way.worth == 0) {
            return 0;
        }
        let market = offers::market(&self.pools, node);
        let chosen = self.choose(&market).unwrap_or_default();
        chosen.iter().flat_map(|choices| outcome::taken(choices)).map(|way| way.worth).sum()
    }

    fn choose<'s>(&'s self, market: &'s Market<'a>) -> Result<Vec<Vec<Choice<'s, 'a>>>, String> {
        Search::new(&self.wishes, &self.pools, market, &self.taken).run()
    }

    fn allocate(&self, node: &Node) -> Result<Vec<AllocationResult>, String> {
        if self.wishes.is_empty() {
            return Ok(Vec::new());
        }
        let market = offers::market(&self.pools, node);
        let chosen = self.choose(&market)?;
        let found = self.wishes.iter().zip(&chosen);
        Ok(found.map(|(wish, choices)| outcome::allocation(wish, choices, node)).collect())
    }

    /// The claim has devices that cannot be used from the node, or that do not become ready.
    fn is_unavailable(&self, claim: &ResourceClaim, node: &Node) -> bool {
        let allocation = claim.status.as_ref().and_then(|status| status.allocation.as_ref());
        let Some(allocation) = allocation else { return false };
        let elsewhere = allocation.node_selector.as_ref().is_some_and(|selector| !offers::takes(selector, node));
        elsewhere
            || match readiness(claim) {
                Readiness::Ready => false,
                Readiness::Failed(_) => true,
                Readiness::Waiting => is_overdue(claim, self.devices.now),
            }
    }
}
