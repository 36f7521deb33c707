//! Claims of devices: which a pod has, and which of them its containers use.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::{At, Errors};

/// `resourceClaims` of a pod.
pub(crate) fn claims(list: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for claim in list.items() {
        let name = claim.get("name");
        if name.str().is_empty() {
            errors.required(&name, "");
        } else if !seen.insert(name.str()) {
            errors.duplicate(&name);
        } else {
            errors.each(&name, names::is_dns1123_label(name.str()));
        }
        source(&claim, errors);
    }
}

fn source(claim: &At<'_>, errors: &mut Errors) {
    const NAMES: [&str; 2] = ["resourceClaimName", "resourceClaimTemplateName"];
    let why = match claim.present(&NAMES).len() {
        2 => "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        0 => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        _ => "",
    };
    if !why.is_empty() {
        let shown = format!(
            "{{\"Name\":{},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
            Value::from(claim.get("name").str()),
            claim.get(NAMES[0]).value,
            claim.get(NAMES[1]).value,
        );
        errors.0.push(Error::invalid_text(&claim.path, shown, why));
    }
    for name in NAMES.iter().filter_map(|field| claim.opt(field)) {
        errors.each(&name, names::is_dns1123_subdomain(name.str()));
    }
}

/// `resources.claims` of a container, beside those that the pod has.
pub(crate) fn used(list: &At<'_>, pod: &At<'_>, errors: &mut Errors) {
    let known: Vec<&str> = pod.items().map(|claim| claim.get("name").str()).filter(|name| !name.is_empty()).collect();
    let mut seen: HashSet<String> = HashSet::new();
    for claim in list.items() {
        let (name, request) = (claim.get("name"), claim.get("request"));
        if name.str().is_empty() {
            errors.required(&claim, "");
            continue;
        }
        // Who uses all of a claim uses each of its requests.
        if seen.contains(name.str()) {
            errors.0.push(Error::duplicate(&claim.path, name.str()));
        } else {
            errors.name_if_set(&request, names::is_dns1123_label);
            let all = format!("{}/", name.str());
            let key = if request.str().is_empty() { name.str().to_owned() } else { format!("{all}{}", request.str()) };
            let overlaps = |other: &String| *other == key || (request.str().is_empty() && other.starts_with(&all));
            for _ in seen.iter().filter(|other| overlaps(other)) {
                errors.0.push(Error::duplicate(&claim.path, key.clone()));
            }
            seen.insert(key);
        }
        if !known.contains(&name.str()) {
            let mut sorted = known.clone();
            sorted.sort_unstable();
            let detail = if sorted.is_empty() {
                "must be one of the names in pod.spec.resourceClaims which is empty".to_owned()
            } else {
                format!("must be one of the names in pod.spec.resourceClaims: {}", sorted.join(", "))
            };
            errors.0.push(Error::not_found(&claim.path, name.str()).with_detail(detail));
        }
    }
}
