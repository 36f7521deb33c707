//! Pods get the number of their priority class.

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::strategy::base::set;

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";

/// Priority.
pub(crate) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.subresource.is_empty() || !request.is("", "pods") {
            return Ok(());
        }
        match request.operation {
            Operation::Create => assign(request),
            Operation::Update => {
                carry_over(request);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if !request.subresource.is_empty() || !request.is(GROUP, CLASSES) {
            return Ok(());
        }
        if request.operation == Operation::Delete {
            let name = request.old_object.as_ref().map_or(request.name, |class| meta::name(class));
            if name.starts_with("system-") {
                return Err(request.forbidden("this is a system priority class and cannot be deleted"));
            }
            return Ok(());
        }
        one_default(request)
    }
}

fn is_default(class: &Value) -> bool {
    class.get("globalDefault").and_then(Value::as_bool) == Some(true)
}

fn one_default(request: &Attributes<'_>) -> ApiResult<()> {
    let Some(object) = request.object.as_ref().filter(|class| is_default(class)) else { return Ok(()) };
    let classes = request.reader.list(GROUP, CLASSES, None);
    // Who makes a class anew has not looked whether it is there.
    let is_other = |class: &Value| request.operation == Operation::Create || meta::name(class) != meta::name(object);
    let other = classes.iter().find(|class| is_default(class) && is_other(class));
    match other {
        Some(other) => Err(request.forbidden(format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            meta::name(other)
        ))),
        None => Ok(()),
    }
}

/// The class by name, or the least of the default ones.
fn class_of(request: &Attributes<'_>, name: &str) -> ApiResult<(String, i64, String)> {
    let class = if name.is_empty() {
        let classes = request.reader.list(GROUP, CLASSES, None);
        classes.into_iter().filter(|class| is_default(class)).min_by_key(|class| class["value"].as_i64())
    } else {
        let class = request.reader.get(GROUP, CLASSES, "", name);
        Some(class.ok_or_else(|| request.forbidden(format!("no PriorityClass with name {name} was found")))?)
    };
    let policy = |class: &Value| {
        class.get("preemptionPolicy").and_then(Value::as_str).unwrap_or("PreemptLowerPriority").to_owned()
    };
    Ok(match class {
        Some(class) => (meta::name(&class).to_owned(), class["value"].as_i64().unwrap_or_default(), policy(&class)),
        None => (String::new(), 0, "PreemptLowerPriority".to_owned()),
    })
}

fn assign(request: &mut Attributes<'_>) -> ApiResult<()> {
    let Some(pod) = request.object.as_ref() else { return Ok(()) };
    let spec = pod.get("spec").cloned().unwrap_or_default();
    let asked = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default();
    let (name, value, policy) = class_of(request, asked)?;
    if let Some(given) = spec.get("priority").and_then(Value::as_i64)
        && given != value
    {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {value} from the given PriorityClass name"
        );
        return Err(request.forbidden(why));
    }
    if let Some(given) = spec.get("preemptionPolicy").and_then(Value::as_str)
        && given != policy
    {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
        );
        return Err(request.forbidden(why));
    }
    let Some(pod) = request.object.as_mut() else { return Ok(()) };
    set(pod, "/spec/priority", value.into());
    set(pod, "/spec/preemptionPolicy", policy.into());
    if !name.is_empty() {
        set(pod, "/spec/priorityClassName", name.into());
    }
    Ok(())
}

fn carry_over(request: &mut Attributes<'_>) {
    let (Some(pod), Some(old)) = (request.object.as_mut(), request.old_object.as_ref()) else { return };
    for field in ["priority", "preemptionPolicy"] {
        let pointer = format!("/spec/{field}");
        if pod.pointer(&pointer).is_none_or(Value::is_null)
            && let Some(value) = old.pointer(&pointer)
        {
            set(pod, &pointer, value.clone());
        }
    }
}
