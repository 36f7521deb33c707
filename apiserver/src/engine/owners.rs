//! Owners that are named twice: the second time is dropped, and the client is told.

use std::collections::HashSet;

use mainstay_api::meta;
use serde_json::Value;

use super::Call;

/// Drops references that an object has already. `admitted`: admission has seen the object since it came.
pub(super) fn name_once(call: &mut Call, object: &mut Value, admitted: bool) {
    let Some(references) = meta::metadata(object).and_then(|metadata| metadata.get("ownerReferences")?.as_array())
    else {
        return;
    };
    let (kept, twice) = once(references);
    if twice.is_empty() {
        return;
    }
    let when = if admitted { " after mutating admission happens" } else { "" };
    let uids = twice.join(", ");
    meta::set(object, "ownerReferences", kept);
    call.warn(format!(
        ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {uids}"
    ));
}

/// The references without those that are equal to an earlier one, and the uids of these.
fn once(references: &[Value]) -> (Vec<Value>, Vec<String>) {
    let (mut kept, mut twice, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for reference in references {
        if seen.insert(reference) {
            kept.push(reference.clone());
        } else {
            twice.push(reference.get("uid").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
    }
    (kept, twice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_equal_references_are_dropped() {
        let owner = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid});
        let given = [owner("a", "1"), owner("a", "2"), owner("a", "1"), owner("b", "1"), owner("a", "2")];
        let (kept, twice) = once(&given);
        assert_eq!(kept, [owner("a", "1"), owner("a", "2"), owner("b", "1")]);
        assert_eq!(twice, ["1", "2"]);
    }
}
