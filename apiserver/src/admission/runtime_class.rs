//! A runtime class brings its overhead and its constraints on nodes to the pod.

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::{Attributes, Plugin, list_mut};
use crate::strategy::base::set;

/// RuntimeClass.
pub(crate) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let Some(class) = class_of(request)? else { return Ok(()) };
        overhead(request, &class)?;
        scheduling(request, &class)
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.creates("", "pods") {
            return Ok(());
        }
        let class = class_of(request)?;
        let given = request.object.as_ref().and_then(|pod| pod.pointer("/spec/overhead")).filter(|value| filled(value));
        match (class.as_ref().and_then(|class| class.pointer("/overhead/podFixed")), given) {
            (Some(fixed), given) if given == Some(fixed) || (given.is_none() && !filled(fixed)) => Ok(()),
            (Some(_), _) => {
                Err(request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"))
            }
            (None, Some(_)) => {
                Err(request
                    .forbidden("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"))
            }
            (None, None) => Ok(()),
        }
    }
}

fn filled(value: &Value) -> bool {
    value.as_object().is_some_and(|map| !map.is_empty())
}

fn class_of(request: &Attributes<'_>) -> ApiResult<Option<Arc<Value>>> {
    if !request.creates("", "pods") {
        return Ok(None);
    }
    let name = request.object.as_ref().and_then(|pod| pod.pointer("/spec/runtimeClassName")).and_then(Value::as_str);
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    match request.reader.get("node.k8s.io", "runtimeclasses", "", name) {
        Some(class) => Ok(Some(class)),
        None => Err(request.forbidden(format!("pod rejected: RuntimeClass \"{name}\" not found"))),
    }
}

fn overhead(request: &mut Attributes<'_>, class: &Value) -> ApiResult<()> {
    let Some(fixed) = class.pointer("/overhead/podFixed") else { return Ok(()) };
    let given = request.object.as_ref().and_then(|pod| pod.pointer("/spec/overhead"));
    if given.is_some_and(|given| filled(given) && given != fixed) {
        return Err(request.forbidden("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"));
    }
    if let Some(pod) = request.object.as_mut() {
        set(pod, "/spec/overhead", fixed.clone());
    }
    Ok(())
}

fn scheduling(request: &mut Attributes<'_>, class: &Value) -> ApiResult<()> {
    let selector = class.pointer("/scheduling/nodeSelector").and_then(Value::as_object);
    for (key, value) in selector.into_iter().flatten() {
        let pointer = format!("/spec/nodeSelector/{}", key.replace('~', "~0").replace('/', "~1"));
        let own = request.object.as_ref().and_then(|pod| pod.pointer(&pointer)).and_then(Value::as_str);
        let wanted = value.as_str().unwrap_or_default();
        if let Some(own) = own.filter(|own| *own != wanted) {
            return Err(request.forbidden(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {own}"
            )));
        }
        if let Some(pod) = request.object.as_mut() {
            add_label(pod, key, wanted);
        }
    }
    let tolerations = class.pointer("/scheduling/tolerations").and_then(Value::as_array);
    let Some(list) = request.object.as_mut().and_then(|pod| list_mut(pod, "/spec", "tolerations")) else {
        return Ok(());
    };
    if class.get("scheduling").is_some() {
        list.extend(tolerations.into_iter().flatten().cloned());
        *list = without_covered(list);
    }
    super::drop_if_empty(request.object.as_mut(), "/spec", "tolerations");
    Ok(())
}

/// The tolerations without those that another one covers; of equal ones the first stays.
fn without_covered(all: &[Value]) -> Vec<Value> {
    let mut kept: Vec<Value> = Vec::new();
    for (index, toleration) in all.iter().enumerate() {
        let covered_later = || all[index + 1..].iter().any(|later| later != toleration && covers(later, toleration));
        if !kept.iter().any(|earlier| covers(earlier, toleration)) && !covered_later() {
            kept.push(toleration.clone());
        }
    }
    kept
}

/// Whether whoever has the toleration `wide` needs not `narrow`.
fn covers(wide: &Value, narrow: &Value) -> bool {
    if wide == narrow {
        return true;
    }
    let same = |field: &str| text(wide, field) == text(narrow, field);
    let exists = text(wide, "operator") == "Exists";
    let any_key = text(wide, "key").is_empty() && exists;
    if !(same("key") || any_key) || !(same("effect") || text(wide, "effect").is_empty()) {
        return false;
    }
    let seconds = |of: &Value| of.get("tolerationSeconds").and_then(Value::as_i64);
    if text(wide, "effect") == "NoExecute"
        && let Some(most) = seconds(wide)
        && seconds(narrow).is_none_or(|own| own > most)
    {
        return false;
    }
    match text(wide, "operator") {
        "Exists" => true,
        "" | "Equal" => text(narrow, "operator") == "Equal" && same("value"),
        _ => false,
    }
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn add_label(pod: &mut Value, key: &str, value: &str) {
    if !pod.pointer("/spec/nodeSelector").is_some_and(Value::is_object) {
        set(pod, "/spec/nodeSelector", Value::Object(serde_json::Map::new()));
    }
    if let Some(map) = pod.pointer_mut("/spec/nodeSelector").and_then(Value::as_object_mut) {
        map.insert(key.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wider_toleration_covers_others() {
        let ready = json!({"key": "r", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        let gone = json!({"key": "g", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
        let other = json!({"key": "x", "operator": "Equal", "value": "1", "effect": "NoSchedule"});
        let kept = |more: Value| without_covered(&[ready.clone(), gone.clone(), other.clone(), more]);
        assert_eq!(kept(json!({"operator": "Exists"})), [json!({"operator": "Exists"})]);
        let longer = json!({"key": "r", "operator": "Exists", "effect": "NoExecute"});
        assert_eq!(kept(longer.clone()), [gone.clone(), other.clone(), longer]);
        let shorter = json!({"key": "r", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60});
        assert_eq!(kept(shorter), [ready.clone(), gone.clone(), other.clone()]);
        assert_eq!(kept(other.clone()).len(), 3);
    }
}
