//! How a workload rolls, as Kubernetes shows it.

use mainstay_api::field::{Error, Shown};
use serde_json::json;

use crate::strategy::validate::{At, Errors};

/// The whole strategy is shown, in its internal form.
pub(super) fn unknown_strategy(strategy: &At<'_>, supported: &[&str], errors: &mut Errors) {
    let kind = strategy.get("type").str();
    let rolling = strategy.get("rollingUpdate");
    let shown = if rolling.is_null() { "null".to_owned() } else { internal_rolling(&rolling) };
    let text = format!("{{\"Type\":{},\"RollingUpdate\":{shown}}}", json!(kind));
    let mut error = Error::not_supported(&strategy.path, "", supported);
    error.value = Shown::Text(text);
    errors.0.push(error);
}

fn internal_rolling(rolling: &At<'_>) -> String {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", unavailable.value, surge.value)
}
