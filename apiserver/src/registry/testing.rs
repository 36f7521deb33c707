//! What unit tests about custom objects need.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Registry, Row};
use crate::custom;
use crate::strategy::testing::Objects;

/// A definition of objects that may have any fields: kind `A`, resource `as` in `g.io/v1`.
pub(crate) fn definition(subresources: &Value) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources});
    let names = json!({"kind": "A", "plural": "as", "singular": "a", "listKind": "AList"});
    json!({
        "metadata": {"name": "as.g.io", "resourceVersion": "1"},
        "spec": {"group": "g.io", "scope": "Namespaced", "names": names, "versions": [version]},
        "status": {"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}]},
    })
}

/// The row of such a definition.
pub(crate) fn custom_row(subresources: &Value) -> Arc<Row> {
    let registry = Registry::builtin();
    registry.refresh(&Objects(vec![(custom::GROUP, custom::DEFINITIONS, definition(subresources))]));
    registry.find("g.io", "v1", "as").unwrap()
}
