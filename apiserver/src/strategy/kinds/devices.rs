//! Dynamic resource allocation: ResourceClaims, their templates, DeviceClasses, ResourceSlices.

use std::collections::HashSet;

use mainstay_api::field::{Error, Path};
use mainstay_api::{names, types};
use serde_json::Value;

use crate::extension::expressions;
use crate::strategy::internal;
use crate::strategy::rules::{CHECK_FIRST, Rules};
use crate::strategy::validate::{At, Errors, selectors};

/// Requests of a claim at the most; constraints and configurations alike.
const REQUESTS_MAX: usize = 32;
/// Selectors of a request at the most.
const SELECTORS_MAX: usize = 32;
/// Devices of a slice at the most.
const DEVICES_MAX: usize = 128;
/// Users of a claim at the most.
const RESERVED_MAX: usize = 256;
/// Attributes and capacities of a device at the most.
const ATTRIBUTES_MAX: usize = 32;
const NO_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// ResourceClaims.
pub(crate) const CLAIM: Rules = Rules {
    check: |_, obj, errors| claim_spec(&At::spec(obj), errors),
    change: |_, new, old, errors| frozen("ResourceClaimSpec", new, old, errors),
    status: |_, new, _, errors| claim_status(new, errors),
    parts: CHECK_FIRST,
    ..Rules::PLAIN
};

/// ResourceClaimTemplates.
pub(crate) const TEMPLATE: Rules = Rules {
    check: |_, obj, errors| {
        let spec = At::spec(obj);
        template_metadata(&spec.get("metadata"), errors);
        claim_spec(&spec.get("spec"), errors);
    },
    change: |_, new, old, errors| frozen("ResourceClaimTemplateSpec", new, old, errors),
    parts: &[crate::strategy::rules::Part::MetaUpdate, crate::strategy::rules::Part::Change],
    ..Rules::PLAIN
};

/// DeviceClasses.
pub(crate) const CLASS: Rules = Rules {
    check: |_, obj, errors| {
        let spec = At::spec(obj);
        selectors_of(&spec.get("selectors"), errors);
        at_most(&spec.get("config"), REQUESTS_MAX, errors);
        spec.get("config").items().for_each(|config| configuration(&config, errors));
    },
    ..Rules::PLAIN
};

/// ResourceSlices.
pub(crate) const SLICE: Rules = Rules {
    check: |_, obj, errors| slice(&At::spec(obj), errors),
    change: |_, new, old, errors| {
        let (new, old) = (At::spec(new), At::spec(old));
        errors.immutable(&new.get("nodeName"), &old.get("nodeName"));
        errors.immutable(&new.get("driver"), &old.get("driver"));
        errors.immutable(&new.get("pool").get("name"), &old.get("pool").get("name"));
    },
    parts: CHECK_FIRST,
    ..Rules::PLAIN
};

/// A spec that never changes is shown whole where it does.
fn frozen(kind: &str, new: &Value, old: &Value, errors: &mut Errors) {
    let (new, old) = (At::spec(new), At::spec(old));
    if new.value == old.value {
        return;
    }
    match types::by_name(&format!("io.k8s.api.resource.v1.{kind}")) {
        Some(of) => {
            let shown = internal::line(of, new.value);
            errors.0.push(Error::invalid_text(&new.path, shown, "field is immutable"));
        }
        None => errors.immutable(&new, &old),
    }
}

/// What a template gives its claims is labels and annotations.
fn template_metadata(at: &At<'_>, errors: &mut Errors) {
    for field in ["name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "finalizers"] {
        if !at.get(field).is_empty() {
            errors.forbidden(&at.get(field), "cannot be set");
        }
    }
    errors.extend(mainstay_api::meta::validate_labels(at.get("labels").value.as_object(), &at.path.child("labels")));
}

fn at_most(list: &At<'_>, max: usize, errors: &mut Errors) {
    if list.len() > max {
        let (found, max) = (i64::try_from(list.len()), i64::try_from(max));
        errors.0.push(Error::too_many(&list.path, found.unwrap_or(i64::MAX), max.unwrap_or(i64::MAX)));
    }
}

fn claim_spec(spec: &At<'_>, errors: &mut Errors) {
    let devices = spec.get("devices");
    let (requests, constraints, config) = (devices.get("requests"), devices.get("constraints"), devices.get("config"));
    at_most(&requests, REQUESTS_MAX, errors);
    let mut seen = HashSet::new();
    for request in requests.items() {
        self::request(&request, errors);
        let name = request.get("name").str();
        if !name.is_empty() && !seen.insert(name) {
            errors.0.push(Error::duplicate(&request.path, name));
        }
    }
    let known = known_requests(&requests);
    at_most(&constraints, REQUESTS_MAX, errors);
    for constraint in constraints.items() {
        named_requests(&constraint.get("requests"), &known, errors);
        let (same, distinct) = (constraint.get("matchAttribute"), constraint.get("distinctAttribute"));
        if same.is_null() && distinct.is_null() {
            errors.required(&same, "");
        }
        for attribute in [same, distinct].iter().filter(|at| !at.is_null()) {
            full_name(attribute, errors);
        }
    }
    at_most(&config, REQUESTS_MAX, errors);
    for config in config.items() {
        named_requests(&config.get("requests"), &known, errors);
        configuration(&config, errors);
    }
}

/// Names of requests, and of their alternatives as `request/alternative`.
fn known_requests(requests: &At<'_>) -> HashSet<String> {
    let mut known = HashSet::new();
    for request in requests.items() {
        let name = request.get("name").str();
        known.insert(name.to_owned());
        known.extend(request.get("firstAvailable").items().map(|at| format!("{name}/{}", at.get("name").str())));
    }
    known
}

fn named_requests(list: &At<'_>, known: &HashSet<String>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for at in list.items() {
        if !known.contains(at.str()) {
            errors.invalid(&at, NO_REQUEST);
        }
        if !seen.insert(at.str()) {
            errors.duplicate(&at);
        }
    }
    at_most(list, REQUESTS_MAX, errors);
}

fn request(at: &At<'_>, errors: &mut Errors) {
    errors.name(&at.get("name"), names::is_dns1123_label);
    let (exactly, first) = (at.opt("exactly"), at.get("firstAvailable"));
    match (exactly, first.is_empty()) {
        (Some(exactly), true) => device_request(&exactly, errors),
        (None, false) => {
            at_most(&first, 8, errors);
            let mut seen = HashSet::new();
            for alternative in first.items() {
                errors.name(&alternative.get("name"), names::is_dns1123_label);
                device_request(&alternative, errors);
                let name = alternative.get("name").str();
                if !seen.insert(name) {
                    errors.0.push(Error::duplicate(&alternative.path, name));
                }
            }
        }
        (None, true) => errors.required(at, "exactly one of `exactly` or `firstAvailable` is required"),
        (Some(_), false) => {
            let why = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.0.push(Error::invalid(&at.path, Value::Null, why));
        }
    }
}

fn device_request(at: &At<'_>, errors: &mut Errors) {
    errors.name(&at.get("deviceClassName"), names::is_dns1123_subdomain);
    selectors_of(&at.get("selectors"), errors);
    let (mode, count) = (at.get("allocationMode"), at.get("count"));
    match mode.str() {
        "All" if count.int() != 0 => errors.invalid(&count, "must not be specified when allocationMode is 'All'"),
        "All" => {}
        "ExactCount" if count.int() <= 0 => errors.invalid(&count, "must be greater than zero"),
        "ExactCount" => {}
        _ => errors.unsupported(&mode, &["All", "ExactCount"]),
    }
    crate::strategy::validate::gates::tolerations(&at.get("tolerations"), errors);
}

fn selectors_of(list: &At<'_>, errors: &mut Errors) {
    at_most(list, SELECTORS_MAX, errors);
    let env = expressions::device_environment();
    for selector in list.items() {
        let cel = selector.get("cel");
        if cel.is_null() {
            errors.required(&cel, "");
        } else {
            expressions::selects(&cel.get("expression"), &env, errors);
        }
    }
}

fn configuration(at: &At<'_>, errors: &mut Errors) {
    let opaque = at.get("opaque");
    if opaque.is_null() {
        errors.required(&opaque, "");
        return;
    }
    errors.name(&opaque.get("driver"), names::is_dns1123_subdomain);
    let parameters = opaque.get("parameters");
    if parameters.is_null() {
        errors.required(&parameters, "");
    } else if !parameters.value.is_object() {
        errors.0.push(Error::invalid(&parameters.path, "<value omitted>", "must be a valid JSON object"));
    }
}

/// `domain/name` of an attribute.
fn full_name(at: &At<'_>, errors: &mut Errors) {
    match at.str().split_once('/') {
        None => errors.invalid(at, "must include a domain"),
        Some((domain, name)) => {
            for why in names::is_dns1123_subdomain(domain) {
                errors.0.push(Error::invalid(&at.path, domain, why));
            }
            for why in names::is_c_identifier(name) {
                errors.0.push(Error::invalid(&at.path, name, why));
            }
        }
    }
}

fn claim_status(obj: &Value, errors: &mut Errors) {
    let (spec, status) = (At::spec(obj), At::root(obj).get("status"));
    let (allocation, reserved) = (status.get("allocation"), status.get("reservedFor"));
    let known = known_requests(&spec.get("devices").get("requests"));
    for result in allocation.get("devices").get("results").items() {
        if !known.contains(result.get("request").str()) {
            errors.invalid(&result.get("request"), NO_REQUEST);
        }
        errors.name(&result.get("driver"), names::is_dns1123_subdomain);
        pool_name(&result.get("pool"), errors);
        errors.name(&result.get("device"), names::is_dns1123_label);
    }
    if let Some(selector) = allocation.opt("nodeSelector") {
        selectors::node_selector(&selector, errors);
    }
    at_most(&reserved, RESERVED_MAX, errors);
    let mut seen = HashSet::new();
    for user in reserved.items() {
        for field in ["resource", "name", "uid"] {
            errors.needed(&user.get(field));
        }
        if !seen.insert(user.get("uid").str()) {
            errors.duplicate(&user.get("uid"));
        }
    }
    if !reserved.is_empty() && allocation.is_null() {
        errors.forbidden(&reserved, "may not be specified when `allocated` is not set");
    }
}

fn pool_name(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    if at.str().len() > 253 {
        errors.0.push(Error::too_long(&at.path, 253));
    }
    for part in at.str().split('/') {
        for why in names::is_dns1123_subdomain(part) {
            errors.0.push(Error::invalid(&at.path, part, why));
        }
    }
}

fn slice(spec: &At<'_>, errors: &mut Errors) {
    const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
    errors.name(&spec.get("driver"), names::is_dns1123_subdomain);
    let pool = spec.get("pool");
    pool_name(&pool.get("name"), errors);
    let (count, generation) = (pool.get("resourceSliceCount"), pool.get("generation"));
    if count.int() <= 0 {
        errors.invalid(&count, "must be greater than zero");
    }
    if generation.int() < 0 {
        errors.invalid(&generation, "must be greater than or equal to zero");
    }
    if let Some(node) = spec.opt("nodeName") {
        errors.each(&node, names::is_dns1123_subdomain(node.str()));
    }
    if let Some(selector) = spec.opt("nodeSelector") {
        selectors::node_selector(&selector, errors);
    }
    let set: Vec<String> =
        PLACES.iter().filter(|field| !is_unset(&spec.get(field))).map(|field| format!("`{field}`")).collect();
    let wanted = PLACES.map(|field| format!("`{field}`")).join(", ");
    match set.len() {
        0 => errors.required(spec, &format!("exactly one of {wanted} is required")),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            let why = format!("exactly one of {wanted} is required, but multiple fields are set");
            errors.0.push(Error::invalid(&spec.path, shown, why));
        }
    }
    devices(&spec.get("devices"), errors);
}

fn is_unset(at: &At<'_>) -> bool {
    at.is_null() || at.value.as_bool() == Some(false)
}

fn devices(list: &At<'_>, errors: &mut Errors) {
    at_most(list, DEVICES_MAX, errors);
    let mut seen = HashSet::new();
    for device in list.items() {
        errors.name(&device.get("name"), names::is_dns1123_label);
        let (attributes, capacity) = (device.get("attributes"), device.get("capacity"));
        if attributes.len() + capacity.len() > ATTRIBUTES_MAX {
            let found = i64::try_from(attributes.len() + capacity.len()).unwrap_or(i64::MAX);
            errors.0.push(Error::too_many(&device.path, found, 32));
        }
        for (name, attribute) in attributes.entries() {
            qualified(name, &attribute.path, errors);
            if attribute.present(&["int", "bool", "string", "version"]).len() != 1 {
                errors.0.push(Error::invalid(&attribute.path, "", "exactly one value must be specified"));
            }
        }
        for (name, at) in capacity.entries() {
            qualified(name, &at.path, errors);
        }
        let name = device.get("name").str();
        if !seen.insert(name) {
            errors.0.push(Error::duplicate(&device.path, name));
        }
    }
}

/// A name, with a domain or without.
fn qualified(name: &str, path: &Path, errors: &mut Errors) {
    let (domain, name) = name.split_once('/').map_or((None, name), |(domain, name)| (Some(domain), name));
    for why in domain.map(names::is_dns1123_subdomain).unwrap_or_default() {
        errors.0.push(Error::invalid(path, domain.unwrap_or_default(), why));
    }
    for why in names::is_c_identifier(name) {
        errors.0.push(Error::invalid(path, name, why));
    }
}
