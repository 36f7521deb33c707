//! Creates that are really changes of pods: binding and eviction.

use std::sync::Arc;

use jiff::Timestamp;
use mainstay_api::meta;
use mainstay_api::selector::LabelSelector;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};

use super::commit::Answer;
use super::decode::Body;
use super::delete::check_preconditions;
use super::patch::Change;
use super::read::not_found;
use super::{Call, DeleteOptions, Engine, Target, Told, WriteOptions};
use crate::strategy;

/// The success that bindings and evictions answer with.
fn success() -> Answer {
    let bytes = Status::success(201, None).to_json().into();
    Answer { bytes, created: true, accepted: false, kind: Some("Status".into()) }
}

impl Engine {
    /// Assigns a pod to a node.
    pub(crate) async fn bind(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let binding = self.read_body(call, target, body, options)?;
        let target = self.pod_of(target, &binding);
        check_url_name(&target, &binding, "Binding")?;
        check_node(&binding)?;
        let binding = self.admit_asked(call, &target, binding, options).await?;
        let (binding, now) = (Arc::new(binding), call.now);
        let edit = Change::Edit(Arc::new(move |pod| assign(pod, &binding, now)));
        self.modify(call, &target, &edit, options).await?;
        Ok(success())
    }

    /// `bindings` names its pod in the body.
    fn pod_of(&self, target: &Target, binding: &Value) -> Target {
        match self.registry.find("", "v1", "pods") {
            Some(row) if target.resource() == "bindings" => {
                let name = meta::name(binding).to_owned();
                Target { row, namespace: target.namespace.clone(), name, subresource: "binding".into() }
            }
            _ => target.clone(),
        }
    }

    /// Deletes a pod if its disruption budget allows.
    pub(crate) async fn evict(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Answer> {
        let eviction = self.read_body(call, target, body, options)?;
        check_url_name(target, &eviction, "Eviction")?;
        check_rehearsals(&eviction, options.dry_run)?;
        let eviction = self.admit_asked(call, target, eviction, options).await?;
        let mut delete = DeleteOptions::parse(eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({})))?;
        delete.dry_run |= options.dry_run;
        let pod = target.whole();
        let live = self.live(&pod).await?.ok_or_else(|| not_found(&pod))?;
        if !needs_no_budget(&live.value)
            && let Some(budget) = self.budget_of(&pod, &live.value)?
        {
            self.spend(call, &pod, &live.value, &budget, &delete).await?;
        }
        if !meta::is_deleting(&live.value) {
            self.mark_disrupted(call, &pod, &mut delete).await?;
        }
        self.delete(call, &pod, &DeleteOptions { told: Told::Nothing, ..delete }).await?;
        Ok(success())
    }

    fn budget_of(&self, pod: &Target, object: &Value) -> ApiResult<Option<Arc<Value>>> {
        use crate::strategy::Reader;
        let budgets = self.reader.list("policy", "poddisruptionbudgets", Some(&pod.namespace));
        let mut matching = budgets.into_iter().filter(|budget| selects(budget, object));
        match (matching.next(), matching.next()) {
            (_, Some(_)) => Err(Status::plain(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )),
            (budget, None) => Ok(budget),
        }
    }

    async fn spend(
        &self,
        call: &mut Call,
        pod: &Target,
        object: &Value,
        budget: &Value,
        delete: &DeleteOptions,
    ) -> ApiResult<()> {
        if !is_ready(object) && may_evict_unready(budget) {
            return Ok(());
        }
        let row =
            self.registry.find("policy", "v1", "poddisruptionbudgets").ok_or_else(|| Status::internal("no budgets"))?;
        let name = meta::name(budget).to_owned();
        let target = Target { row, namespace: pod.namespace.clone(), name, subresource: "status".into() };
        let (pod_name, now) = (pod.name.clone(), mainstay_api::time::seconds(call.now));
        let edit = Change::Edit(Arc::new(move |budget| spend_one(budget, &pod_name, &now)));
        let options = WriteOptions { dry_run: delete.dry_run, ..WriteOptions::default() };
        self.modify(call, &target, &edit, &options).await.map(drop)
    }

    /// Says of the pod why it goes. A revision that it must have is from then on the one that this gives it.
    async fn mark_disrupted(&self, call: &mut Call, pod: &Target, delete: &mut DeleteOptions) -> ApiResult<()> {
        let now = mainstay_api::time::seconds(call.now);
        let (place, asked) = (pod.clone(), delete.clone());
        let edit = Change::Edit(Arc::new(move |pod: &mut Value| {
            check_preconditions(&place, pod, &asked)?;
            let condition = json!({"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting", "lastProbeTime": null, "lastTransitionTime": now});
            strategy::set_condition(pod, condition);
            Ok(())
        }));
        let target = Target { subresource: "status".into(), ..pod.clone() };
        let options = WriteOptions { dry_run: delete.dry_run, ..WriteOptions::default() };
        let marked = self.modify(call, &target, &edit, &options).await?;
        if let Some(revision) = &mut delete.resource_version {
            meta::resource_version(&crate::codec::decode(&marked.bytes)).clone_into(revision);
        }
        Ok(())
    }
}

fn check_url_name(target: &Target, body: &Value, kind: &str) -> ApiResult<()> {
    if meta::name(body) == target.name {
        return Ok(());
    }
    Err(Status::bad_request(format!("name in URL does not match name in {kind} object")))
}

/// An eviction that is asked for as a dry run must not ask for another one itself.
fn check_rehearsals(eviction: &Value, dry_run: bool) -> ApiResult<()> {
    let within = eviction.pointer("/deleteOptions/dryRun").and_then(Value::as_array);
    let within: Vec<&str> = within.into_iter().flatten().filter_map(Value::as_str).collect();
    if !dry_run || within.is_empty() || within == ["All"] {
        return Ok(());
    }
    let within = within.join(" ");
    Err(Status::plain(format!("Non-matching dry-run options in request and content: [All] and [{within}]")))
}

fn check_node(binding: &Value) -> ApiResult<()> {
    match node_faults(binding).as_slice() {
        [] => Ok(()),
        [one] => Err(Status::plain(one.clone())),
        many => Err(Status::plain(format!("[{}]", many.join(", ")))),
    }
}

/// What is wrong with the target of a binding.
fn node_faults(binding: &Value) -> Vec<String> {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut faults = Vec::new();
    let kind = text("/target/kind");
    if !matches!(kind, "" | "Node") {
        let kind = mainstay_api::field::go_quote(kind);
        faults.push(format!("target.kind: Unsupported value: {kind}: supported values: \"Node\", \"<empty>\""));
    }
    if text("/target/name").is_empty() {
        faults.push("target.name: Required value".to_owned());
    }
    faults
}

fn assign(pod: &mut Value, binding: &Value, now: Timestamp) -> ApiResult<()> {
    let name = meta::name(pod).to_owned();
    let refuse = |why: String| Err(Status::conflict_because("", "pods/binding", &name, why));
    if let Some(why) = unmet_precondition(pod, binding) {
        let key = format!("/registry/pods/{}/{name}", meta::namespace(pod));
        let why =
            format!("StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}");
        return Err(Status::conflict_because("", "pods", &name, why));
    }
    let node = binding["target"]["name"].as_str().unwrap_or_default();
    strategy::bind(pod, node, binding, now).or_else(refuse)
}

/// What a binding says of the pod it is for, and the pod is not.
fn unmet_precondition(pod: &Value, binding: &Value) -> Option<String> {
    let uids = ("UID", meta::uid(binding), meta::uid(pod));
    let versions = ("ResourceVersion", meta::resource_version(binding), meta::resource_version(pod));
    [uids, versions].into_iter().find_map(|(name, wanted, found)| {
        (!wanted.is_empty() && wanted != found)
            .then(|| format!("Precondition failed: {name} in precondition: {wanted}, {name} in object meta: {found}"))
    })
}

fn needs_no_budget(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str).unwrap_or("Pending");
    matches!(phase, "Pending" | "Succeeded" | "Failed") || meta::is_deleting(pod)
}

fn selects(budget: &Value, pod: &Value) -> bool {
    match budget.pointer("/spec/selector") {
        None | Some(Value::Null) => false,
        Some(selector) => LabelSelector::from_object(selector).is_ok_and(|selector| selector.matches_object(pod)),
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn may_evict_unready(budget: &Value) -> bool {
    let number = |field: &str| budget.pointer(&format!("/status/{field}")).and_then(Value::as_i64).unwrap_or(0);
    let always = budget.pointer("/spec/unhealthyPodEvictionPolicy").and_then(Value::as_str) == Some("AlwaysAllow");
    always || number("currentHealthy") >= number("desiredHealthy") && number("desiredHealthy") > 0
}

fn spend_one(budget: &mut Value, pod: &str, now: &str) -> ApiResult<()> {
    let number = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let name = meta::name(budget).to_owned();
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Err(refused(&format!("The disruption budget {name} is still being processed by the server."), 10));
    }
    let allowed = number("/status/disruptionsAllowed");
    if allowed <= 0 {
        return Err(refused(&why_nothing_is_allowed(budget), 0));
    }
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    if budget["status"].get("disruptedPods").is_none_or(Value::is_null) {
        budget["status"]["disruptedPods"] = json!({});
    }
    budget["status"]["disruptedPods"][pod] = now.into();
    if allowed == 1 {
        exhausted(budget, now);
    }
    Ok(())
}

/// A controller that could not work the budget out says so in a condition; its numbers mean nothing then.
fn why_nothing_is_allowed(budget: &Value) -> String {
    let number = |pointer: &str| budget.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let (healthy, desired) = (number("/status/currentHealthy"), number("/status/desiredHealthy"));
    let name = meta::name(budget);
    let denied = format!("The disruption budget {name} does not allow evicting pods currently");
    match disallowed(budget) {
        Some(("SyncFailed", message)) => format!("{denied} because it failed sync: {message}"),
        _ if healthy <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently")
        }
        Some((reason, message)) => format!("{denied} ({reason}): {message}"),
        None => denied,
    }
}

/// The reason and message of the condition that forbids disruptions, if there is a message.
fn disallowed(budget: &Value) -> Option<(&str, &str)> {
    let conditions = budget.pointer("/status/conditions").and_then(Value::as_array);
    let condition = conditions.into_iter().flatten().find(|condition| condition["type"] == "DisruptionAllowed")?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    (text("status") == "False" && !text("message").is_empty()).then(|| (text("reason"), text("message")))
}

/// The condition of a budget that allows nothing more.
fn exhausted(budget: &mut Value, now: &str) {
    let condition = json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "",
        "observedGeneration": budget.pointer("/status/observedGeneration").cloned().unwrap_or_else(|| json!(0)),
        "lastTransitionTime": now,
    });
    strategy::set_condition(budget, condition);
}

fn refused(why: &str, seconds: i32) -> Status {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    Status::too_many_requests(message, seconds).with_cause("DisruptionBudget", why, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{check_rehearsals, node_faults, unmet_precondition, why_nothing_is_allowed};

    #[test]
    fn a_binding_names_a_node() {
        assert!(node_faults(&json!({"target": {"kind": "Node", "name": "n"}})).is_empty());
        assert_eq!(
            node_faults(&json!({"target": {"kind": "Pod"}})),
            [
                "target.kind: Unsupported value: \"Pod\": supported values: \"Node\", \"<empty>\"",
                "target.name: Required value"
            ]
        );
    }

    #[test]
    fn the_dry_runs_of_an_eviction_and_its_request_agree() {
        let of = |within: &[&str]| json!({"deleteOptions": {"dryRun": within}});
        assert!(check_rehearsals(&of(&["All"]), true).is_ok());
        assert!(check_rehearsals(&of(&[]), true).is_ok());
        assert!(check_rehearsals(&of(&["Odd"]), false).is_ok());
        assert_eq!(
            check_rehearsals(&of(&["All", "Odd"]), true).unwrap_err().message,
            "Non-matching dry-run options in request and content: [All] and [All Odd]"
        );
    }

    #[test]
    fn a_budget_says_why_it_allows_nothing() {
        let why = |healthy: i64, reason: &str, message: &str| {
            let condition =
                json!({"type": "DisruptionAllowed", "status": "False", "reason": reason, "message": message});
            let status = json!({"currentHealthy": healthy, "desiredHealthy": 1, "conditions": [condition]});
            why_nothing_is_allowed(&json!({"metadata": {"name": "b"}, "status": status}))
        };
        let needs = "The disruption budget b needs 1 healthy pods and has 1 currently";
        let denied = "The disruption budget b does not allow evicting pods currently";
        assert_eq!(why(1, "InsufficientPods", ""), needs);
        assert_eq!(why(1, "SyncFailed", "no scale"), format!("{denied} because it failed sync: no scale"));
        assert_eq!(why(1, "Odd", "so"), needs);
        assert_eq!(why(2, "Odd", "so"), format!("{denied} (Odd): so"));
        assert_eq!(why(2, "InsufficientPods", ""), denied);
    }

    #[test]
    fn a_binding_may_name_the_pod_it_is_for() {
        let pod = json!({"metadata": {"uid": "u", "resourceVersion": "7"}});
        let why = |metadata| unmet_precondition(&pod, &json!({"metadata": metadata})).unwrap_or_default();
        assert_eq!(why(json!({"name": "a"})), "");
        assert_eq!(why(json!({"uid": "u", "resourceVersion": "7"})), "");
        assert_eq!(
            why(json!({"uid": "x", "resourceVersion": "6"})),
            "Precondition failed: UID in precondition: x, UID in object meta: u"
        );
        assert_eq!(
            why(json!({"resourceVersion": "6"})),
            "Precondition failed: ResourceVersion in precondition: 6, ResourceVersion in object meta: 7"
        );
    }
}
