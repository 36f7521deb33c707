//! What unit tests about custom objects need.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Registry, Row};
use crate::custom;
use crate::strategy::testing::Objects;

/// The row of a definition whose objects may have any fields: kind `A`, resource `as` in `g.io/v1`.
pub(crate) fn custom_row(subresources: &Value) -> Arc<Row> {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version =
        json!({"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": subresources});
    let names = json!({"kind": "A", "plural": "as", "singular": "a", "listKind": "AList"});
    let definition = json!({
        "metadata": {"name": "as.g.io", "resourceVersion": "1"},
        "spec": {"group": "g.io", "scope": "Namespaced", "names": names, "versions": [version]},
        "status": {"acceptedNames": names, "conditions": [{"type": "Established", "status": "True"}]},
    });
    let registry = Registry::builtin();
    registry.refresh(&Objects(vec![(custom::GROUP, custom::DEFINITIONS, definition)]));
    registry.find("g.io", "v1", "as").unwrap()
}
