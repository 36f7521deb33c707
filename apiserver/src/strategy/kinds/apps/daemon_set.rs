//! DaemonSets.

use mainstay_api::selector::LabelSelector;
use mainstay_api::{meta, types};
use serde_json::Value;

use super::counts::collisions;
use super::rolling::unknown_strategy;
use crate::strategy::rules::{Part, Rules, frozen_spec};
use crate::strategy::same::same_at;
use crate::strategy::validate::selectors::{at_most_all, int_or_percent, label_selector, number_of};
use crate::strategy::validate::{At, Errors, template};
use crate::strategy::warnings;

/// DaemonSets.
pub(crate) const DAEMON_SET: Rules = Rules {
    check: |_, obj, errors| daemon_set(obj, errors),
    change: |_, new, old, errors| frozen_spec(new, old, &["selector"], errors),
    status: |_, new, old, errors| {
        daemon_set_status(new, errors);
        collisions(new, old, errors);
    },
    settle: count_templates,
    warn: |new, old| {
        let changed = old.is_none_or(|old| template_moved(new, old));
        if changed { warnings::template("spec.template", new, old) } else { Vec::new() }
    },
    parts: &[Part::MetaUpdate, Part::Change, Part::Check],
    ..Rules::PLAIN
};

fn daemon_set(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (selector, pods) = (spec.get("selector"), spec.get("template"));
    label_selector(&selector, errors);
    if let Ok(parsed) = LabelSelector::from_object(selector.value)
        && !parsed.matches_object(pods.value)
    {
        errors.invalid(&pods.get("metadata").get("labels"), "`selector` does not match template `labels`");
    }
    if !selector.is_null() && selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        errors.invalid(&selector, "empty selector is invalid for daemonset");
    }
    template::long_running(&pods, "DaemonSet", errors);
    errors.non_negative(&spec.get("minReadySeconds"));
    daemon_strategy(&spec.get("updateStrategy"), errors);
    errors.non_negative(&spec.get("revisionHistoryLimit"));
}

/// Whether other pods are wanted than before.
fn template_moved(new: &Value, old: &Value) -> bool {
    !same_at(types::by_name("io.k8s.api.apps.v1.DaemonSet"), "/spec/template", new, old)
}

/// How often the template has changed, which an annotation tells for the sake of old clients.
fn count_templates(new: &mut Value, old: Option<&Value>) {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let told = |obj: &Value| meta::annotation(obj, COUNT).and_then(|text| text.parse::<i64>().ok());
    let count = match old {
        None => told(new).unwrap_or_default().max(1),
        Some(old) => told(old).unwrap_or_default().saturating_add(i64::from(template_moved(new, old))),
    };
    meta::set_annotation(new, COUNT, &count.to_string());
}

fn daemon_strategy(strategy: &At<'_>, errors: &mut Errors) {
    match strategy.get("type").str() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.get("rollingUpdate");
            if rolling.is_null() {
                errors.required(&rolling, "");
                return;
            }
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            at_most_all(&unavailable, errors);
            at_most_all(&surge, errors);
            match (number_of(&unavailable) != 0, number_of(&surge) != 0) {
                (true, true) => errors.invalid(&surge, "may not be set when maxUnavailable is non-zero"),
                (false, false) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => unknown_strategy(strategy, &["RollingUpdate", "OnDelete"], errors),
    }
}

fn daemon_set_status(new: &Value, errors: &mut Errors) {
    let status = At::root(new).get("status");
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        errors.non_negative(&status.get(field));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_are_counted_from_where_the_client_begins() {
        let count = |new: Value, old: Option<Value>| {
            let mut new = new;
            count_templates(&mut new, old.as_ref());
            meta::annotation(&new, "deprecated.daemonset.template.generation").map(str::to_owned)
        };
        let set = |count: &str, image: &str| {
            json!({"metadata": {"annotations": {"deprecated.daemonset.template.generation": count}},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}}})
        };
        assert_eq!(count(json!({"metadata": {}, "spec": {}}), None).as_deref(), Some("1"));
        assert_eq!(count(set("-3", "a"), None).as_deref(), Some("1"));
        assert_eq!(count(set("7", "a"), None).as_deref(), Some("7"));
        assert_eq!(count(set("9", "a"), Some(set("7", "a"))).as_deref(), Some("7"));
        assert_eq!(count(set("9", "b"), Some(set("7", "a"))).as_deref(), Some("8"));
        let sized = |size: &str| {
            let mut sized = set("7", "a");
            sized["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": size}});
            sized
        };
        assert_eq!(count(sized("1Gi"), Some(sized("1073741824"))).as_deref(), Some("7"));
        assert_eq!(count(sized("1Gi"), Some(sized("1G"))).as_deref(), Some("8"));
        let most = i64::MAX.to_string();
        assert_eq!(count(set("9", "b"), Some(set(&most, "a"))), Some(most));
    }
}
