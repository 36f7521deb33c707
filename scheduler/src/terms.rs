//! A pod's rules about other pods (inter-pod affinity and anti-affinity), compiled once.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm};
use mainstay_api::selector::LabelSelector;
use serde_json::{Value, json};

/// A term of the API together with its weight, where it is a preference.
type Weighted<'a> = (i32, &'a PodAffinityTerm);

/// One term: which pods it speaks of, and what "the same place" means.
#[derive(Clone, Debug)]
pub struct PodTerm {
    /// The node label whose value is the place.
    pub topology_key: String,
    selector: LabelSelector,
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    /// Of a preference; 0 of a requirement.
    pub weight: i64,
}

/// All terms of a pod.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Places it must be in.
    pub affinity: Vec<PodTerm>,
    /// Places it must not be in.
    pub anti_affinity: Vec<PodTerm>,
    /// Places it would rather be in; negative weights: rather not.
    pub preferred: Vec<PodTerm>,
}

impl Terms {
    /// Compiles a pod's terms. A selector that the API server would have refused selects nothing.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.as_ref());
        let together = affinity.and_then(|affinity| affinity.pod_affinity.as_ref());
        let apart = affinity.and_then(|affinity| affinity.pod_anti_affinity.as_ref());
        let wanted = together.and_then(|t| t.preferred_during_scheduling_ignored_during_execution.as_ref());
        let unwanted = apart.and_then(|t| t.preferred_during_scheduling_ignored_during_execution.as_ref());
        let preferred = wanted.into_iter().flatten().map(|term| (term.weight, &term.pod_affinity_term));
        let avoided = unwanted.into_iter().flatten().map(|term| (-term.weight, &term.pod_affinity_term));
        let required = |terms: Option<&Vec<PodAffinityTerm>>| {
            terms.into_iter().flatten().map(|term| PodTerm::compile(pod, (0, term))).collect()
        };
        Self {
            affinity: required(together.and_then(|t| t.required_during_scheduling_ignored_during_execution.as_ref())),
            anti_affinity: required(apart.and_then(|t| t.required_during_scheduling_ignored_during_execution.as_ref())),
            preferred: preferred.chain(avoided).map(|weighted| PodTerm::compile(pod, weighted)).collect(),
        }
    }
}

impl PodTerm {
    fn compile(pod: &Pod, (weight, term): Weighted<'_>) -> Self {
        let own = pod.metadata.namespace.clone().unwrap_or_default();
        let mut namespaces = term.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && term.namespace_selector.is_none() {
            namespaces.push(own);
        }
        Self {
            topology_key: term.topology_key.clone(),
            selector: term.label_selector.as_ref().map_or_else(LabelSelector::nothing, |selector| {
                compile_selector(&with_label_keys(pod, term, json!(selector)))
            }),
            namespaces,
            namespace_selector: term.namespace_selector.as_ref().map(|selector| compile_selector(&json!(selector))),
            weight: i64::from(weight),
        }
    }

    /// Whether it speaks of a pod of this namespace with these labels; `namespace_matches` knows namespaces' labels.
    pub fn selects(
        &self,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        namespace_matches: impl Fn(&str, &LabelSelector) -> bool,
    ) -> bool {
        let in_namespace = self.namespaces.iter().any(|name| name == namespace)
            || self.namespace_selector.as_ref().is_some_and(|selector| namespace_matches(namespace, selector));
        in_namespace && self.selector.matches(labels)
    }
}

/// `matchLabelKeys` and `mismatchLabelKeys` take the incoming pod's own values into the selector (KEP-3633).
fn with_label_keys(pod: &Pod, term: &PodAffinityTerm, mut selector: Value) -> Value {
    let labels = pod.metadata.labels.clone().unwrap_or_default();
    let keys = [("In", &term.match_label_keys), ("NotIn", &term.mismatch_label_keys)];
    let mut expressions = selector["matchExpressions"].as_array().cloned().unwrap_or_default();
    for (operator, keys) in keys {
        for key in keys.iter().flatten().filter(|key| labels.contains_key(*key)) {
            expressions.push(json!({"key": key, "operator": operator, "values": [labels[key]]}));
        }
    }
    if !expressions.is_empty() {
        selector["matchExpressions"] = Value::Array(expressions);
    }
    selector
}

/// The API server has validated selectors; one that still does not compile selects nothing.
pub(crate) fn compile_selector(selector: &Value) -> LabelSelector {
    LabelSelector::from_object(selector).unwrap_or_else(|error| {
        tracing::warn!(%error, "a selector cannot be read; it selects nothing");
        LabelSelector::nothing()
    })
}
