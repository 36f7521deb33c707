//! Cells of what runs pods: apps, batch, autoscaling, policy.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::*;
use super::{age, duration};
use crate::meta;

/// The cells of a Scale.
pub(super) fn scale(scale: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        meta::name(scale).into(),
        number(scale, "/spec/replicas").into(),
        number(scale, "/status/replicas").into(),
        age(at(scale, "/metadata/creationTimestamp"), now).into(),
    ]
}

/// The cells of a workload.
pub(super) fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let name: Value = meta::name(object).into();
    let age: Value = age(at(object, "/metadata/creationTimestamp"), now).into();
    let [names, images] = containers(object, "/spec/template/spec").map(Value::from);
    let status = |field: &str| Value::from(number(object, field));
    let ready = || format!("{}/{}", number(object, "/status/readyReplicas"), number(object, "/spec/replicas")).into();
    Some(match (group, resource) {
        ("", "replicationcontrollers") | ("apps", "replicasets") => {
            let selector =
                if group.is_empty() { labels(object, "/spec/selector") } else { selector(object, "/spec/selector") };
            let (desired, current) = (status("/spec/replicas"), status("/status/replicas"));
            vec![name, desired, current, status("/status/readyReplicas"), age, names, images, selector.into()]
        }
        ("apps", "deployments") => {
            let selector = selector(object, "/spec/selector");
            let selector = if selector == NONE { String::new() } else { selector };
            let counts = ["/status/updatedReplicas", "/status/availableReplicas"];
            let [updated, available] = counts.map(&status);
            vec![name, ready(), updated, available, age, names, images, selector.into()]
        }
        ("apps", "statefulsets") => vec![name, ready(), age, names, images],
        ("apps", "daemonsets") => vec![
            name,
            status("/status/desiredNumberScheduled"),
            status("/status/currentNumberScheduled"),
            status("/status/numberReady"),
            status("/status/updatedNumberScheduled"),
            status("/status/numberAvailable"),
            labels(object, "/spec/template/spec/nodeSelector").into(),
            age,
            names,
            images,
            selector(object, "/spec/selector").into(),
        ],
        ("apps", "controllerrevisions") => {
            vec![name, controller(object).into(), number(object, "/revision").into(), age]
        }
        ("batch", "jobs") => job(object, age, now),
        ("batch", "cronjobs") => cron_job(object, age, now),
        ("autoscaling", "horizontalpodautoscalers") => {
            // The first version has most metrics in annotations.
            let whole = crate::convert::to_version(object.clone(), "autoscaling", "v2", "HorizontalPodAutoscaler");
            autoscaler(whole.as_ref().unwrap_or(object), age)
        }
        ("policy", "poddisruptionbudgets") => vec![
            name,
            shown_or(object, "/spec/minAvailable", "N/A").into(),
            shown_or(object, "/spec/maxUnavailable", "N/A").into(),
            status("/status/disruptionsAllowed"),
            age,
        ],
        _ => return None,
    })
}

fn controller(object: &Value) -> String {
    let Some(owner) = meta::controller_of(object) else { return NONE.to_owned() };
    let group = meta::split_api_version(text(owner, "/apiVersion")).map_or("", |(group, _)| group);
    let kind = text(owner, "/kind").to_lowercase();
    let kind = if group.is_empty() { kind } else { format!("{kind}.{group}") };
    format!("{kind}/{}", text(owner, "/name"))
}

fn job(job: &Value, age: Value, now: Timestamp) -> Vec<Value> {
    let status = match () {
        () if is_true(job, "Complete") => "Complete",
        () if is_true(job, "Failed") => "Failed",
        () if meta::is_deleting(job) => "Terminating",
        () if is_true(job, "Suspended") => "Suspended",
        () if is_true(job, "FailureTarget") => "FailureTarget",
        () if is_true(job, "SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let succeeded = number(job, "/status/succeeded");
    let completions = match (at(job, "/spec/completions"), number(job, "/spec/parallelism")) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallel @ 2..) => format!("{succeeded}/1 of {parallel}"),
        _ => format!("{succeeded}/1"),
    };
    let time = |field: &str| crate::time::read(text(job, field));
    let taken = time("/status/startTime").map_or_else(String::new, |start| {
        let end = time("/status/completionTime").unwrap_or(now);
        duration(end.as_second() - start.as_second())
    });
    let [names, images] = containers(job, "/spec/template/spec");
    let selector = selector(job, "/spec/selector");
    let name = meta::name(job).into();
    vec![name, status.into(), completions.into(), taken.into(), age, names.into(), images.into(), selector.into()]
}

fn cron_job(job: &Value, age_: Value, now: Timestamp) -> Vec<Value> {
    let suspend = match at(job, "/spec/suspend").and_then(Value::as_bool) {
        Some(true) => "True",
        Some(false) => "False",
        None => UNSET,
    };
    let last = match at(job, "/status/lastScheduleTime") {
        Some(time) => age(Some(time), now),
        None => NONE.to_owned(),
    };
    let [names, images] = containers(job, "/spec/jobTemplate/spec/template/spec");
    vec![
        meta::name(job).into(),
        text(job, "/spec/schedule").into(),
        shown_or(job, "/spec/timeZone", NONE).into(),
        suspend.into(),
        count(job, "/status/active").into(),
        last.into(),
        age_,
        names.into(),
        images.into(),
        selector(job, "/spec/jobTemplate/spec/selector").into(),
    ]
}

fn autoscaler(scaler: &Value, age: Value) -> Vec<Value> {
    let target = format!("{}/{}", text(scaler, "/spec/scaleTargetRef/kind"), text(scaler, "/spec/scaleTargetRef/name"));
    vec![
        meta::name(scaler).into(),
        target.into(),
        targets(scaler).into(),
        shown_or(scaler, "/spec/minReplicas", UNSET).into(),
        number(scaler, "/spec/maxReplicas").into(),
        number(scaler, "/status/currentReplicas").into(),
        age,
    ]
}

fn targets(scaler: &Value) -> String {
    let mut metrics: Vec<String> = Vec::new();
    let currents = list(scaler, "/status/currentMetrics");
    for (index, metric) in list(scaler, "/spec/metrics").iter().enumerate() {
        metrics.push(target(metric, currents.get(index).unwrap_or(&Value::Null)));
    }
    match metrics.len() {
        0 => NONE.to_owned(),
        total @ 3.. => format!("{} + {} more...", metrics[..2].join(", "), total - 2),
        _ => metrics.join(", "),
    }
}

fn target(metric: &Value, current: &Value) -> String {
    let (part, suffix) = match text(metric, "/type") {
        "Resource" => ("resource", ""),
        "ContainerResource" => ("containerResource", ""),
        "Pods" => ("pods", ""),
        "Object" => ("object", " (avg)"),
        "External" => ("external", " (avg)"),
        _ => return "<unknown type>".to_owned(),
    };
    let wanted = |field: &str| at(metric, &format!("/{part}/target/{field}"));
    let now = |field: &str| shown_or(current, &format!("/{part}/current/{field}"), "<unknown>");
    // Not every value is looked for before it is shown, and Go shows one that is not there.
    let told = |field: &str| match at(current, &format!("/{part}")) {
        Some(_) => shown_or(current, &format!("/{part}/current/{field}"), "<nil>"),
        None => now(field),
    };
    if suffix.is_empty() && part != "pods" {
        let name = text(metric, &format!("/{part}/name")).to_owned();
        return match wanted("averageValue") {
            Some(average) => format!("{name}: {}/{}", told("averageValue"), crate::field::go_value(average)),
            None => {
                let used = now("averageUtilization");
                let percent = if used == "<unknown>" { "" } else { "%" };
                let wanted =
                    wanted("averageUtilization").map_or_else(|| "<auto>".to_owned(), |value| format!("{value}%"));
                format!("{name}: {used}{percent}/{wanted}")
            }
        };
    }
    match wanted("averageValue") {
        Some(average) if part == "pods" => format!("{}/{}", told("averageValue"), crate::field::go_value(average)),
        Some(average) => format!("{}/{}{suffix}", now("averageValue"), crate::field::go_value(average)),
        None => format!("{}/{}", told("value"), wanted("value").map(crate::field::go_value).unwrap_or_default()),
    }
}
