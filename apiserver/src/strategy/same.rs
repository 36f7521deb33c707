//! Whether two values of a type say the same: amounts do in whichever form they are written, all else as it stands.

use mainstay_api::quantity::Quantity;
use mainstay_api::types::{Field, Shape, Special, Type};
use serde_json::{Map, Value};

/// Whether two values of a type say the same.
pub(crate) fn same(of: &Type, one: &Value, other: &Value) -> bool {
    if one == other {
        return true;
    }
    match (of.special, one, other) {
        (None, Value::Object(one), Value::Object(other)) => alike(one, other, |name, one, other| {
            of.field(name).map_or_else(|| one == other, |field| same_field(field, one, other))
        }),
        (Some(Special::Quantity), ..) => same_amount(one, other),
        _ => false,
    }
}

/// Whether what stands at a JSON pointer of two objects of a type says the same. Only structs are on the way there.
pub(super) fn same_at(of: Option<&Type>, pointer: &str, one: &Value, other: &Value) -> bool {
    let (one, other) = (one.pointer(pointer), other.pointer(pointer));
    if one == other {
        return true;
    }
    let mut steps = pointer.split('/').skip(1);
    let at = of.and_then(|of| steps.try_fold(of, |of, step| of.field(step).filter(|field| is_single(field))?.object()));
    match (at, one, other) {
        (Some(of), Some(one), Some(other)) => same(of, one, other),
        _ => false,
    }
}

fn is_single(field: &Field) -> bool {
    field.shape == Shape::Single
}

fn same_field(field: &Field, one: &Value, other: &Value) -> bool {
    let Some(of) = field.object() else { return one == other };
    match (field.shape, one, other) {
        (Shape::Single, ..) => same(of, one, other),
        (Shape::List, Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(of, one, other))
        }
        (Shape::Map, Value::Object(one), Value::Object(other)) => {
            alike(one, other, |_, one, other| same(of, one, other))
        }
        _ => one == other,
    }
}

/// Whether two maps have the same keys, with values that say the same.
fn alike(one: &Map<String, Value>, other: &Map<String, Value>, same: impl Fn(&str, &Value, &Value) -> bool) -> bool {
    one.len() == other.len()
        && one.iter().all(|(key, value)| other.get(key).is_some_and(|found| same(key, value, found)))
}

/// Whether two amounts are equal; a bare number is one too, nothing at all is not.
fn same_amount(one: &Value, other: &Value) -> bool {
    let amount = |value: &Value| Quantity::from_json(value).ok().filter(|_| !value.is_null());
    amount(one).is_some_and(|one| amount(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use mainstay_api::types;
    use serde_json::json;

    use super::*;

    fn claim(size: &str, mode: &str) -> Value {
        json!({"accessModes": [mode], "resources": {"requests": {"storage": size}}})
    }

    #[test]
    fn amounts_are_the_same_however_they_are_written() {
        let of = types::by_name("io.k8s.api.core.v1.PersistentVolumeClaimSpec").unwrap();
        let is = |one: Value, other: Value| same(of, &one, &other);
        assert!(is(claim("1Gi", "ReadWriteOnce"), claim("1073741824", "ReadWriteOnce")));
        assert!(!is(claim("1Gi", "ReadWriteOnce"), claim("1G", "ReadWriteOnce")));
        assert!(!is(claim("1Gi", "ReadWriteOnce"), claim("1073741824", "ReadOnlyMany")));
        // What is no amount is not read as one.
        assert!(!is(json!({"volumeName": "1Gi"}), json!({"volumeName": "1073741824"})));
        assert!(!is(json!({}), json!({"resources": {}})));
    }

    #[test]
    fn what_only_looks_like_an_amount_is_none() {
        let of = types::by_name("io.k8s.api.core.v1.PodTemplateSpec").unwrap();
        let template = |annotation: &str, arg: &str, env: &str, limit: Value| {
            let container = json!({"name": "c", "args": [arg], "env": [{"name": "e", "value": env}],
                "resources": {"limits": {"memory": limit}}});
            json!({"metadata": {"annotations": {"a": annotation}}, "spec": {"containers": [container]}, "x": {"y": 1}})
        };
        let before = template("1Gi", "1Gi", "1Gi", json!("1Gi"));
        assert!(same(of, &template("1Gi", "1Gi", "1Gi", json!(1_073_741_824)), &before));
        assert!(!same(of, &template("1024Mi", "1Gi", "1Gi", json!("1Gi")), &before));
        assert!(!same(of, &template("1Gi", "1024Mi", "1Gi", json!("1Gi")), &before));
        assert!(!same(of, &template("1Gi", "1Gi", "1024Mi", json!("1Gi")), &before));
        let without = |limit: Value| template("a", "b", "c", limit);
        assert!(!same(of, &without(json!(0)), &without(Value::Null)));
        assert!(!same(of, &without(json!("x")), &without(json!("y"))));
    }

    #[test]
    fn amounts_are_found_in_lists_of_structs() {
        let of = types::by_name("io.k8s.api.apps.v1.StatefulSet");
        let set = |size: &str| json!({"spec": {"volumeClaimTemplates": [{"spec": claim(size, "ReadWriteOnce")}]}});
        assert!(same_at(of, "/spec", &set("1Gi"), &set("1073741824")));
        assert!(!same_at(of, "/spec", &set("1Gi"), &set("2Gi")));
        assert!(!same_at(of, "/spec", &set("1Gi"), &json!({})));
        // Of a custom resource nobody knows what is an amount.
        assert!(!same_at(None, "/spec", &set("1Gi"), &set("1073741824")));
        assert!(same_at(None, "/spec", &set("1Gi"), &set("1Gi")));
    }
}
