//! What an access review says of the list it asks about: as much of it as is understood counts.

use mainstay_api::names;
use mainstay_api::selector::{FieldSelector, LabelSelector};
use serde_json::Value;

/// A selector as far as it is understood.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// What is understood of fields, as text.
    pub(super) understood: String,
    /// Whether something is understood.
    some: bool,
    /// Whether something is not.
    faulty: bool,
}

impl Read {
    /// What the answer says of the selector in this field, if not all of it is understood.
    pub(super) fn fault(&self, field: &str) -> Option<String> {
        let how = if self.some { "partially ignored" } else { "ignored" };
        self.faulty.then(|| format!("spec.resourceAttributes.{field} {how} due to parse error"))
    }
}

/// Fields are compared with one value each.
pub(super) fn fields(selector: &Value) -> Read {
    if let Some(raw) = raw(selector) {
        let faulty = FieldSelector::parse(raw).is_err();
        let understood = if faulty { String::new() } else { raw.to_owned() };
        return Read { understood, some: !faulty, faulty };
    }
    let mut read = Read::default();
    let mut terms = Vec::new();
    for requirement in requirements(selector) {
        let operator = requirement["operator"].as_str().filter(|_| is_field(requirement));
        match (operator, values(requirement).as_slice()) {
            (Some("In"), [value]) => terms.push(term(requirement, "=", value)),
            (Some("NotIn"), [value]) => terms.push(term(requirement, "!=", value)),
            _ => read.faulty = true,
        }
    }
    read.some = !terms.is_empty();
    Read { understood: terms.join(","), ..read }
}

/// Labels are not looked at any further.
pub(super) fn labels(selector: &Value) -> Read {
    if let Some(raw) = raw(selector) {
        let faulty = LabelSelector::parse(raw).is_err();
        return Read { some: !faulty, faulty, ..Read::default() };
    }
    let clear = |requirement: &&Value| match requirement["operator"].as_str() {
        Some("In" | "NotIn") => values(requirement).iter().all(|value| names::is_label_value(value).is_empty()),
        operator => matches!(operator, Some("Exists" | "DoesNotExist")),
    };
    let all = requirements(selector);
    let understood = all.iter().filter(clear).count();
    Read { some: understood > 0, faulty: understood < all.len(), ..Read::default() }
}

fn raw(selector: &Value) -> Option<&str> {
    selector["rawSelector"].as_str().filter(|raw| !raw.is_empty())
}

fn requirements(selector: &Value) -> &[Value] {
    selector["requirements"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn values(requirement: &Value) -> Vec<&str> {
    requirement["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether what it is about is a field: other names would read as more than one requirement.
fn is_field(requirement: &Value) -> bool {
    requirement["key"].as_str().is_some_and(|key| !key.is_empty() && !key.contains([',', '=', '!', '\\']))
}

/// A requirement as the text of a selector has it.
fn term(requirement: &Value, operator: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
    format!("{}{operator}{value}", requirement["key"].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(operator: &str, values: &[&str]) -> Value {
        json!({"requirements": [{"key": "spec.nodeName", "operator": operator, "values": values}]})
    }

    #[test]
    fn what_is_understood_of_fields_counts() {
        assert_eq!(fields(&of("In", &["a,b"])).understood, "spec.nodeName=a\\,b");
        assert_eq!(fields(&of("NotIn", &["a"])).understood, "spec.nodeName!=a");
        assert_eq!(fields(&json!({"rawSelector": "a=b"})).understood, "a=b");
        assert_eq!(fields(&Value::Null), Read::default());
        let two = json!({"requirements": [{"key": "spec.nodeName=n,x", "operator": "In", "values": ["a"]}]});
        for odd in [two, of("In", &["a", "b"]), of("Exists", &[]), of("Like", &["a"]), json!({"rawSelector": "a"})] {
            let fault = fields(&odd).fault("fieldSelector").unwrap();
            assert_eq!(fault, "spec.resourceAttributes.fieldSelector ignored due to parse error");
        }
    }

    #[test]
    fn part_of_a_selector_may_be_understood() {
        let both = json!({"requirements": [
            {"key": "a", "operator": "In", "values": ["b"]}, {"key": "a", "operator": "Like", "values": ["b"]}]});
        let fault = "spec.resourceAttributes.x partially ignored due to parse error";
        assert_eq!(fields(&both).fault("x").as_deref(), Some(fault));
        assert_eq!(labels(&both).fault("x").as_deref(), Some(fault));
        assert!(labels(&json!({"rawSelector": "a in (b"})).fault("x").is_some());
        assert_eq!(labels(&of("Exists", &[])).fault("x"), None);
    }
}
