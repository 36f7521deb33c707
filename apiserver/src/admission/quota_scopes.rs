//! What quotas with scopes are about.

use serde_json::Value;

use super::Attributes;
use crate::strategy::qos_class;
use crate::strategy::validate::At;

/// A quota with scopes is about the pods and claims that match all of them.
pub(super) fn in_scope(quota: &Value, request: &Attributes<'_>, object: &Value) -> bool {
    let spec = At::spec(quota);
    let mut scopes: Vec<(String, String, Vec<String>)> =
        spec.get("scopes").strings().map(|scope| (scope.to_owned(), "Exists".to_owned(), Vec::new())).collect();
    for at in spec.get("scopeSelector").get("matchExpressions").items() {
        let values = at.get("values").strings().map(str::to_owned).collect();
        scopes.push((at.get("scopeName").str().to_owned(), at.get("operator").str().to_owned(), values));
    }
    scopes.iter().all(|(scope, operator, values)| match scope.as_str() {
        "VolumeAttributesClass" => {
            request.is("", "persistentvolumeclaims") && matches_class(&attributes_classes(object), operator, values)
        }
        scope => request.is("", "pods") && matches_scope(object, scope, operator, values),
    })
}

/// Whether a pod is to end by itself.
pub(super) fn is_terminating(pod: &Value) -> bool {
    At::spec(pod).opt("activeDeadlineSeconds").is_some()
}

fn matches_scope(pod: &Value, scope: &str, operator: &str, values: &[String]) -> bool {
    let spec = At::spec(pod);
    let class = spec.get("priorityClassName").str();
    match scope {
        "Terminating" => is_terminating(pod),
        "NotTerminating" => !is_terminating(pod),
        "BestEffort" => qos_class(pod) == "BestEffort",
        "NotBestEffort" => qos_class(pod) != "BestEffort",
        "PriorityClass" => {
            let classes: Vec<&str> = if class.is_empty() { Vec::new() } else { vec![class] };
            matches_class(&classes, operator, values)
        }
        "CrossNamespacePodAffinity" => looks_at_other_namespaces(&spec),
        _ => false,
    }
}

/// Whether any of the classes that an object is of is one of those that are counted.
fn matches_class(classes: &[&str], operator: &str, values: &[String]) -> bool {
    let named = |class: &&str| values.iter().any(|value| value == class);
    match operator {
        "In" => classes.iter().any(named),
        "NotIn" => classes.is_empty() || !classes.iter().all(named),
        "DoesNotExist" => classes.is_empty(),
        _ => !classes.is_empty(),
    }
}

/// The classes of attributes that a claim has, and will have.
fn attributes_classes(claim: &Value) -> Vec<&str> {
    let status = At::root(claim).get("status");
    let all = [
        At::spec(claim).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        status.get("modifyVolumeStatus").get("targetVolumeAttributesClassName"),
    ];
    all.iter().map(At::str).filter(|class| !class.is_empty()).collect()
}

/// Whether a pod wants to be near pods of other namespaces, or far from them.
fn looks_at_other_namespaces(spec: &At<'_>) -> bool {
    let crosses = |term: &At<'_>| !term.get("namespaces").is_empty() || term.opt("namespaceSelector").is_some();
    ["podAffinity", "podAntiAffinity"].into_iter().any(|kind| {
        let affinity = spec.get("affinity").get(kind);
        let mut required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution").items();
        let mut preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution").items();
        required.any(|term| crosses(&term)) || preferred.any(|at| crosses(&at.get("podAffinityTerm")))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scopes_tell_pods_and_claims_apart() {
        let near = json!({"spec": {"affinity": {"podAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["x"]}],
        }}}});
        assert!(matches_scope(&near, "CrossNamespacePodAffinity", "Exists", &[]));
        assert!(!matches_scope(&json!({}), "CrossNamespacePodAffinity", "Exists", &[]));
        let claim = json!({"spec": {"volumeAttributesClassName": "gold"}});
        let gold = ["gold".to_owned()];
        assert!(matches_class(&attributes_classes(&claim), "In", &gold));
        assert!(!matches_class(&attributes_classes(&claim), "NotIn", &gold));
        assert!(matches_class(&[], "NotIn", &gold));
    }
}
