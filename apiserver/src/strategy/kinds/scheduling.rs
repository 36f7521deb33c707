//! PriorityClasses, RuntimeClasses, Leases.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::{meta, names, types};
use serde_json::{Value, json};

use crate::strategy::base;
use crate::strategy::rules::{CHECK_FIRST, Part, Rules};
use crate::strategy::validate::{At, Errors, dumped, gates, resources, selectors};
use crate::strategy::warnings::objects;

const USER_MAX: i64 = 1_000_000_000;
/// The classes that the system has itself, with their values.
const SYSTEM: [(&str, i64); 2] = [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// PriorityClasses.
pub(crate) const PRIORITY_CLASS: Rules = Rules {
    check: |_, obj, errors| priority_class(obj, errors),
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        if new.get("value").int() != old.get("value").int() {
            errors.forbidden(&new.get("value"), "may not be changed in an update.");
        }
        errors.immutable(&new.get("preemptionPolicy"), &old.get("preemptionPolicy"));
    },
    parts: &[Part::MetaUpdate, Part::Change],
    ..Rules::PLAIN
};

/// RuntimeClasses.
pub(crate) const RUNTIME_CLASS: Rules = Rules {
    check: |_, obj, errors| runtime_class(obj, errors),
    warn: |new, _| objects::runtime_class(new),
    change: |_, new, old, errors| {
        errors.immutable_plain(&At::root(new).get("handler"), &At::root(old).get("handler"));
    },
    parts: CHECK_FIRST,
    ..Rules::PLAIN
};

/// Leases.
pub(crate) const LEASE: Rules = Rules {
    check: |_, obj, errors| lease(obj, errors),
    // Coordinated leader election is off, and so are its fields.
    settle: |new, old| {
        for field in ["strategy", "preferredHolder"] {
            let used = old.is_some_and(|old| At::spec(old).opt(field).is_some());
            if !used {
                base::remove(new, &format!(".spec.{field}"));
            }
        }
    },
    finalizers: false,
    ..Rules::PLAIN
};

fn priority_class(obj: &Value, errors: &mut Errors) {
    let (root, name) = (At::root(obj), meta::name(obj));
    let value = root.get("value");
    if name.starts_with("system-") {
        let why = match SYSTEM.iter().find(|(system, _)| *system == name) {
            None => format!("{name} is not a known system priority class"),
            Some((_, number)) if *number != value.int() => format!("value of {name} PriorityClass must be {number}"),
            Some(_) if root.get("globalDefault").bool() => {
                format!("globalDefault of {name} PriorityClass must be false")
            }
            Some(_) => String::new(),
        };
        if !why.is_empty() {
            let at = root.get("metadata").get("name");
            errors.forbidden(
                &at,
                format!("priority class names with 'system-' prefix are reserved for system use only. error: {why}"),
            );
        }
    } else if value.int() > USER_MAX {
        errors.forbidden(&value, format!("maximum allowed value of a user defined priority is {USER_MAX}"));
    }
    if let Some(policy) = root.opt("preemptionPolicy") {
        errors.one_of(&policy, &["PreemptLowerPriority", "Never"]);
    }
}

fn runtime_class(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    errors.name(&root.get("handler"), names::is_dns1123_label);
    if let Some(fixed) = root.get("overhead").opt("podFixed") {
        let limits = json!({"limits": fixed.value});
        resources::container_resources(&At::new(&limits, root.path.child("overhead")), errors);
    }
    let scheduling = root.get("scheduling");
    selectors::labels(&scheduling.get("nodeSelector"), errors);
    let tolerations = scheduling.get("tolerations");
    gates::tolerations(&tolerations, errors);
    repeated(&tolerations, errors);
}

/// Tolerations of the same taints, of which there is one at the most.
fn repeated(tolerations: &At<'_>, errors: &mut Errors) {
    let mut seen = HashSet::new();
    for at in tolerations.items() {
        let key = ["key", "operator", "value", "effect"].map(|field| at.get(field).str());
        if seen.insert(key) {
            continue;
        }
        match types::by_name("io.k8s.api.core.v1.Toleration") {
            Some(of) => {
                let shown = dumped(of, &at, "");
                errors.0.push(Error { value: shown.value, ..Error::duplicate(&at.path, Value::Null) });
            }
            None => errors.duplicate(&at),
        }
    }
}

fn lease(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    if let Some(duration) = spec.opt("leaseDurationSeconds")
        && duration.int() <= 0
    {
        errors.invalid(&duration, "must be greater than 0");
    }
    errors.non_negative(&spec.get("leaseTransitions"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Strategy as _, testing};

    #[test]
    fn a_changed_runtime_class_is_judged_whole_before_it_is_compared() {
        let of = |handler: &str| {
            let metadata = json!({"name": "a", "namespace": "n", "resourceVersion": "1", "labels": {"k": "a b"}});
            json!({"metadata": metadata, "handler": handler})
        };
        let rules = RUNTIME_CLASS;
        let errors = testing::context("", "", |cx| rules.validate_update(cx, &of("A"), &of("b")));
        let fields: Vec<String> = errors.into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["metadata.labels", "handler", "metadata.labels", "handler"]);
    }

    #[test]
    fn an_overhead_is_judged_as_limits_are() {
        let judge = |fixed: Value| {
            let mut errors = Errors::default();
            runtime_class(&json!({"handler": "h", "overhead": {"podFixed": fixed}}), &mut errors);
            errors.0.into_iter().map(|error| (error.field, error.detail)).collect::<Vec<_>>()
        };
        assert!(judge(json!({"cpu": "1", "hugepages-2Mi": "4Mi"})).is_empty());
        assert_eq!(
            judge(json!({"hugepages-2Mi": "4Mi"})),
            [("overhead".to_owned(), "HugePages require cpu or memory".to_owned())]
        );
    }

    #[test]
    fn a_runtime_class_tolerates_each_taint_once() {
        let once = json!({"key": "k", "operator": "Exists", "effect": "NoExecute"});
        let mut again = once.clone();
        again["tolerationSeconds"] = json!(5);
        let class = json!({"handler": "h", "scheduling": {"tolerations": [once, {"operator": "Exists"}, again]}});
        let mut errors = Errors::default();
        runtime_class(&class, &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("scheduling.tolerations[2]: Duplicate value: {"), "{told:?}");
    }
}
