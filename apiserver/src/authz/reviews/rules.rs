//! What may I do here?

use super::{Review, answered};
use crate::authz::Rule;
use crate::authz::node::node_name;
use mainstay_api::field::aggregate;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value, json};

pub(super) fn check(object: &Value) -> ApiResult<()> {
    if namespace(object).is_empty() { Err(Status::bad_request("no namespace on request")) } else { Ok(()) }
}

fn namespace(object: &Value) -> &str {
    object["spec"]["namespace"].as_str().unwrap_or_default()
}

pub(super) fn own(object: &Value, review: &Review<'_>) -> Value {
    let namespace = namespace(object);
    let (rules, mut problems) = review.authorizer.rules_for(review.user, namespace);
    // What a node may do follows from its pods, which no rules tell.
    let of_node = node_name(review.user).is_some();
    if of_node {
        problems.insert(0, "node authorizer does not support user rule resolution".to_owned());
    }
    let resources: Vec<Value> = rules.iter().filter(|rule| rule.urls.is_empty()).map(resource_rule).collect();
    let urls: Vec<Value> = rules.iter().filter(|rule| !rule.urls.is_empty()).map(url_rule).collect();
    let mut status = json!({"resourceRules": resources, "nonResourceRules": urls, "incomplete": of_node});
    if !problems.is_empty() {
        status["evaluationError"] = Value::String(aggregate(&problems));
    }
    answered(object, json!({}), json!({}), status)
}

fn resource_rule(rule: &Rule) -> Value {
    fields(&[
        ("verbs", &rule.verbs),
        ("apiGroups", &rule.groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.names),
    ])
}

fn url_rule(rule: &Rule) -> Value {
    fields(&[("verbs", &rule.verbs), ("nonResourceURLs", &rule.urls)])
}

fn fields(lists: &[(&str, &Vec<String>)]) -> Value {
    let filled = lists.iter().filter(|(_, list)| !list.is_empty());
    Value::Object(filled.map(|(name, list)| ((*name).to_owned(), json!(list))).collect::<Map<_, _>>())
}
