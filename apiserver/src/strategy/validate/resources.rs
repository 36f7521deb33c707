//! Requests and limits.

use mainstay_api::field::Error;
use mainstay_api::quantity::Quantity;

use super::quantities::{container_resource_name, is_hugepages, is_native, resource_amount};
use super::{At, Errors};

/// The `resources` of a container.
pub(crate) fn container_resources(resources: &At<'_>, errors: &mut Errors) {
    requirements(resources, container_amount, errors);
}

fn container_amount(name: &str, at: &At<'_>, errors: &mut Errors) {
    container_resource_name(name, at, errors);
    resource_amount(name, at, errors);
}

/// Requests and limits of which each is judged by itself as `judge` has it.
pub(crate) fn requirements(resources: &At<'_>, judge: fn(&str, &At<'_>, &mut Errors), errors: &mut Errors) {
    let (limits, requests) = (resources.get("limits"), resources.get("requests"));
    let (mut limits_huge, mut limits_usual) = (false, false);
    for (name, at) in limits.entries() {
        judge(name, &at, errors);
        limits_huge |= is_hugepages(name);
        limits_usual |= matches!(name, "cpu" | "memory");
        whole_pages(name, &at, errors);
    }
    let (mut requests_huge, mut requests_usual) = (false, false);
    for (name, at) in requests.entries() {
        judge(name, &at, errors);
        request_and_limit(name, &at, &limits, &requests, errors);
        requests_huge |= is_hugepages(name);
        requests_usual |= matches!(name, "cpu" | "memory");
        whole_pages(name, &at, errors);
    }
    if (limits_huge || requests_huge) && !limits_usual && !requests_usual {
        errors.forbidden(resources, "HugePages require cpu or memory");
    }
}

/// A request is at most its limit; of what cannot be overcommitted it is the limit.
fn request_and_limit(name: &str, request: &At<'_>, limits: &At<'_>, requests: &At<'_>, errors: &mut Errors) {
    let quantity = request.quantity();
    let Some(limit) = limits.opt(name) else {
        if !overcommits(name) {
            errors.required(limits, "Limit must be set for non overcommitable resources");
        }
        return;
    };
    let limit = limit.quantity();
    if quantity != limit && !overcommits(name) {
        let detail = format!("must be equal to {name} limit of {limit}");
        errors.0.push(Error::invalid(&requests.path, quantity.to_string(), detail));
    } else if quantity > limit {
        let detail = format!("must be less than or equal to {name} limit of {limit}");
        errors.0.push(Error::invalid(&requests.path, quantity.to_string(), detail));
    }
}

fn overcommits(name: &str) -> bool {
    is_native(name) && !is_hugepages(name)
}

/// An amount of huge pages is a multiple of the page.
fn whole_pages(name: &str, at: &At<'_>, errors: &mut Errors) {
    let Some(page) = name.strip_prefix("hugepages-") else { return };
    let amount = at.quantity();
    let whole = Quantity::parse(page)
        .is_ok_and(|page| page.is_integer() && page.value() > 0 && amount.value() % page.value() == 0);
    if !whole {
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.0.push(Error::invalid(&at.path, amount.to_string(), detail));
    }
}
