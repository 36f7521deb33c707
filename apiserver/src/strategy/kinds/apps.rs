//! Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, PodTemplates, ControllerRevisions.

mod counts;
mod daemon_set;
mod deployment;
mod replicas;
mod rolling;
mod stateful_set;

pub(crate) use daemon_set::DAEMON_SET;
pub(crate) use deployment::DEPLOYMENT;
pub(crate) use replicas::{REPLICA_SET, REPLICATION_CONTROLLER};
pub(crate) use stateful_set::STATEFUL_SET;

use crate::strategy::rules::{Part, Rules};
use crate::strategy::validate::{At, template};
use crate::strategy::warnings;

/// PodTemplates.
pub(crate) const POD_TEMPLATE: Rules = Rules {
    check: |_, obj, errors| template::template(&At::root(obj).get("template"), errors),
    warn: |new, old| warnings::template("template", new, old),
    ..Rules::PLAIN
};

/// ControllerRevisions.
pub(crate) const CONTROLLER_REVISION: Rules = Rules {
    check: |_, obj, errors| {
        let root = At::root(obj);
        errors.non_negative(&root.get("revision"));
        match root.get("data") {
            data if data.is_null() => errors.required(&data, "data is mandatory"),
            data if data.value.is_object() => {}
            data => errors.required(&data, "data must be a valid JSON object"),
        }
    },
    change: |_, new, old, errors| errors.immutable(&At::root(new).get("data"), &At::root(old).get("data")),
    parts: &[Part::MetaUpdate, Part::Meta, Part::Check, Part::Change],
    ..Rules::PLAIN
};

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::{Strategy, testing};

    #[test]
    fn a_template_is_judged_only_beside_a_selector_that_can_be_read() {
        let judge = |rules: &Rules, operator: &str| {
            let selector = json!({"matchExpressions": [{"key": "a", "operator": operator}]});
            let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Always"}});
            let object = json!({"spec": {"selector": selector, "template": template}});
            let errors = testing::context("apps", "", |cx| rules.validate_create(cx, &object));
            errors.iter().any(|error| error.field == "spec.template.spec.containers")
        };
        for rules in [DEPLOYMENT, REPLICA_SET, STATEFUL_SET] {
            assert!(judge(&rules, "Exists"));
            assert!(!judge(&rules, "Odd"));
        }
        // A DaemonSet's is judged beside any.
        assert!(judge(&DAEMON_SET, "Odd"));
    }

    #[test]
    fn a_daemon_set_keeps_its_selector_before_all_else() {
        let of = |app: &str| {
            let labels = json!({"metadata": {"labels": {"app": "x"}}});
            json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"}, "spec": {
                "selector": {"matchLabels": {"app": app}}, "template": labels,
            }})
        };
        let errors = testing::context("apps", "", |cx| DAEMON_SET.validate_update(cx, &of("y"), &of("x")));
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields[..2], ["spec.selector", "spec.template.metadata.labels"]);
    }

    #[test]
    fn all_that_is_wrong_with_a_replication_controller_is_told_in_order() {
        let of = |version: &str| {
            json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": version},
                "spec": {"replicas": -1, "minReadySeconds": -1}})
        };
        let all = ["spec.minReadySeconds", "spec.selector", "spec.replicas", "spec.template"];
        let fields = |errors: Vec<mainstay_api::field::Error>| -> Vec<String> {
            errors.into_iter().map(|error| error.field).collect()
        };
        let rules = REPLICATION_CONTROLLER;
        assert_eq!(testing::context("", "", |cx| fields(rules.validate_create(cx, &of("")))), all);
        // A change judges what there is twice.
        let twice = testing::context("", "", |cx| fields(rules.validate_update(cx, &of("1"), &of("1"))));
        assert_eq!(twice, [all, all].concat());
    }

    #[test]
    fn what_could_not_be_converted_stays() {
        let of = |app: &str| {
            let told = json!({"non-convertible.kubernetes.io/selector": "", "non-convertible.kubernetes.io/x": "y"});
            json!({"metadata": {"annotations": told}, "spec": {"selector": {"app": app}}})
        };
        let told = |app: &str| {
            let mut errors = crate::strategy::validate::Errors::default();
            testing::context("", "", |cx| (REPLICATION_CONTROLLER.change)(cx, &of(app), &of("a"), &mut errors));
            errors.0.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let unknown = r#"x: Not found: "y": unknown non-convertible field"#;
        assert_eq!(told("a"), [unknown]);
        assert_eq!(
            told("b"),
            [r#"spec.selector: Invalid value: {"app":"b"}: cannot update non-convertible selector"#, unknown]
        );
    }

    #[test]
    fn nobody_goes_back_to_less_than_no_revision() {
        let told = |revision: &str| {
            let annotations = json!({"deprecated.deployment.rollback.rollbackTo": revision});
            let object = json!({"metadata": {"annotations": annotations}, "spec": {}});
            let errors = testing::context("apps", "", |cx| DEPLOYMENT.validate_create(cx, &object));
            errors.iter().filter(|error| error.field == "spec.rollback.version").count()
        };
        assert_eq!([told("-1"), told("0"), told("")], [1, 0, 0]);
    }

    #[test]
    fn only_a_new_stateful_set_names_its_service_well() {
        let of = |version: &str| {
            json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": version},
                "spec": {"serviceName": "A_b"}})
        };
        let told = |errors: Vec<mainstay_api::field::Error>| {
            errors.iter().filter(|error| error.field == "spec.serviceName").count()
        };
        assert_eq!(testing::context("apps", "", |cx| told(STATEFUL_SET.validate_create(cx, &of("")))), 1);
        assert_eq!(testing::context("apps", "", |cx| told(STATEFUL_SET.validate_update(cx, &of("2"), &of("1")))), 0);
    }

    #[test]
    fn a_claim_takes_the_place_of_a_volume() {
        let mount = json!({"name": "data", "mountPath": "/d"});
        let container = json!({
            "name": "c", "image": "i", "imagePullPolicy": "Always", "terminationMessagePolicy": "File",
            "volumeMounts": [mount],
        });
        let told = |claims: serde_json::Value| {
            let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {
                "restartPolicy": "Always", "dnsPolicy": "Default", "containers": [container],
                "volumes": [{"name": "data"}],
            }});
            let object = json!({"spec": {
                "selector": {"matchLabels": {"a": "b"}}, "template": template, "volumeClaimTemplates": claims,
            }});
            let errors = testing::context("apps", "", |cx| STATEFUL_SET.validate_create(cx, &object));
            errors.iter().filter(|error| error.field.starts_with("spec.template.spec")).count()
        };
        assert_eq!(told(json!([])), 2);
        assert_eq!(told(json!([{"metadata": {"name": "data"}, "spec": {}}])), 0);
    }
}
