//! Field selectors: which fields a kind offers, and what an object has there.

use mainstay_api::selector::FieldSelector;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::Target;
use crate::cache::CachedObject;

/// A field selector; `check` tells whether the kind supports it.
#[derive(Default)]
pub(crate) struct Fields {
    selector: FieldSelector,
}

impl Fields {
    pub(crate) fn read(text: &str) -> ApiResult<Self> {
        let selector = FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?;
        Ok(Self { selector })
    }

    /// Refuses what the kind does not offer.
    pub(crate) fn check(&self, target: &Target) -> ApiResult<()> {
        self.selector.terms().iter().try_for_each(|term| supported(target, &term.field))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.selector.is_empty()
    }

    /// The value that a field must have.
    pub(crate) fn pinned(&self, field: &str) -> Option<&str> {
        self.selector.requires(field).filter(|value| !value.is_empty())
    }

    pub(crate) fn matches(&self, object: &CachedObject) -> bool {
        if self.selector.is_empty() {
            return true;
        }
        self.selector.terms().iter().all(|term| {
            let found = match term.field.as_str() {
                "metadata.name" => object.name.clone(),
                "metadata.namespace" => object.namespace.clone(),
                field => value_of(&object.parse(), field),
            };
            (found == term.value) == term.equal
        })
    }
}

fn supported(target: &Target, field: &str) -> ApiResult<()> {
    let row = &target.row.resource;
    let known = |name: &str| row.field_selectors.iter().any(|own| own == name);
    if known(field) {
        return Ok(());
    }
    let quoted = mainstay_api::field::go_quote(field);
    // Two kinds have words of their own.
    match (row.group.as_str(), row.kind.as_str()) {
        ("batch", "Job") => {
            return Err(Status::bad_request(format!("field label {quoted} not supported for batchv1.Job")));
        }
        ("resource.k8s.io", "ResourceSlice") => {
            let kind = format!("{}, Kind={}", row.api_version(), row.kind);
            return Err(Status::bad_request(format!("field label not supported for {kind}: {field}")));
        }
        _ => {}
    }
    let plain = row.field_selectors.iter().all(|own| matches!(own.as_str(), "metadata.name" | "metadata.namespace"));
    let own_words = !plain || !known("metadata.namespace");
    if own_words || target.row.custom {
        return Err(Status::bad_request(format!("field label not supported: {field}")));
    }
    Err(Status::bad_request(format!(
        "{quoted} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
    )))
}

fn value_of(object: &Value, field: &str) -> String {
    let at = |path: &str| text_at(object, path);
    match field {
        "spec.host" => at("spec.nodeName"),
        "source" => {
            Some(at("source.component")).filter(|text| !text.is_empty()).unwrap_or_else(|| at("reportingComponent"))
        }
        "reportingController" => at("reportingComponent"),
        "status.successful" => or(at("status.succeeded"), "0"),
        "status.replicas" => or(at(field), "0"),
        "spec.unschedulable" | "spec.hostNetwork" => or(at(field), "false"),
        _ => match field.strip_prefix("regarding.") {
            Some(rest) => at(&format!("involvedObject.{rest}")),
            None => at(field),
        },
    }
}

fn or(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}

fn text_at(object: &Value, path: &str) -> String {
    let found = path.split('.').try_fold(object, |value, name| value.get(name));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => String::new(),
    }
}
