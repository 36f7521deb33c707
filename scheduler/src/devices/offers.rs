//! What drivers offer on a node: the devices of the newest state of each pool.

use std::collections::{BTreeMap, HashSet};

use k8s_openapi::api::core::v1::{Node, NodeSelector};
use k8s_openapi::api::resource::v1::{Device, ResourceSlice};
use mainstay_api::placement::{self, Place};

/// A device: driver, pool, name.
pub(super) type Id<'a> = [&'a str; 3];

/// The slices that a driver manages together.
pub(super) struct Pool<'a> {
    driver: &'a str,
    name: &'a str,
    /// Those of the newest generation.
    pub(super) slices: Vec<&'a ResourceSlice>,
    /// Not all of them are there.
    incomplete: bool,
    /// A name occurs twice.
    invalid: bool,
}

/// A device that may be had on a node.
pub(super) struct Offer<'a> {
    /// Which of the pools.
    pub(super) pool: usize,
    pub(super) slice: &'a ResourceSlice,
    pub(super) device: &'a Device,
}

impl<'a> Offer<'a> {
    pub(super) fn id(&self) -> Id<'a> {
        id(self.slice, self.device)
    }

    /// Several claims may have shares of it.
    pub(super) fn is_shared(&self) -> bool {
        self.device.allow_multiple_allocations == Some(true)
    }
}

/// Everything that may be had on a node.
pub(super) struct Market<'a> {
    pub(super) offers: Vec<Offer<'a>>,
    /// What is wrong with a pool that has devices there, so that nobody can tell what all devices are.
    pub(super) flaw: Option<String>,
}

pub(super) fn id<'a>(slice: &'a ResourceSlice, device: &'a Device) -> Id<'a> {
    [&slice.spec.driver, &slice.spec.pool.name, &device.name]
}

/// The devices of a slice.
pub(super) fn devices(slice: &ResourceSlice) -> impl Iterator<Item = &Device> {
    slice.spec.devices.iter().flatten()
}

/// The pools that slices form, by driver and name.
pub(super) fn pools<'a>(slices: impl Iterator<Item = &'a ResourceSlice>) -> Vec<Pool<'a>> {
    let mut by_name: BTreeMap<(&str, &str), Vec<&ResourceSlice>> = BTreeMap::new();
    for slice in slices {
        by_name.entry((slice.spec.driver.as_str(), slice.spec.pool.name.as_str())).or_default().push(slice);
    }
    by_name.into_iter().map(|((driver, name), slices)| pool(driver, name, slices)).collect()
}

fn pool<'a>(driver: &'a str, name: &'a str, mut slices: Vec<&'a ResourceSlice>) -> Pool<'a> {
    let newest = slices.iter().map(|slice| slice.spec.pool.generation).max();
    slices.retain(|slice| Some(slice.spec.pool.generation) == newest);
    let count = slices.first().map(|slice| slice.spec.pool.resource_slice_count);
    let mut seen = HashSet::new();
    let invalid = slices.iter().flat_map(|slice| devices(slice)).any(|device| !seen.insert(device.name.as_str()));
    Pool { driver, name, incomplete: i64::try_from(slices.len()).ok() != count, invalid, slices }
}

/// What of the pools is on a node; pools that are being changed have nothing to offer.
pub(super) fn market<'a>(pools: &[Pool<'a>], node: &Node) -> Market<'a> {
    let mut market = Market { offers: Vec::new(), flaw: None };
    for (number, pool) in pools.iter().enumerate() {
        let mut here = pool.slices.iter().flat_map(|slice| on(slice, node));
        if !pool.incomplete && !pool.invalid {
            market.offers.extend(here.map(|(slice, device)| Offer { pool: number, slice, device }));
        } else if here.next().is_some() {
            let what = if pool.invalid { "invalid" } else { "being updated" };
            let flaw = format!("resource pool {}/{} is currently {what}", pool.driver, pool.name);
            market.flaw.get_or_insert(flaw);
        }
    }
    market
}

/// The devices of a slice that are on a node.
fn on<'a>(slice: &'a ResourceSlice, node: &Node) -> Vec<(&'a ResourceSlice, &'a Device)> {
    let spec = &slice.spec;
    let each = spec.per_device_node_selection == Some(true);
    if !each && !is_at(node, spec.node_name.as_deref(), spec.all_nodes, spec.node_selector.as_ref()) {
        return Vec::new();
    }
    let here = |device: &&Device| {
        !each || is_at(node, device.node_name.as_deref(), device.all_nodes, device.node_selector.as_ref())
    };
    devices(slice).filter(here).map(|device| (slice, device)).collect()
}

fn is_at(node: &Node, name: Option<&str>, everywhere: Option<bool>, selector: Option<&NodeSelector>) -> bool {
    match name.filter(|name| !name.is_empty()) {
        Some(name) => node.metadata.name.as_deref() == Some(name),
        None => everywhere == Some(true) || selector.is_some_and(|selector| takes(selector, node)),
    }
}

/// Whether a selector takes the node.
pub(super) fn takes(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| placement::matches(term, Place::of(node)))
}
