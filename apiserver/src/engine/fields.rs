//! Field selectors: which fields a kind offers, and what an object has there.

use std::sync::Arc;

use mainstay_api::selector::FieldSelector;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::{Target, present};
use crate::cache::CachedObject;
use crate::extension::conversion;
use crate::registry::Row;

/// A field selector; `check` tells whether the kind supports it.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    selector: FieldSelector,
    /// In whose version custom objects have these fields.
    custom: Option<Arc<Row>>,
}

impl Fields {
    pub(crate) fn read(text: &str) -> ApiResult<Self> {
        let selector = FieldSelector::parse(text).map_err(|error| Status::bad_request(error.to_string()))?;
        Ok(Self { selector, custom: None })
    }

    /// Refuses what the kind does not offer; from now on its objects are seen in the version of the target.
    pub(crate) fn check(&mut self, target: &Target) -> ApiResult<()> {
        self.custom = target.row.custom.then(|| target.row.clone());
        self.selector.terms().iter().try_for_each(|term| supported(target, &term.field))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.selector.is_empty()
    }

    /// The value that a field must have.
    pub(crate) fn pinned(&self, field: &str) -> Option<&str> {
        self.selector.requires(field).filter(|value| !value.is_empty())
    }

    /// Whether only who has had an object converted by a webhook knows what it has in these fields.
    pub(crate) fn is_deferred(&self) -> bool {
        let served = self.custom.as_ref().and_then(|row| row.served.as_ref());
        self.is_of_content() && served.is_some_and(|served| conversion::by_webhook(served))
    }

    /// Whether where an object is does not tell if it is selected.
    fn is_of_content(&self) -> bool {
        self.selector.terms().iter().any(|term| !is_of_place(&term.field))
    }

    /// Whether a stored object is selected, as far as that is known before it is converted.
    pub(crate) fn matches(&self, object: &CachedObject) -> bool {
        if self.selector.is_empty() {
            return true;
        }
        if let Some(row) = &self.custom {
            let by_place = !self.is_of_content() || self.is_deferred();
            return self.fit_place(object) && (by_place || self.fit(&seen(row, object)));
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

    fn fit_place(&self, object: &CachedObject) -> bool {
        self.selector.terms().iter().filter(|term| is_of_place(&term.field)).all(|term| {
            let found = if term.field == "metadata.name" { &object.name } else { &object.namespace };
            (*found == term.value) == term.equal
        })
    }

    /// Whether a custom object in the version of the target has what is asked for, its place aside.
    pub(crate) fn fit(&self, object: &Value) -> bool {
        let mut terms = self.selector.terms().iter().filter(|term| !is_of_place(&term.field));
        terms.all(|term| (text_at(object, &term.field) == term.value) == term.equal)
    }
}

fn is_of_place(field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace")
}

/// A stored custom object in the version of a row, if no webhook is needed for that.
fn seen(row: &Row, object: &CachedObject) -> Value {
    present::to_request(row, Arc::unwrap_or_clone(object.parse())).unwrap_or_default()
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

#[cfg(test)]
pub(crate) mod testing {
    use serde_json::json;

    use super::*;
    use crate::custom;
    use crate::registry::testing::definition;

    /// A custom kind whose `spec.host` can be selected and is `a` where nothing is said.
    pub(crate) fn target(strategy: &str) -> Target {
        let mut definition = definition(&json!({}));
        definition["spec"]["conversion"] = json!({"strategy": strategy});
        let version = &mut definition["spec"]["versions"][0];
        version["selectableFields"] = json!([{"jsonPath": ".spec.host"}]);
        let host = json!({"type": "string", "default": "a"});
        let spec = json!({"type": "object", "properties": {"host": host}});
        version["schema"]["openAPIV3Schema"]["properties"] = json!({"spec": spec});
        let (resource, served) = custom::rows(&definition).into_iter().next().unwrap();
        let row = Arc::new(Row::custom(resource, served));
        Target { row, namespace: "ns".to_owned(), name: String::new(), subresource: String::new() }
    }

    /// A selector of such objects.
    pub(crate) fn fields(strategy: &str, selector: &str) -> Fields {
        let mut fields = Fields::read(selector).unwrap();
        fields.check(&target(strategy)).unwrap();
        fields
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mainstay_store::Revision;
    use serde_json::json;

    use super::testing::{fields, target};
    use super::*;

    fn object(spec: &Value) -> CachedObject {
        let value = json!({"apiVersion": "g.io/v1", "kind": "A", "metadata": {"namespace": "ns", "name": "x"},
            "spec": spec});
        let key = Bytes::from_static(b"g.io/as\0ns\0x");
        CachedObject::new(key, value.to_string().into(), Revision(1)).unwrap()
    }

    #[test]
    fn a_custom_object_is_selected_by_its_own_fields_as_they_are_shown() {
        let selected = |selector: &str, spec: &Value| fields("None", selector).matches(&object(spec));
        assert!(selected("spec.host=b", &json!({"host": "b", "nodeName": "c"})));
        assert!(!selected("spec.host=c", &json!({"host": "b", "nodeName": "c"})));
        assert!(selected("spec.host=a", &json!({})), "the default is shown");
        assert!(selected("metadata.name=x,spec.host!=b", &json!({})));
        assert!(!selected("metadata.name=y,spec.host!=b", &json!({})));
    }

    #[test]
    fn what_a_webhook_has_to_convert_is_selected_afterwards() {
        let later = fields("Webhook", "metadata.name=x,spec.host=b");
        assert!(later.is_deferred());
        assert!(later.matches(&object(&json!({"host": "c"}))) && !later.fit(&json!({"spec": {"host": "c"}})));
        assert!(!fields("Webhook", "metadata.name=y,spec.host=b").matches(&object(&json!({"host": "b"}))));
        assert!(!fields("Webhook", "metadata.name=x").is_deferred());
    }

    #[test]
    fn only_fields_that_are_offered_can_be_asked_for() {
        let mut other = Fields::read("spec.port=1").unwrap();
        let refused = other.check(&target("None")).unwrap_err();
        assert_eq!(refused.message, "field label not supported: spec.port");
    }
}
