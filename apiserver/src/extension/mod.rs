//! Admission by what users configure: webhooks, and policies written in CEL.
//!
//! [`matching`] decides what a configuration is about, [`review`] shows a request to webhooks, [`scope`] shows it to
//! CEL. Every call to a webhook has a deadline and every expression a budget.

mod answer;
mod asker;
mod client;
pub(crate) mod conversion;
pub(crate) mod expressions;
mod matching;
mod mutating;
mod patching;
mod policy;
mod review;
mod scope;
mod validating;
mod verdict;
mod webhooks;

use std::sync::Arc;

pub(crate) use client::server_verifier;
use mainstay_api::meta;
use serde_json::Value;

use crate::admission::{Attributes, Plugin};
use crate::authz::Authorizer;
use crate::registry::Registry;

const GROUP: &str = "admissionregistration.k8s.io";

/// What all of these plugins share.
pub(crate) struct Shared {
    registry: Arc<Registry>,
    authorizer: Arc<Authorizer>,
    programs: scope::Programs,
}

/// The plugins, in Kubernetes' order.
pub(crate) fn plugins(registry: Arc<Registry>, authorizer: Arc<Authorizer>) -> Vec<Box<dyn Plugin>> {
    let shared = Arc::new(Shared { registry, authorizer, programs: scope::Programs::default() });
    vec![
        Box::new(mutating::MutatingPolicies(shared.clone())),
        Box::new(webhooks::MutatingWebhooks(shared.clone())),
        Box::new(validating::ValidatingPolicies(shared.clone())),
        Box::new(webhooks::ValidatingWebhooks(shared)),
    ]
}

/// Configurations of admission are not subject to it, so that a broken one can be mended.
fn is_exempt(request: &Attributes<'_>) -> bool {
    let name = request.resource.resource.as_str();
    request.resource.group == GROUP && (name.contains("webhookconfigurations") || name.contains("admissionpolic"))
}

/// Policies do not judge what asks who somebody is and what they may do either.
fn is_beyond_policies(request: &Attributes<'_>) -> bool {
    let group = request.resource.group.as_str();
    let asks = matches!(group, "authentication.k8s.io" | "authorization.k8s.io");
    is_exempt(request) || (asks && request.resource.resource.ends_with("reviews"))
}

/// The configurations of a resource, by name.
fn configurations(request: &Attributes<'_>, resource: &str) -> Vec<Arc<Value>> {
    let mut found = request.reader.list(GROUP, resource, None);
    found.sort_by(|a, b| meta::name(a).cmp(meta::name(b)));
    found
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a configuration lets requests pass when it fails.
fn ignores_failure(value: &Value) -> bool {
    value.get("failurePolicy").and_then(Value::as_str) == Some("Ignore")
}

#[cfg(test)]
mod tests;
