//! How versions are converted into each other.

use mainstay_api::names;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

pub(super) fn check(at: &At<'_>, errors: &mut Errors) {
    errors.one_of(&at.get("strategy"), &["None", "Webhook"]);
    let webhook = at.get("webhook");
    let client = At::new(webhook.get("clientConfig").value, at.path.child("webhookClientConfig"));
    let reviews = At::new(webhook.get("conversionReviewVersions").value, at.path.child("conversionReviewVersions"));
    if at.get("strategy").str() != "Webhook" {
        let why = "should not be set when strategy is not set to Webhook";
        if !client.is_null() {
            errors.forbidden(&client, why);
        }
        if !reviews.is_empty() {
            errors.forbidden(&reviews, why);
        }
        return;
    }
    if client.is_null() {
        errors.required(&client, "required when strategy is set to Webhook");
    } else {
        crate::strategy::client_config(&client, errors);
    }
    review_versions(&reviews, errors);
}

fn review_versions(at: &At<'_>, errors: &mut Errors) {
    if at.is_empty() {
        errors.required(at, "");
        return;
    }
    let mut seen = std::collections::HashSet::new();
    for version in at.items() {
        if seen.insert(version.str()) {
            errors.each(&version, names::is_dns1035_label(version.str()));
        } else {
            errors.invalid(&version, "duplicate version");
        }
    }
    let known = at.strings().any(|version| matches!(version, "v1" | "v1beta1"));
    if !known {
        let shown = Value::Array(at.value.as_array().cloned().unwrap_or_default());
        let error = mainstay_api::field::Error::invalid(&at.path, shown, "must include at least one of v1, v1beta1");
        errors.0.push(error);
    }
}
