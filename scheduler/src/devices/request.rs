//! What claims ask for, with the classes and expressions that they name looked up.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::resource::v1::{
    CapacityRequirements, DeviceClass, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest,
    DeviceToleration, ExactDeviceRequest, ResourceClaim,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as WireQuantity;

use super::known::{Devices, key};
use super::selectors::Compiled;

/// Alternatives of a request at the most.
const ALTERNATIVES_MAX: i64 = 8;

/// One way to meet a request.
pub(super) struct Alternative<'a> {
    /// Tells it from all others of the pod.
    pub(super) number: usize,
    /// As results name it: `request`, or `request/alternative`.
    pub(super) name: String,
    /// The name of the request itself.
    pub(super) request: &'a str,
    pub(super) class: &'a DeviceClass,
    /// The expressions of the class and its own, each with where it is from.
    pub(super) selectors: Vec<(String, Arc<Compiled>)>,
    /// How many devices; `None` for all.
    pub(super) count: Option<usize>,
    /// The devices are to be looked after, whoever uses them.
    pub(super) admin: bool,
    pub(super) tolerations: &'a [DeviceToleration],
    pub(super) capacity: Option<&'a BTreeMap<String, WireQuantity>>,
    /// More for what is preferred; nothing where there is no choice.
    pub(super) worth: i64,
}

/// A claim that has no devices yet.
pub(super) struct Wish<'a> {
    pub(super) claim: &'a ResourceClaim,
    /// Each request with its alternatives, the best first.
    pub(super) requests: Vec<Vec<Alternative<'a>>>,
    pub(super) constraints: &'a [DeviceConstraint],
}

/// What requests and alternatives have in common.
struct Asked<'a> {
    class: &'a str,
    selectors: &'a [DeviceSelector],
    mode: Option<&'a str>,
    count: Option<i64>,
    admin: bool,
    tolerations: &'a [DeviceToleration],
    capacity: Option<&'a CapacityRequirements>,
    worth: i64,
}

impl<'a> Wish<'a> {
    /// Looks everything up; `next` numbers the alternatives.
    ///
    /// # Errors
    /// Why no node can meet the claim.
    pub(super) fn new(claim: &'a ResourceClaim, devices: &'a Devices, next: &mut usize) -> Result<Self, String> {
        let asked = claim.spec.devices.as_ref();
        let mut requests = Vec::new();
        for request in asked.iter().flat_map(|asked| asked.requests.iter().flatten()) {
            requests.push(alternatives(claim, request, devices, next)?);
        }
        let constraints = asked.and_then(|asked| asked.constraints.as_deref()).unwrap_or_default();
        Ok(Self { claim, requests, constraints })
    }
}

fn alternatives<'a>(
    claim: &ResourceClaim,
    request: &'a DeviceRequest,
    devices: &'a Devices,
    next: &mut usize,
) -> Result<Vec<Alternative<'a>>, String> {
    let mut found = Vec::new();
    if let Some(exactly) = &request.exactly {
        found.push((request.name.clone(), of_request(exactly)));
    }
    for (way, worth) in request.first_available.iter().flatten().zip((1..=ALTERNATIVES_MAX).rev()) {
        found.push((format!("{}/{}", request.name, way.name), of_alternative(way, worth)));
    }
    found.into_iter().map(|(name, asked)| alternative(claim, request, name, asked, devices, next)).collect()
}

fn of_request(exactly: &ExactDeviceRequest) -> Asked<'_> {
    Asked {
        class: &exactly.device_class_name,
        selectors: exactly.selectors.as_deref().unwrap_or_default(),
        mode: exactly.allocation_mode.as_deref(),
        count: exactly.count,
        admin: exactly.admin_access == Some(true),
        tolerations: exactly.tolerations.as_deref().unwrap_or_default(),
        capacity: exactly.capacity.as_ref(),
        worth: 0,
    }
}

fn of_alternative(way: &DeviceSubRequest, worth: i64) -> Asked<'_> {
    Asked {
        class: &way.device_class_name,
        selectors: way.selectors.as_deref().unwrap_or_default(),
        mode: way.allocation_mode.as_deref(),
        count: way.count,
        admin: false,
        tolerations: way.tolerations.as_deref().unwrap_or_default(),
        capacity: way.capacity.as_ref(),
        worth,
    }
}

fn alternative<'a>(
    claim: &ResourceClaim,
    request: &'a DeviceRequest,
    name: String,
    asked: Asked<'a>,
    devices: &'a Devices,
    next: &mut usize,
) -> Result<Alternative<'a>, String> {
    let Some(class) = devices.class(asked.class) else {
        return Err(format!("request {name}: device class {} does not exist", asked.class));
    };
    let place = key(&claim.metadata);
    let of_class = class.spec.selectors.iter().flatten().map(|selector| (format!("class {}", asked.class), selector));
    let own = asked.selectors.iter().map(|selector| (format!("claim {place}"), selector));
    let compile = |(place, selector): (String, &DeviceSelector)| {
        let expression = selector.cel.as_ref().map_or("", |cel| cel.expression.as_str());
        (place, devices.selectors.get(expression))
    };
    let selectors = of_class.chain(own).map(compile).collect();
    let count = match asked.mode {
        Some("All") => None,
        _ => Some(usize::try_from(asked.count.unwrap_or(1)).unwrap_or_default()),
    };
    *next += 1;
    Ok(Alternative {
        number: *next,
        name,
        request: &request.name,
        class,
        selectors,
        count,
        admin: asked.admin,
        tolerations: asked.tolerations,
        capacity: asked.capacity.and_then(|capacity| capacity.requests.as_ref()),
        worth: asked.worth,
    })
}
