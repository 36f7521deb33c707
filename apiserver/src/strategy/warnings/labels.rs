//! Labels of nodes that have other names now, wherever they are selected by.

use mainstay_api::names;

use crate::strategy::validate::At;

const OLD: &[(&str, &str)] = &[
    ("beta.kubernetes.io/arch", "deprecated since v1.14; use \"kubernetes.io/arch\" instead"),
    ("beta.kubernetes.io/os", "deprecated since v1.14; use \"kubernetes.io/os\" instead"),
    (
        "failure-domain.beta.kubernetes.io/region",
        "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead",
    ),
    ("failure-domain.beta.kubernetes.io/zone", "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"),
    ("beta.kubernetes.io/instance-type", "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"),
    ("app.kubernetes.io/created-by", "deprecated since v1.9"),
    ("scheduler.alpha.kubernetes.io/preferAvoidPods", "deprecated since v1.22; use Taints and Tolerations instead"),
    ("node-role.kubernetes.io/master", "use \"node-role.kubernetes.io/control-plane\" instead"),
];

/// What is said of a label, if it is an old one.
pub(crate) fn old(key: &str) -> Option<&'static str> {
    OLD.iter().find(|(old, _)| *old == key).map(|(_, text)| *text)
}

/// A term of a node selector; in one that only prefers, values that no label can have are told too.
pub(crate) fn term(term: &At<'_>, values: bool, out: &mut Vec<String>) {
    for at in term.get("matchExpressions").items() {
        let key = at.get("key");
        out.extend(old(key.str()).map(|text| format!("{}: {} is {text}", key.path, key.str())));
        for value in at.get("values").items().filter(|_| values) {
            let texts = names::is_label_value(value.str());
            out.extend(texts.into_iter().map(|text| format!("{}: {} is invalid, {text}", value.path, value.str())));
        }
    }
}

/// A label selector over nodes.
pub(crate) fn selector(selector: &At<'_>) -> Vec<String> {
    let mut out = Vec::new();
    term(selector, false, &mut out);
    let labels = selector.get("matchLabels");
    for key in labels.map().keys() {
        out.extend(old(key).map(|text| format!("{}: {text}", labels.path.child(key))));
    }
    out
}
