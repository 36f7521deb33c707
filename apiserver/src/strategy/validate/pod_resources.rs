//! Requests and limits of a pod as a whole.

use mainstay_api::defaults;
use mainstay_api::field::Error;

use super::quantities::{is_hugepages, resource_amount, resource_name};
use super::{At, Errors, pod_claims, resources};

/// `resources` of a pod's spec, beside those of its containers.
pub(crate) fn pod(spec: &At<'_>, errors: &mut Errors) {
    let Some(own) = spec.opt("resources") else { return };
    if spec.get("os").get("name").str() == "windows" {
        errors.forbidden(&own, "may not be set for a windows pod");
        return;
    }
    if own.opt("claims").is_some() {
        errors.forbidden(&own.get("claims"), "claims may not be set for Resources at pod-level");
    }
    resources::requirements(&own, name_and_amount, errors);
    pod_claims::used(&own.get("claims"), &spec.get("resourceClaims"), errors);
    within_limits(spec, &own, errors);
}

fn name_and_amount(name: &str, at: &At<'_>, errors: &mut Errors) {
    let before = errors.0.len();
    resource_name(name, at, errors);
    if errors.0.len() == before && !matches!(name, "cpu" | "memory") && !is_hugepages(name) {
        errors.0.push(Error::not_supported(&at.path, name, &["cpu", "hugepages-", "memory"]));
    }
    resource_amount(name, at, errors);
}

/// No container may use more than the pod, and all of them ask for no more than it does.
fn within_limits(spec: &At<'_>, own: &At<'_>, errors: &mut Errors) {
    let (requests, limits) = (own.get("requests"), own.get("limits"));
    for (name, asked) in defaults::container_requests(spec.value) {
        let Some(given) = requests.opt(&name).map(|at| at.quantity()) else { continue };
        if asked > given {
            let why = format!("must be greater than or equal to aggregate container requests of {asked}");
            errors.0.push(Error::invalid(&requests.path.key(&name), given.to_string(), why));
        }
    }
    for (name, used) in defaults::container_limits(spec.value).into_iter().filter(|(name, _)| is_hugepages(name)) {
        let Some(most) = limits.opt(&name).map(|at| at.quantity()).filter(|most| used > *most) else { continue };
        let why = format!("must be greater than or equal to aggregate container limits of {used}");
        errors.0.push(Error::invalid(&limits.path.key(&name), most.to_string(), why));
    }
    for (index, container) in spec.get("containers").items().enumerate() {
        for (name, limit) in container.get("resources").get("limits").entries() {
            let Some(most) = limits.opt(name) else { continue };
            if limit.quantity() > most.quantity() {
                let path = own.path.child("containers").index(index).key(name).child("limits");
                let why = format!("must be less than or equal to pod limits of {}", most.quantity());
                errors.0.push(Error::invalid(&path, limit.quantity().to_string(), why));
            }
        }
    }
}
