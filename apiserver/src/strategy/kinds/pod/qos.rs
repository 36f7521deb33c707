//! The quality of service that a pod's requests and limits amount to.

use mainstay_api::quantity::Quantity;
use serde_json::Value;

use crate::strategy::validate::At;

const COMPUTE: [&str; 2] = ["cpu", "memory"];

/// `Guaranteed`, `Burstable` or `BestEffort`.
pub(crate) fn class(pod: &Value) -> &'static str {
    let spec = At::spec(pod);
    if let Some(resources) = spec.opt("resources").filter(|at| !at.is_empty()) {
        return of(std::iter::once(resources));
    }
    of(spec
        .get("containers")
        .items()
        .chain(spec.get("initContainers").items())
        .map(|container| container.get("resources")))
}

fn of<'a>(all: impl Iterator<Item = At<'a>>) -> &'static str {
    let (mut any, mut guaranteed) = (false, true);
    for resources in all {
        let (requests, limits) = (resources.get("requests"), resources.get("limits"));
        for name in COMPUTE {
            let (request, limit) = (amount(&requests, name), amount(&limits, name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

fn amount(list: &At<'_>, name: &str) -> Option<Quantity> {
    list.opt(name).map(|at| at.quantity()).filter(|quantity| !quantity.is_zero())
}
