//! Counters that devices of a pool share, so that parts of a device are not given away with the whole
//! (<https://kep.k8s.io/4815>).

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{set, too_many};
use crate::strategy::validate::{At, Errors};

/// Sets of counters of a slice at the most.
const SETS_MAX: usize = 8;
/// Sets that a device takes from at the most.
const CONSUMED_MAX: usize = 2;
/// Counters of a set at the most.
const COUNTERS_MAX: usize = 32;

/// The counters of a slice.
pub(super) fn shared(list: &At<'_>, errors: &mut Errors) {
    set(list, SETS_MAX, "name", |at, errors| counter_set(at, "name", errors), errors);
}

/// What a device takes of them.
pub(super) fn consumed(list: &At<'_>, errors: &mut Errors) {
    set(list, CONSUMED_MAX, "counterSet", |at, errors| counter_set(at, "counterSet", errors), errors);
}

fn counter_set(at: &At<'_>, name: &str, errors: &mut Errors) {
    errors.name(&at.get(name), names::is_dns1123_label);
    let counters = at.get("counters");
    if counters.is_empty() {
        errors.required(&counters, "");
    } else if counters.len() > COUNTERS_MAX {
        too_many(&counters, COUNTERS_MAX, errors);
    }
    for name in counters.map().keys().filter(|_| counters.len() <= COUNTERS_MAX) {
        let texts = names::is_dns1123_label(name).into_iter();
        errors.0.extend(texts.map(|why| Error::invalid(&counters.path, name.as_str(), why)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn judge(list: &Value, rule: fn(&At<'_>, &mut Errors)) -> Vec<String> {
        let mut errors = Errors::default();
        rule(&At::root(list).get("l"), &mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn counters_have_names_and_sets_have_counters() {
        let good = json!({"l": [{"name": "s", "counters": {"memory": {"value": "40Gi"}}}]});
        assert_eq!(judge(&good, shared), Vec::<String>::new());
        let bad = json!({"l": [{"counterSet": "s", "counters": {}}, {"counters": {"a_b": {"value": "1"}}}]});
        let found = judge(&bad, consumed);
        assert_eq!(found[..2], ["l[0].counters: Required value", "l[1].counterSet: Required value"]);
        assert!(found[2].starts_with(r#"l[1].counters: Invalid value: "a_b": "#), "{found:?}");
        let three = json!({"l": [{}, {}, {}]});
        assert_eq!(judge(&three, consumed), ["l: Too many: 3: must have at most 2 items"]);
    }
}
