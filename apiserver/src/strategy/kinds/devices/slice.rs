//! ResourceSlices: what a driver offers.

use std::borrow::Cow;

use mainstay_api::field::{Error, go_json, go_quote};
use mainstay_api::{meta, names, time, types};
use serde_json::Value;

use super::capacity::capacity;
use super::{EFFECTS, binding, counters, csi_driver_name, each, label, pool_name, qualified, set};
use crate::strategy::Context;
use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, Errors, dumped_list, selectors};

/// Devices of a slice at the most.
const DEVICES_MAX: usize = 128;
/// The same where devices have taints or share counters.
const ELABORATE_DEVICES_MAX: usize = 64;
/// Attributes and capacities of a device at the most.
const ATTRIBUTES_MAX: usize = 32;
/// Bytes of the name of an attribute or a capacity at the most: its domain, a slash and an identifier.
const NAME_MAX: usize = 63 + 1 + 32;
/// Taints of a device at the most.
const TAINTS_MAX: usize = 16;
/// Bytes of an attribute's text at the most.
const TEXT_MAX: i64 = 64;
/// Where devices are, of which a slice says one.
const PLACES: [&str; 4] = ["nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection"];
const FIELDS: &str = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec";
const EACH: &str = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec";

pub(super) const RULES: Rules = Rules {
    check: |_, obj, errors| slice(&At::spec(obj), None, errors),
    change: |_, new, old, errors| slice(&At::spec(new), Some(&At::spec(old)), errors),
    parts: &[Part::MetaUpdate, Part::Change],
    warn: |new, _| loud_driver(At::spec(new).get("driver").str()).into_iter().collect(),
    tidy,
    ..Rules::PLAIN
};

/// What is said about a driver whose name has capital letters.
fn loud_driver(name: &str) -> Option<String> {
    let loud = name.chars().any(char::is_uppercase);
    let quoted = go_quote(name);
    loud.then(|| format!("spec.driver: driver names should be lowercase; {quoted} contains uppercase characters"))
}

/// Lists of values, which are switched off in Kubernetes 1.36 by default.
const SWITCHED_OFF: [&str; 4] = ["bools", "ints", "strings", "versions"];

/// Drops what is switched off, and says since when devices are tainted.
fn tidy(cx: &Context<'_>, obj: &mut Value) {
    let devices = obj.pointer_mut("/spec/devices").and_then(Value::as_array_mut);
    for device in devices.into_iter().flatten().filter_map(Value::as_object_mut) {
        device.remove("nodeAllocatableResourceMappings");
        let attributes = device.get_mut("attributes").and_then(Value::as_object_mut);
        for attribute in attributes.into_iter().flat_map(|map| map.values_mut()).filter_map(Value::as_object_mut) {
            SWITCHED_OFF.iter().for_each(|field| drop(attribute.remove(*field)));
        }
        let taints = device.get_mut("taints").and_then(Value::as_array_mut);
        for taint in taints.into_iter().flatten().filter_map(Value::as_object_mut) {
            if taint.get("timeAdded").is_none_or(Value::is_null) {
                taint.insert("timeAdded".to_owned(), time::seconds(cx.now).into());
            }
        }
    }
}

fn slice(spec: &At<'_>, old: Option<&At<'_>>, errors: &mut Errors) {
    csi_driver_name(&spec.get("driver"), errors);
    let pool = spec.get("pool");
    pool_name(&pool.get("name"), errors);
    let (count, generation) = (pool.get("resourceSliceCount"), pool.get("generation"));
    if count.int() <= 0 {
        errors.0.push(Error::invalid(&count.path, count.int(), "must be greater than zero"));
    }
    if generation.int() < 0 {
        errors.invalid(&generation, "must be greater than or equal to zero");
    }
    if let Some(old) = old {
        errors.immutable_plain(&pool.get("name"), &old.get("pool").get("name"));
        errors.immutable_plain(&spec.get("driver"), &old.get("driver"));
        errors.immutable(&spec.get("nodeName"), &old.get("nodeName"));
    }
    let found = places(spec, &PLACES, "must be either unset or set to a non-empty string", one_term, errors);
    let wanted = format!("exactly one of {} is required", PLACES.map(|field| format!("`{field}`")).join(", "));
    match found.len() {
        0 => errors.required(spec, &wanted),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", found.join(", "));
            errors.0.push(Error::invalid(&spec.path, shown, format!("{wanted}, but multiple fields are set")));
        }
    }
    if spec.opt("sharedCounters").is_some() && spec.opt("devices").is_some() {
        errors.0.push(Error::invalid(&spec.path, "", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let list = spec.get("devices");
    let elaborate = list.items().any(|at| !at.get("taints").is_empty() || !at.get("consumesCounters").is_empty());
    let most = if elaborate { ELABORATE_DEVICES_MAX } else { DEVICES_MAX };
    let own_places = spec.get("perDeviceNodeSelection").bool();
    set(&list, most, "name", |at, errors| device(at, own_places, errors), errors);
    counters::shared(&spec.get("sharedCounters"), errors);
}

/// A selector of the nodes of a slice; those of several slices can be merged, as each has a single term.
fn one_term(selector: &At<'_>, errors: &mut Errors) {
    const WHY: &str = "must have exactly one node selector term";
    selectors::node_selector(selector, errors);
    let terms = selector.get("nodeSelectorTerms");
    if terms.len() == 1 {
        return;
    }
    match types::by_name("io.k8s.api.core.v1.NodeSelectorTerm") {
        Some(of) => errors.0.push(dumped_list(of, &terms, WHY)),
        None => errors.invalid(&terms, WHY),
    }
}

/// Which of these fields say where devices are; what they say is judged on the way.
fn places(
    at: &At<'_>,
    fields: &[&str],
    unnamed: &str,
    selector: fn(&At<'_>, &mut Errors),
    errors: &mut Errors,
) -> Vec<String> {
    let mut found = Vec::new();
    for place in fields.iter().filter_map(|field| at.opt(field).map(|place| (field, place))) {
        let (field, place) = place;
        match place.value {
            Value::String(name) if name.is_empty() => {
                errors.invalid(&place, unnamed);
                continue;
            }
            Value::String(name) => errors.each(&place, names::is_dns1123_subdomain(name)),
            Value::Bool(false) => {
                errors.invalid(&place, "must be either unset or set to true");
                continue;
            }
            Value::Object(_) => selector(&place, errors),
            _ => {}
        }
        found.push(format!("`{field}`"));
    }
    found
}

fn device(at: &At<'_>, own_place: bool, errors: &mut Errors) {
    label(&at.get("name"), errors);
    let (attributes, amounts) = (at.get("attributes"), at.get("capacity"));
    let found = attributes.len() + amounts.len();
    if found > ATTRIBUTES_MAX {
        let why = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.0.push(Error::invalid(&at.path, found, why));
    }
    for (name, at) in entries(&attributes, NAME_MAX) {
        qualified(name, &attributes.path, errors);
        attribute(&at, errors);
    }
    let several = at.get("allowMultipleAllocations").bool();
    for (name, amount) in entries(&amounts, NAME_MAX) {
        qualified(name, &amounts.path, errors);
        capacity(&amount, several, errors);
    }
    each(&at.get("taints"), TAINTS_MAX, taint, errors);
    counters::consumed(&at.get("consumesCounters"), errors);
    place_of_device(at, own_place, errors);
    binding::conditions(at, errors);
}

/// The elements of a map; of a key that is longer than it may be paths have the beginning and the end.
fn entries<'a>(map: &At<'a>, longest: usize) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
    let path = map.path.clone();
    map.map().iter().map(move |(key, value)| (key.as_str(), At::new(value, path.key(&shortened(key, longest)))))
}

fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    const GAP: &str = "...";
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let left = longest.saturating_sub(GAP.len());
    let (start, _) = text.as_bytes().split_at(left.div_ceil(2));
    let (_, end) = text.as_bytes().split_at(text.len() - left / 2);
    Cow::Owned(format!("{}{GAP}{}", String::from_utf8_lossy(start), String::from_utf8_lossy(end)))
}

/// A device says where it is if its slice leaves that to the devices.
fn place_of_device(at: &At<'_>, own_place: bool, errors: &mut Errors) {
    let fields = &PLACES[..3];
    if own_place {
        let found = places(at, fields, "must not be empty", selectors::node_selector, errors);
        match found.len() {
            0 => errors.required(at, EACH),
            1 => {}
            _ => errors.0.push(Error::invalid(&at.path, format!("{{{}}}", found.join(", ")), EACH)),
        }
    } else if !at.present(fields).is_empty() {
        errors.0.push(Error::invalid(&at.path, Value::Null, FIELDS));
    }
}

fn attribute(at: &At<'_>, errors: &mut Errors) {
    let (text, version) = (at.get("string"), at.get("version"));
    longest(&text, errors);
    if !version.is_null() && !is_version(version.str()) {
        errors.invalid(&version, "must be a string compatible with semver.org spec 2.0.0");
    }
    longest(&version, errors);
    match at.present(&VALUES).len() {
        0 => return errors.0.push(Error::invalid(&at.path, "", ONE)),
        1 => return,
        _ => {}
    }
    let names = ["Int", "Bool", "String", "Version"];
    let single =
        names.iter().zip(VALUES).map(|(name, field)| format!("\"{name}Value\":{}", go_json(at.get(field).value)));
    // Lists of values are switched off, and so there are none.
    let lists = names.iter().map(|name| format!("\"{name}Values\":null"));
    let shown = single.chain(lists).collect::<Vec<_>>().join(",");
    errors.0.push(Error::invalid_text(&at.path, format!("{{{shown}}}"), ONE));
}

const ONE: &str = "exactly one value must be specified";
/// What the value of an attribute can be.
const VALUES: [&str; 4] = ["int", "bool", "string", "version"];

fn longest(at: &At<'_>, errors: &mut Errors) {
    if i64::try_from(at.str().len()).is_ok_and(|length| length > TEXT_MAX) {
        errors.0.push(Error::too_long(&at.path, TEXT_MAX));
    }
}

/// `1.2.3-rc.1+build`.
fn is_version(text: &str) -> bool {
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, early) = text.split_once('-').map_or((text, None), |(core, early)| (core, Some(early)));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && early.is_none_or(|early| early.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn taint(at: &At<'_>, errors: &mut Errors) {
    let (key, value) = (at.get("key"), at.get("value"));
    errors.extend(meta::validate_label_name(key.str(), &key.path));
    errors.name_if_set(&value, names::is_label_value);
    errors.one_of(&at.get("effect"), &EFFECTS);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(spec: &Value) -> Vec<String> {
        let mut errors = Errors::default();
        slice(&At::root(spec), None, &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_slice_is_somewhere() {
        let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 1});
        let spec = json!({"driver": "d.example.com", "allNodes": true, "pool": pool, "devices": [
            {"name": "a", "attributes": {"v": {"version": "1.2"}, "x": {"int": 1, "bool": true}}},
            {"name": "b", "taints": [{"key": "k", "effect": "Odd"}]},
        ]});
        assert_eq!(
            judge(&spec),
            [
                r#"devices[0].attributes[v].version: Invalid value: "1.2": must be a string compatible with semver.org spec 2.0.0"#,
                r#"devices[0].attributes[x]: Invalid value: {"IntValue":1,"BoolValue":true,"StringValue":null,"VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly one value must be specified"#,
                r#"devices[1].taints[0].effect: Unsupported value: "Odd": supported values: "NoExecute", "NoSchedule", "None""#,
            ]
        );
        let found = judge(&json!({"driver": "d", "allNodes": false, "pool": pool}));
        assert_eq!(found[0], "allNodes: Invalid value: false: must be either unset or set to true");
        assert!(found[1].contains("is required"));
    }

    #[test]
    fn a_selector_has_one_term_before_the_other_places() {
        let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 1});
        let terms = json!([{"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}]);
        let selector = json!({"nodeSelectorTerms": terms});
        let found = judge(&json!({"driver": "d", "nodeSelector": selector, "allNodes": false, "pool": pool}));
        assert_eq!(
            found,
            [
                r#"nodeSelector.nodeSelectorTerms: Invalid value: [{"MatchExpressions":[{"Key":"a","Operator":"Exists","Values":null}],"MatchFields":null},{"MatchExpressions":null,"MatchFields":null}]: must have exactly one node selector term"#,
                "allNodes: Invalid value: false: must be either unset or set to true",
            ]
        );
    }

    #[test]
    fn long_keys_are_shortened_in_the_middle() {
        assert_eq!(shortened("0123456789abcdef", 16), "0123456789abcdef");
        assert_eq!(shortened("0123456789abcdefg", 16), "0123456...bcdefg");
    }

    #[test]
    fn a_name_is_told_where_its_map_is() {
        let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 1});
        let (name, long) = ("a b", "x".repeat(97));
        let attributes = json!({name: {"int": 1}, long: {}});
        let device = json!({"name": "a", "attributes": attributes, "capacity": {"1": {"value": "1"}}});
        let found = judge(&json!({"driver": "d", "allNodes": true, "pool": pool, "devices": [device]}));
        assert!(found[0].starts_with(r#"devices[0].attributes: Invalid value: "a b": "#), "{found:?}");
        assert_eq!(found[1], "devices[0].attributes: Too long: may not be more than 32 bytes");
        let path = format!("devices[0].attributes[{}...{}]", "x".repeat(47), "x".repeat(46));
        assert_eq!(found[2], format!("{path}: Invalid value: \"\": exactly one value must be specified"));
        assert!(found[3].starts_with(r#"devices[0].capacity: Invalid value: "1": "#), "{found:?}");
    }

    #[test]
    fn what_may_not_change_is_told_before_the_place() {
        let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 1});
        let old = json!({"driver": "d.example.com", "nodeName": "n", "pool": pool});
        let new = json!({"driver": "d.example.com", "pool": pool});
        let mut errors = Errors::default();
        slice(&At::root(&new), Some(&At::root(&old)), &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(told[0], "nodeName: Invalid value: null: field is immutable");
        assert!(told[1].contains("is required"));
    }

    #[test]
    fn devices_share_counters_and_wait_for_conditions() {
        let pool = json!({"name": "p", "generation": 1, "resourceSliceCount": 1});
        let mut spec = json!({"driver": "d.example.com", "allNodes": true, "pool": pool, "devices": [
            {"name": "a", "bindingConditions": ["x"], "consumesCounters": [{"counterSet": "s", "counters": {}}],
                "capacity": {"memory": {"value": "1Gi", "requestPolicy": {"default": "1Gi"}}}},
        ]});
        assert_eq!(
            judge(&spec),
            [
                "devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true",
                "devices[0].consumesCounters[0].counters: Required value",
                "devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions",
            ]
        );
        spec["devices"] = json!(null);
        spec["sharedCounters"] = json!([{"name": "s"}]);
        assert_eq!(judge(&spec), ["sharedCounters[0].counters: Required value"]);
    }

    #[test]
    fn what_is_switched_off_goes_and_taints_begin_now() {
        let device = json!({"name": "a", "nodeAllocatableResourceMappings": {"cpu": {}}, "attributes": {"x": {"ints": [1]}},
            "taints": [{"key": "k", "effect": "NoSchedule"}]});
        let mut slice = json!({"spec": {"devices": [device]}});
        crate::strategy::testing::context("resource.k8s.io", "resourceslices", |cx| tidy(cx, &mut slice));
        let taint = json!({"key": "k", "effect": "NoSchedule", "timeAdded": "1970-01-01T00:00:00Z"});
        assert_eq!(slice["spec"]["devices"], json!([{"name": "a", "attributes": {"x": {}}, "taints": [taint]}]));
    }

    #[test]
    fn a_driver_with_capital_letters_is_told_of() {
        let warned = |driver: &str| (RULES.warn)(&json!({"spec": {"driver": driver}}), None);
        assert!(warned("d.example.com").is_empty());
        let text = r#"spec.driver: driver names should be lowercase; "D.example.com" contains uppercase characters"#;
        assert_eq!(warned("D.example.com"), [text]);
    }

    #[test]
    fn versions() {
        for good in ["1.2.3", "0.0.1-rc.1", "1.0.0-0a+b.c"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["1.2", "01.2.3", "1.2.3-", "1.2.3-01", "v1.2.3"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
