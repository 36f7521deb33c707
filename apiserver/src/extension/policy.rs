//! What validating and mutating policies have in common: bindings and parameters.

use std::sync::Arc;

use mainstay_api::meta;
use mainstay_api::selector::LabelSelector;
use serde_json::Value;

use super::{Shared, configurations, list, matching, text};
use crate::admission::Attributes;
use crate::registry::Row;

/// A policy that is about a request.
pub(super) struct Applicable {
    pub policy: Arc<Value>,
    pub wanted: Arc<Row>,
    pub own: Arc<Row>,
    /// The bindings, by name, that are about the request; none if there are only others.
    pub bindings: Vec<Arc<Value>>,
}

impl Applicable {
    /// A list of the policy's spec.
    pub fn list(&self, field: &str) -> &[Value] {
        list(&self.policy, &format!("/spec/{field}"))
    }

    /// Whether failures of the policy let the request pass.
    pub fn ignores_failure(&self) -> bool {
        text(&self.policy, "/spec/failurePolicy") == "Ignore"
    }

    /// Name of the policy.
    pub fn name(&self) -> &str {
        meta::name(&self.policy)
    }
}

/// The policies of a resource that are about the request and bound by anything.
pub(super) fn applicable(shared: &Shared, request: &Attributes<'_>, policies: &str, bindings: &str) -> Vec<Applicable> {
    let policies = configurations(request, policies);
    if policies.is_empty() {
        return Vec::new();
    }
    let bindings = configurations(request, bindings);
    let resource = request.resource;
    let Some(own) = shared.registry.find(&resource.group, &resource.version, &resource.resource) else {
        return Vec::new();
    };
    let found = policies.into_iter().filter_map(|policy| {
        let is_bound = |binding: &&Arc<Value>| text(binding, "/spec/policyName") == meta::name(&policy);
        let bound: Vec<&Arc<Value>> = bindings.iter().filter(is_bound).collect();
        let constraints = policy.pointer("/spec/matchConstraints").filter(|_| !bound.is_empty())?;
        let wanted = matching::find(constraints, "resourceRules", request, &shared.registry)?;
        let fits = |binding: &&Arc<Value>| match binding.pointer("/spec/matchResources") {
            Some(constraint) if !constraint.is_null() => {
                matching::find(constraint, "resourceRules", request, &shared.registry).is_some()
            }
            _ => true,
        };
        let bindings: Vec<Arc<Value>> = bound.into_iter().filter(fits).cloned().collect();
        Some(Applicable { wanted, own: own.clone(), bindings, policy: policy.clone() })
    });
    found.collect()
}

/// What parameters of a policy are; `None` if it takes none.
///
/// # Errors
/// In Kubernetes' words, if there is no such resource; then the policy is at fault under every binding.
pub(super) fn parameter_row(shared: &Shared, policy: &Value) -> Result<Option<Arc<Row>>, String> {
    let Some(kind) = policy.pointer("/spec/paramKind").filter(|kind| kind.is_object()) else { return Ok(None) };
    let (api_version, name) = (text(kind, "/apiVersion"), text(kind, "/kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let missing = || {
        let kind = format!("{group}/{version}, Kind={name}");
        format!("failed to configure policy: failed to find resource referenced by paramKind: '{kind}'")
    };
    shared.registry.by_kind(group, version, name).ok_or_else(missing).map(Some)
}

/// The parameters of a binding, with each of which the policy runs; `None` stands for none.
///
/// # Errors
/// In Kubernetes' words, if they are not there and must be.
pub(super) fn parameters(
    request: &Attributes<'_>,
    row: Option<&Row>,
    binding: &Value,
) -> Result<Vec<Option<Arc<Value>>>, String> {
    let reference = binding.pointer("/spec/paramRef").filter(|reference| reference.is_object());
    let (Some(row), Some(reference)) = (row, reference) else { return Ok(vec![None]) };
    let failed = |why: &str| Err(format!("failed to configure binding: {why}"));
    let own = text(reference, "/namespace");
    let namespace = match (row.resource.namespaced, own, matching::stated_namespace(request)) {
        (false, "", _) => "",
        (false, ..) => return failed("paramRef.namespace must not be provided for a cluster-scoped `paramKind`"),
        (true, "", "") => {
            return failed("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources");
        }
        (true, "", of_request) => of_request,
        (true, own, _) => own,
    };
    let found = read(request, row, namespace, reference);
    if !found.is_empty() {
        return Ok(found.into_iter().map(Some).collect());
    }
    match text(reference, "/parameterNotFoundAction") {
        "Allow" => Ok(Vec::new()),
        _ => failed("no params found for policy binding with `Deny` parameterNotFoundAction"),
    }
}

fn read(request: &Attributes<'_>, row: &Row, namespace: &str, reference: &Value) -> Vec<Arc<Value>> {
    let (group, resource) = (&row.storage_group, &row.resource.resource);
    let name = text(reference, "/name");
    if !name.is_empty() {
        return request.reader.get(group, resource, namespace, name).into_iter().collect();
    }
    let selector = reference.get("selector").filter(|selector| !selector.is_null());
    let Some(selector) = selector.and_then(|selector| LabelSelector::from_object(selector).ok()) else {
        return Vec::new();
    };
    let within = row.resource.namespaced.then_some(namespace);
    let all = request.reader.list(group, resource, within);
    all.into_iter().filter(|object| selector.matches_object(object)).collect()
}
