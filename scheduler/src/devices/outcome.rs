//! What a claim is told of the devices that were found for it.

use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use k8s_openapi::api::resource::v1::{
    AllocationResult, DeviceAllocationConfiguration, DeviceAllocationResult, DeviceRequestAllocationResult,
};

use super::capacity::written;
use super::choice::Choice;
use super::request::{Alternative, Wish};

/// The devices with all that their drivers have to know. Shares are told apart later.
pub(super) fn allocation(wish: &Wish<'_>, choices: &[Choice<'_, '_>], node: &Node) -> AllocationResult {
    let config = configurations(wish, choices);
    AllocationResult {
        allocation_timestamp: None,
        devices: Some(DeviceAllocationResult {
            config: Some(config).filter(|config| !config.is_empty()),
            results: Some(choices.iter().map(result).collect()),
        }),
        node_selector: selector(choices, node),
    }
}

fn result(choice: &Choice<'_, '_>) -> DeviceRequestAllocationResult {
    let Choice { alternative, offer, share } = choice;
    DeviceRequestAllocationResult {
        admin_access: alternative.admin.then_some(true),
        binding_conditions: offer.device.binding_conditions.clone(),
        binding_failure_conditions: offer.device.binding_failure_conditions.clone(),
        consumed_capacity: share.as_ref().map(written),
        device: offer.device.name.clone(),
        driver: offer.slice.spec.driver.clone(),
        pool: offer.slice.spec.pool.name.clone(),
        request: alternative.name.clone(),
        share_id: share.as_ref().map(|_| String::new()),
        tolerations: Some(alternative.tolerations.to_vec()).filter(|tolerations| !tolerations.is_empty()),
    }
}

/// The alternatives that were taken, one a request, in the order of the requests.
pub(super) fn taken<'s, 'a>(choices: &[Choice<'s, 'a>]) -> Vec<&'s Alternative<'a>> {
    let mut taken: Vec<&Alternative<'_>> = Vec::new();
    for choice in choices {
        if taken.iter().all(|known| known.number != choice.alternative.number) {
            taken.push(choice.alternative);
        }
    }
    taken
}

/// The configurations of the classes, each class once, then those of the claim.
fn configurations(wish: &Wish<'_>, choices: &[Choice<'_, '_>]) -> Vec<DeviceAllocationConfiguration> {
    let taken = taken(choices);
    let mut all = Vec::new();
    for (index, alternative) in taken.iter().enumerate() {
        let class = |other: &&Alternative<'_>| other.class.metadata.name == alternative.class.metadata.name;
        if taken[..index].iter().any(class) {
            continue;
        }
        let requests: Vec<String> = taken.iter().copied().filter(class).map(|same| same.name.clone()).collect();
        all.extend(alternative.class.spec.config.iter().flatten().map(|config| DeviceAllocationConfiguration {
            opaque: config.opaque.clone(),
            requests: Some(requests.clone()),
            source: "FromClass".to_owned(),
        }));
    }
    let own = wish.claim.spec.devices.iter().flat_map(|devices| devices.config.iter().flatten());
    let concerned = own.filter(|config| {
        let requests = config.requests.as_deref().unwrap_or_default();
        requests.is_empty() || taken.iter().any(|of| requests.iter().any(|name| *name == of.name || name == of.request))
    });
    all.extend(concerned.map(|config| DeviceAllocationConfiguration {
        opaque: config.opaque.clone(),
        requests: config.requests.clone().filter(|requests| !requests.is_empty()),
        source: "FromClaim".to_owned(),
    }));
    all
}

/// Where all of the devices can be used; `None` for everywhere.
fn selector(choices: &[Choice<'_, '_>], node: &Node) -> Option<NodeSelector> {
    let mut term = NodeSelectorTerm::default();
    for choice in choices {
        let (slice, device) = (&choice.offer.slice.spec, choice.offer.device);
        let (name, selector) = match slice.per_device_node_selection {
            Some(true) => (&device.node_name, &device.node_selector),
            _ => (&slice.node_name, &slice.node_selector),
        };
        let here = if device.binds_to_node == Some(true) { &node.metadata.name } else { name };
        if let Some(here) = here {
            return Some(only(here));
        }
        for more in selector.iter().flat_map(|selector| &selector.node_selector_terms) {
            add(&mut term.match_fields, more.match_fields.as_deref().unwrap_or_default());
            add(&mut term.match_expressions, more.match_expressions.as_deref().unwrap_or_default());
        }
    }
    let empty = term.match_fields.is_none() && term.match_expressions.is_none();
    (!empty).then(|| NodeSelector { node_selector_terms: vec![term] })
}

fn only(node: &str) -> NodeSelector {
    let by_name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    NodeSelector {
        node_selector_terms: vec![NodeSelectorTerm { match_expressions: None, match_fields: Some(vec![by_name]) }],
    }
}

fn add(known: &mut Option<Vec<NodeSelectorRequirement>>, more: &[NodeSelectorRequirement]) {
    for requirement in more {
        let list = known.get_or_insert_default();
        if !list.contains(requirement) {
            list.push(requirement.clone());
        }
    }
}
