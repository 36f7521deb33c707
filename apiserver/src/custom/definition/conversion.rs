//! How versions are converted into each other.

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
    crate::strategy::review_versions(&reviews, "", errors);
}
