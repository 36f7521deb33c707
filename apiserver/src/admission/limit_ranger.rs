//! LimitRanges: what containers get that ask for nothing, and what they may ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::quantity::Quantity;
use mainstay_api::status::ApiResult;
use mainstay_api::{field, meta};
use serde_json::{Map, Value};

use super::usage::{self, Amounts};
use super::{Attributes, Operation, Plugin};
use crate::strategy::validate::At;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// LimitRanger.
pub(crate) struct LimitRanger;

#[async_trait]
impl Plugin for LimitRanger {
    fn name(&self) -> &'static str {
        "LimitRanger"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.creates("", "pods") {
            return Ok(());
        }
        let ranges = ranges(request);
        let Some(pod) = request.object.as_mut() else { return Ok(()) };
        for range in &ranges {
            let set = fill(pod, &defaults(range, "defaultRequest"), &defaults(range, "default"));
            if !set.is_empty() {
                meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", set.join("; ")));
            }
        }
        Ok(())
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let resize = request.operation == Operation::Update && request.subresource == "resize";
        let pods = request.is("", "pods") && (request.creates("", "pods") || resize);
        let writes = matches!(request.operation, Operation::Create | Operation::Update);
        let claims = request.is("", "persistentvolumeclaims") && request.subresource.is_empty() && writes;
        let Some(object) = request.object.as_ref().filter(|object| !meta::is_deleting(object)) else { return Ok(()) };
        if !pods && !claims {
            return Ok(());
        }
        for range in ranges(request) {
            let errors: Vec<String> =
                At::spec(&range).get("limits").items().flat_map(|item| judge(&item, object, pods)).collect();
            if !errors.is_empty() {
                return Err(request.forbidden(field::aggregate(&errors)));
            }
        }
        Ok(())
    }
}

fn ranges(request: &Attributes<'_>) -> Vec<Arc<Value>> {
    request.reader.list("", "limitranges", Some(request.namespace))
}

/// What a range gives to containers; later items of it count before earlier ones.
fn defaults(range: &Value, field: &str) -> Map<String, Value> {
    let items = At::spec(range).get("limits").items().filter(|item| item.get("type").str() == "Container");
    items.flat_map(|item| item.get(field).map().clone()).collect()
}

/// Fills in what containers lack; what that is.
fn fill(pod: &mut Value, requests: &Map<String, Value>, limits: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (kind, words) in [("containers", "container"), ("initContainers", "init container")] {
        let containers = pod.pointer_mut(&format!("/spec/{kind}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let name = container["name"].as_str().unwrap_or_default().to_owned();
            for (list, defaults, word) in [("requests", requests, "request"), ("limits", limits, "limit")] {
                let added = fill_list(container, list, defaults);
                if !added.is_empty() {
                    set.push(format!("{} {word} for {words} {name}", added.join(", ")));
                }
            }
        }
    }
    set
}

fn fill_list(container: &mut Value, list: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let missing: Vec<(&String, &Value)> = defaults
        .iter()
        .filter(|(name, _)| container.pointer(&format!("/resources/{list}/{}", name.replace('/', "~1"))).is_none())
        .collect();
    let mut added = Vec::new();
    for (name, value) in missing {
        if !container["resources"].is_object() {
            container["resources"] = Value::Object(Map::new());
        }
        if !container["resources"][list].is_object() {
            container["resources"][list] = Value::Object(Map::new());
        }
        container["resources"][list][name] = value.clone();
        added.push(name.clone());
    }
    added
}

fn judge(item: &At<'_>, object: &Value, pod: bool) -> Vec<String> {
    let mut errors = Vec::new();
    match (item.get("type").str(), pod) {
        ("Container", true) => {
            for container in
                At::spec(object).get("containers").items().chain(At::spec(object).get("initContainers").items())
            {
                let resources = container.get("resources");
                compare(
                    item,
                    &usage::amounts(&resources.get("requests")),
                    &usage::amounts(&resources.get("limits")),
                    &mut errors,
                );
            }
        }
        ("Pod", true) => {
            // What runs the pod is not what its user asks for.
            let spec = At::spec(object);
            let (requests, limits) = (usage::own(&spec, "requests"), usage::own(&spec, "limits"));
            compare(item, &requests, &limits, &mut errors);
        }
        ("PersistentVolumeClaim", false) => {
            let requests = usage::amounts(&At::spec(object).get("resources").get("requests"));
            claim(item, &requests, &mut errors);
        }
        _ => {}
    }
    errors
}

fn entries(item: &At<'_>, field: &str) -> BTreeMap<String, Quantity> {
    usage::amounts(&item.get(field))
}

fn compare(item: &At<'_>, requests: &Amounts, limits: &Amounts, errors: &mut Vec<String>) {
    let kind = item.get("type").str();
    for (name, min) in entries(item, "min") {
        minimum(kind, &name, &min, requests.get(&name), limits.get(&name), errors);
    }
    for (name, max) in entries(item, "max") {
        maximum(kind, &name, &max, requests.get(&name), limits.get(&name), errors);
    }
    for (name, ratio) in entries(item, "maxLimitRequestRatio") {
        self::ratio(kind, &name, &ratio, requests.get(&name), limits.get(&name), errors);
    }
}

fn minimum(
    kind: &str,
    name: &str,
    min: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    errors: &mut Vec<String>,
) {
    match request {
        None => errors.push(format!("minimum {name} usage per {kind} is {min}.  No request is specified")),
        Some(request) if request < min => {
            errors.push(format!("minimum {name} usage per {kind} is {min}, but request is {request}"))
        }
        Some(_) => {
            if let Some(limit) = limit.filter(|limit| *limit < min) {
                errors.push(format!("minimum {name} usage per {kind} is {min}, but limit is {limit}"));
            }
        }
    }
}

fn maximum(
    kind: &str,
    name: &str,
    max: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    errors: &mut Vec<String>,
) {
    match limit {
        None => errors.push(format!("maximum {name} usage per {kind} is {max}.  No limit is specified")),
        Some(limit) if limit > max => {
            errors.push(format!("maximum {name} usage per {kind} is {max}, but limit is {limit}"))
        }
        Some(_) => {
            if let Some(request) = request.filter(|request| *request > max) {
                errors.push(format!("maximum {name} usage per {kind} is {max}, but request is {request}"));
            }
        }
    }
}

fn ratio(
    kind: &str,
    name: &str,
    ratio: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
    errors: &mut Vec<String>,
) {
    let head = format!("{name} max limit to request ratio per {kind} is {ratio}");
    let positive = |quantity: Option<&Quantity>| quantity.map(Quantity::as_f64).filter(|value| *value > 0.0);
    match (positive(request), positive(limit)) {
        (None, _) => errors.push(format!("{head}, but no request is specified or request is 0")),
        (_, None) => errors.push(format!("{head}, but no limit is specified or limit is 0")),
        (Some(request), Some(limit)) if limit / request > ratio.as_f64() => {
            errors.push(format!("{head}, but provided ratio is {:.6}", limit / request));
        }
        _ => {}
    }
}

fn claim(item: &At<'_>, requests: &Amounts, errors: &mut Vec<String>) {
    let kind = item.get("type").str();
    for (name, min) in entries(item, "min") {
        minimum(kind, &name, &min, requests.get(&name), None, errors);
    }
    for (name, max) in entries(item, "max") {
        match requests.get(&name) {
            None => errors.push(format!("maximum {name} usage per {kind} is {max}.  No request is specified")),
            Some(request) if *request > max => {
                errors.push(format!("maximum {name} usage per {kind} is {max}, but request is {request}"))
            }
            Some(_) => {}
        }
    }
}
