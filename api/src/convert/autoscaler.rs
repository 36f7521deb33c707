//! Autoscalers: v1 knows only the processor's utilization; what else v2 says rides in annotations.

use serde_json::{Map, Value, json};

use crate::decode;
use crate::types::{self, Type, go_order};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

/// Members of the behaviour, in v2 and as Go names them, in the order of its structs.
const GO_NAMES: [(&str, &str); 9] = [
    ("scaleUp", "ScaleUp"),
    ("scaleDown", "ScaleDown"),
    ("stabilizationWindowSeconds", "StabilizationWindowSeconds"),
    ("selectPolicy", "SelectPolicy"),
    ("policies", "Policies"),
    ("tolerance", "Tolerance"),
    ("type", "Type"),
    ("value", "Value"),
    ("periodSeconds", "PeriodSeconds"),
];

pub(super) fn to_v1(object: &mut Value) {
    let metrics = take(object, "spec", "metrics");
    let target = |m: &Value| m.pointer("/resource/target/averageUtilization").cloned();
    if let Some(cpu) = list(metrics.as_ref()).find(|m| is_cpu(m)).and_then(target) {
        object["spec"]["targetCPUUtilizationPercentage"] = cpu;
    }
    let others = list(metrics.as_ref()).filter(|m| !is_cpu(m) || target(m).is_none());
    annotate(object, METRICS, "MetricSpec", others.map(metric_to_v1).collect());
    let current = take(object, "status", "currentMetrics");
    let used = |m: &Value| m.pointer("/resource/current/averageUtilization").cloned();
    if let Some(used) = list(current.as_ref()).filter(|m| is_cpu(m)).filter_map(used).last() {
        object["status"]["currentCPUUtilizationPercentage"] = used;
    }
    let current = list(current.as_ref()).filter(|m| m["type"] != "").map(current_to_v1).collect();
    annotate(object, CURRENT, "MetricStatus", current);
    let conditions = take(object, "status", "conditions");
    annotate(object, CONDITIONS, "HorizontalPodAutoscalerCondition", list(conditions.as_ref()).cloned().collect());
    if let Some(behavior) = take(object, "spec", "behavior").filter(|behavior| !behavior.is_null()) {
        let mut text = String::new();
        write_in_go_order(&go_behavior(&behavior), &mut text);
        object["metadata"]["annotations"][BEHAVIOR] = text.into();
    }
}

pub(super) fn to_v2(object: &mut Value) {
    let others = unannotate(object, METRICS).map(|found| whole("MetricSpec", &found)).unwrap_or_default();
    let mut metrics: Vec<Value> = others.iter().map(metric_to_v2).collect();
    let cpu = take(object, "spec", "targetCPUUtilizationPercentage");
    if let Some(cpu) = cpu.or_else(|| metrics.is_empty().then(|| json!(80))) {
        let target = json!({"type": "Utilization", "averageUtilization": cpu});
        metrics.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
    }
    put(object, "spec", "metrics", array(metrics));
    let current = unannotate(object, CURRENT).map(|found| whole("MetricStatus", &found));
    let current = current.map(|all| all.iter().map(current_to_v2).collect::<Vec<_>>());
    let used = take(object, "status", "currentCPUUtilizationPercentage");
    let current = current.or_else(|| {
        let used = used?;
        Some(vec![json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": used}}})])
    });
    put(object, "status", "currentMetrics", current.and_then(array));
    let conditions = unannotate(object, CONDITIONS);
    put(object, "status", "conditions", conditions);
    let behavior = unannotate(object, BEHAVIOR);
    put(object, "spec", "behavior", behavior.map(|b| plain_behavior(&b)));
}

/// Version 2 has fields for what the first has in annotations.
pub(super) fn forget_annotations(object: &mut Value) {
    for name in [METRICS, CURRENT, CONDITIONS, BEHAVIOR] {
        unannotate(object, name);
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn array(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

fn take(object: &mut Value, part: &str, name: &str) -> Option<Value> {
    object.get_mut(part)?.as_object_mut()?.remove(name)
}

fn put(object: &mut Value, part: &str, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object[part][name] = value;
    }
}

/// A type of which v1 has values in annotations.
fn type_in_v1(kind: &str) -> Option<&'static Type> {
    types::by_name(&format!("io.k8s.api.autoscaling.v1.{kind}"))
}

/// The elements of a list of such values, with what Go cannot leave out.
fn whole(kind: &str, values: &Value) -> Vec<Value> {
    let of = type_in_v1(kind);
    list(Some(values)).map(|value| of.map_or_else(|| value.clone(), |of| decode::canonical(of, value))).collect()
}

/// Notes values as Go prints them, if there are any; clients compare the texts.
fn annotate(object: &mut Value, name: &str, kind: &str, values: Vec<Value>) {
    let Some(of) = type_in_v1(kind).filter(|_| !values.is_empty()) else { return };
    let texts: Vec<String> =
        whole(kind, &Value::Array(values)).iter().map(|value| go_order::compact(of, value)).collect();
    object["metadata"]["annotations"][name] = format!("[{}]", texts.join(",")).into();
}

/// The behaviour is noted in Go's own names, in the order of its structs.
fn write_in_go_order(value: &Value, out: &mut String) {
    let place = |name: &str| GO_NAMES.iter().position(|(_, go)| *go == name).unwrap_or(GO_NAMES.len());
    let separate = |out: &mut String, at: usize| out.push_str(if at == 0 { "" } else { "," });
    match value {
        Value::Array(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                separate(out, at);
                write_in_go_order(value, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| place(name));
            out.push('{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                separate(out, at);
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_in_go_order(value, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// Takes an annotation away and reads it; what does not parse is dropped.
fn unannotate(object: &mut Value, name: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let text = annotations.remove(name);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    serde_json::from_str(text?.as_str()?).ok()
}

fn is_cpu(metric: &Value) -> bool {
    metric["type"] == "Resource" && metric.pointer("/resource/name").is_some_and(|n| n == "cpu")
}

/// Where each kind of metric keeps its name, selector and target in v1: `(v2 member of the target, v1 member)`.
fn targets(kind: &str) -> &'static [(&'static str, &'static str)] {
    match kind {
        "Resource" | "ContainerResource" => {
            &[("averageUtilization", "targetAverageUtilization"), ("averageValue", "targetAverageValue")]
        }
        "Pods" => &[("averageValue", "targetAverageValue")],
        "Object" => &[("value", "targetValue"), ("averageValue", "averageValue")],
        _ => &[("value", "targetValue"), ("averageValue", "targetAverageValue")],
    }
}

fn member(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        _ => "external",
    }
}

fn metric_to_v1(metric: &Value) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let of = &metric[member(kind)];
    let mut out = flat_metric(kind, of);
    for (from, to) in targets(kind) {
        copy(&of["target"], from, &mut out, to);
    }
    json!({"type": kind, member(kind): out})
}

/// Names and selectors as v1 keeps them, without a target.
fn flat_metric(kind: &str, of: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for name in ["name", "container"] {
        copy(of, name, &mut out, name);
    }
    copy(of, "describedObject", &mut out, "target");
    let selector = match kind {
        "External" => "metricSelector",
        _ => "selector",
    };
    copy(&of["metric"], "name", &mut out, "metricName");
    copy(&of["metric"], "selector", &mut out, selector);
    out
}

fn copy(from: &Value, name: &str, to: &mut Map<String, Value>, as_name: &str) {
    if let Some(value) = from.get(name) {
        to.insert(as_name.to_owned(), value.clone());
    }
}

fn current_to_v1(metric: &Value) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let of = &metric[member(kind)];
    let mut out = flat_metric(kind, of);
    let current = &of["current"];
    copy(current, "averageUtilization", &mut out, "currentAverageUtilization");
    let average = if kind == "Object" { "averageValue" } else { "currentAverageValue" };
    copy(current, "averageValue", &mut out, average);
    copy(current, "value", &mut out, "currentValue");
    json!({"type": kind, member(kind): out})
}

fn metric_to_v2(metric: &Value) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let of = &metric[member(kind)];
    let mut target = Map::new();
    for (to, from) in targets(kind) {
        copy(of, from, &mut target, to);
    }
    let word = if target.contains_key("averageUtilization") {
        "Utilization"
    } else if target.contains_key("averageValue") {
        "AverageValue"
    } else {
        "Value"
    };
    target.insert("type".to_owned(), word.into());
    let mut out = nested_metric(kind, of);
    out.insert("target".to_owned(), Value::Object(target));
    json!({"type": kind, member(kind): out})
}

fn nested_metric(kind: &str, of: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    if kind.ends_with("Resource") {
        copy(of, "name", &mut out, "name");
        copy(of, "container", &mut out, "container");
        return out;
    }
    let mut metric = Map::new();
    copy(of, "metricName", &mut metric, "name");
    copy(of, if kind == "External" { "metricSelector" } else { "selector" }, &mut metric, "selector");
    copy(of, "target", &mut out, "describedObject");
    out.insert("metric".to_owned(), Value::Object(metric));
    out
}

fn current_to_v2(metric: &Value) -> Value {
    let kind = metric["type"].as_str().unwrap_or_default();
    let of = &metric[member(kind)];
    let mut current = Map::new();
    copy(of, "currentAverageUtilization", &mut current, "averageUtilization");
    copy(of, "currentAverageValue", &mut current, "averageValue");
    copy(of, "averageValue", &mut current, "averageValue");
    copy(of, "currentValue", &mut current, "value");
    let mut out = nested_metric(kind, of);
    out.insert("current".to_owned(), Value::Object(current));
    json!({"type": kind, member(kind): out})
}

/// Go's names, with the members that a rule of scaling lacks as null.
fn go_behavior(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(go_behavior).collect(),
        Value::Object(members) => {
            let mut out: Map<String, Value> =
                members.iter().map(|(name, v)| (renamed(name, true).to_owned(), go_behavior(v))).collect();
            if members.contains_key("selectPolicy") || members.contains_key("policies") {
                for name in ["StabilizationWindowSeconds", "SelectPolicy", "Policies", "Tolerance"] {
                    out.entry(name).or_insert(Value::Null);
                }
            }
            Value::Object(out)
        }
        other => other.clone(),
    }
}

fn plain_behavior(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(plain_behavior).collect(),
        Value::Object(members) => members
            .iter()
            .filter(|(_, v)| !v.is_null())
            .map(|(name, v)| (renamed(name, false).to_owned(), plain_behavior(v)))
            .collect(),
        other => other.clone(),
    }
}

fn renamed(name: &str, to_go: bool) -> &str {
    let found = GO_NAMES.iter().find(|(plain, go)| if to_go { *plain == name } else { *go == name });
    found.map_or(name, |(plain, go)| if to_go { go } else { plain })
}
