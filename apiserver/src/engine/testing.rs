//! What tests of the engine write to.

use super::Target;
use crate::registry::Registry;

/// The config map `a` in namespace `n`.
pub(super) fn config_map() -> Target {
    let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
    Target { row, namespace: "n".into(), name: "a".into(), subresource: String::new() }
}
