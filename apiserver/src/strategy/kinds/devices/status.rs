//! What may be written as a ResourceClaim's status: the devices that it has, who uses them, and what drivers say of each.

use std::collections::HashSet;

use mainstay_api::field::{Error, Path, Shown, go_json};
use mainstay_api::meta;
use serde_json::Value;

use super::{
    REQUESTS_MAX, administrators_only, binding, configuration, csi_driver_name, each, known_requests, label,
    named_request, named_requests, pool_name, raw_object, set, too_many,
};
use crate::strategy::Context;
use crate::strategy::validate::{At, Errors, conditions, ip, selectors};

/// Users of a claim at the most.
const RESERVED_MAX: usize = 256;
/// Results of an allocation at the most.
const RESULTS_MAX: usize = 32;
/// Conditions of a device at the most.
const CONDITIONS_MAX: usize = 8;
/// Addresses of a device at the most.
const ADDRESSES_MAX: usize = 16;
/// Bytes of the name of a network interface at the most.
const INTERFACE_MAX: i64 = 256;
/// Bytes of a hardware address at the most.
const HARDWARE_MAX: i64 = 128;

/// A device or a share of it: driver, pool, device, share.
type Id = [String; 4];

fn id(of: &Value) -> Id {
    let text = |field: &str| of.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    ["driver", "pool", "device", "shareID"].map(text)
}

/// As Kubernetes prints what tells devices apart.
fn shown(id: &Id) -> String {
    let [driver, pool, device, share] = id.each_ref().map(|text| go_json(&Value::from(text.as_str())));
    format!(r#"{{"Driver":{driver},"Pool":{pool},"Device":{device},"ShareID":{share}}}"#)
}

/// The devices that a claim has.
fn allocated(claim: &Value) -> HashSet<Id> {
    let results = claim.pointer("/status/allocation/devices/results").and_then(Value::as_array);
    results.into_iter().flatten().map(id).collect()
}

/// What drivers say of devices goes with the devices.
pub(super) fn forget_deallocated(new: &mut Value, old: Option<&Value>) {
    let Some(old) = old else { return };
    let now = allocated(new);
    let gone: HashSet<Id> = allocated(old).into_iter().filter(|id| !now.contains(id)).collect();
    let Some(status) = new.get_mut("status").and_then(Value::as_object_mut) else { return };
    let Some(devices) = status.get_mut("devices").and_then(Value::as_array_mut) else { return };
    devices.retain(|device| !gone.contains(&id(device)));
    if devices.is_empty() {
        status.remove("devices");
    }
}

/// Devices are given for administration only where administrators are at home; what was given stays.
pub(super) fn admin_access(cx: &Context<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    let asked = |claim: &Value| {
        let mut results = At::root(claim).get("status").get("allocation").get("devices").get("results").items();
        results.position(|result| result.get("adminAccess").bool())
    };
    if let (Some(index), None) = (asked(new), asked(old)) {
        let results = Path::new("status").child("allocation").child("devices").child("results");
        administrators_only(cx, &results.index(index).child("adminAccess"), errors);
    }
}

pub(super) fn claim_status(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, before) = (At::root(new).get("status"), At::root(old).get("status"));
    let (allocation, reserved) = (status.get("allocation"), status.get("reservedFor"));
    set(
        &reserved,
        RESERVED_MAX,
        "uid",
        |user, errors| ["resource", "name", "uid"].iter().for_each(|field| errors.needed(&user.get(field))),
        errors,
    );
    device_statuses(&status.get("devices"), &allocated(new), errors);
    if !reserved.is_empty() && allocation.is_null() {
        errors.forbidden(&reserved, "may not be specified when `allocated` is not set");
    } else if meta::is_deleting(new) {
        let known: Vec<&Value> = before.get("reservedFor").items().map(|at| at.value).collect();
        if reserved.items().any(|at| !known.contains(&at.value)) {
            let why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.forbidden(&reserved, why);
        }
    }
    // An allocation goes as a whole; while it is there it stays as it is.
    match before.opt("allocation") {
        _ if allocation.is_null() => {}
        Some(before) => errors.immutable_struct(&allocation, &before, "io.k8s.api.resource.v1.AllocationResult"),
        None => self::allocation(&allocation, &known_requests(&At::spec(new).get("devices").get("requests")), errors),
    }
}

fn allocation(at: &At<'_>, known: &HashSet<String>, errors: &mut Errors) {
    let devices = at.get("devices");
    let judge = |result: &At<'_>, errors: &mut Errors| {
        named_request(&result.get("request"), known, errors);
        csi_driver_name(&result.get("driver"), errors);
        pool_name(&result.get("pool"), errors);
        label(&result.get("device"), errors);
        binding::conditions(result, errors);
        share(&result.get("shareID"), errors);
    };
    each(&devices.get("results"), RESULTS_MAX, judge, errors);
    let judge = |config: &At<'_>, errors: &mut Errors| {
        errors.one_of(&config.get("source"), &["FromClaim", "FromClass"]);
        named_requests(&config.get("requests"), known, errors);
        configuration(config, errors);
    };
    each(&devices.get("config"), 2 * REQUESTS_MAX, judge, errors);
    if let Some(selector) = at.opt("nodeSelector") {
        selectors::node_selector(&selector, errors);
    }
}

/// What drivers say of the claim's devices, of each once.
fn device_statuses(list: &At<'_>, allocated: &HashSet<Id>, errors: &mut Errors) {
    list.items().for_each(|at| device_status(&at, allocated, errors));
    let mut seen = HashSet::new();
    for at in list.items() {
        let id = id(at.value);
        if seen.contains(&id) {
            errors.0.push(Error { value: Shown::Text(shown(&id)), ..Error::duplicate(&at.path, "") });
        }
        seen.insert(id);
    }
}

fn device_status(at: &At<'_>, allocated: &HashSet<Id>, errors: &mut Errors) {
    csi_driver_name(&at.get("driver"), errors);
    pool_name(&at.get("pool"), errors);
    label(&at.get("device"), errors);
    share(&at.get("shareID"), errors);
    let id = id(at.value);
    if !allocated.contains(&id) {
        errors.0.push(Error::invalid_text(&at.path, shown(&id), "must be an allocated device in the claim"));
    }
    let list = at.get("conditions");
    if list.len() > CONDITIONS_MAX {
        too_many(&list, CONDITIONS_MAX, errors);
    }
    conditions::conditions(&list, errors);
    if let Some(data) = at.opt("data") {
        raw_object(&data, errors);
    }
    network(&at.get("networkData"), errors);
}

/// What a device is in a network.
fn network(at: &At<'_>, errors: &mut Errors) {
    for (field, max) in [("interfaceName", INTERFACE_MAX), ("hardwareAddress", HARDWARE_MAX)] {
        let text = at.get(field);
        if i64::try_from(text.str().len()).is_ok_and(|length| length > max) {
            errors.0.push(Error::too_long(&text.path, max));
        }
    }
    set(&at.get("ips"), ADDRESSES_MAX, "", ip::interface_address, errors);
}

/// What tells shares of a device apart.
fn share(at: &At<'_>, errors: &mut Errors) {
    const FORM: &str = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
    if at.is_null() {
        return;
    }
    let why = match uid_flaw(at.str()) {
        Some(flaw) => format!("error validating uid: {flaw}"),
        None if at.str().len() == 36 && !at.str().bytes().any(|byte| byte.is_ascii_uppercase()) => return,
        None => FORM.to_owned(),
    };
    errors.invalid(at, why);
}

/// Why a text is no UUID in any form that it may be written in.
fn uid_flaw(text: &str) -> Option<String> {
    const FORMAT: &str = "invalid UUID format";
    let bare = match text.len() {
        36 => text,
        45 => match text.split_at_checked(9) {
            Some((prefix, bare)) if prefix.eq_ignore_ascii_case("urn:uuid:") => bare,
            found => return Some(format!("invalid urn prefix: {:?}", found.unwrap_or_default().0)),
        },
        38 => match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(bare) => bare,
            None => return Some("invalid bracketed UUID format".to_owned()),
        },
        32 => return (!text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| FORMAT.to_owned()),
        length => return Some(format!("invalid UUID length: {length}")),
    };
    let fits = bare.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    (!fits).then(|| FORMAT.to_owned())
}

#[cfg(test)]
mod tests;
