//! Mutating and validating webhooks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::{
    Shared, client, configurations, ignores_failure, is_exempt, list, matching, patching, review, scope, text,
};
use crate::admission::{Attributes, Operation, Plugin};
use crate::registry::Row;

const DEFAULT_TIMEOUT: u64 = 10;

/// `MutatingAdmissionWebhook`.
pub(super) struct MutatingWebhooks(pub Arc<Shared>);

/// `ValidatingAdmissionWebhook`.
pub(super) struct ValidatingWebhooks(pub Arc<Shared>);

/// What a webhook answered.
struct Verdict {
    allowed: bool,
    status: Value,
    patch: Option<Value>,
    warnings: Vec<String>,
}

/// A webhook that is about the request, with the rows that it wants and that the request has.
struct Chosen<'h> {
    hook: &'h Value,
    wanted: Arc<Row>,
    own: Arc<Row>,
}

/// The webhook, if it is about the request. A condition that fails follows the failure policy.
fn choose<'h>(shared: &Shared, hook: &'h Value, request: &Attributes<'_>) -> ApiResult<Option<Chosen<'h>>> {
    let Some(wanted) = matching::find(hook, "rules", request, &shared.registry) else { return Ok(None) };
    let resource = request.resource;
    let Some(own) = shared.registry.find(&resource.group, &resource.version, &resource.resource) else {
        return Ok(None);
    };
    let conditions = list(hook, "/matchConditions");
    if !conditions.is_empty() {
        let scope = scope::Review::new(shared, request, &wanted, &own, None, &[]);
        match scope.conditions(conditions) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(_) if ignores_failure(hook) => return Ok(None),
            Err(why) => {
                return Err(Status::forbidden(&resource.group, &resource.resource, matching::name(request), why));
            }
        }
    }
    Ok(Some(Chosen { hook, wanted, own }))
}

fn failed(hook: &Value, why: &str) -> Status {
    Status::internal(format!("failed calling webhook \"{}\": {why}", text(hook, "/name")))
}

impl Chosen<'_> {
    /// Calls the webhook; `None` if it failed and may be ignored.
    async fn ask(&self, request: &Attributes<'_>, mutating: bool) -> ApiResult<Option<Verdict>> {
        self.check_dry_run(request)?;
        let seconds = self.hook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(DEFAULT_TIMEOUT);
        let versions = list(self.hook, "/admissionReviewVersions").iter().filter_map(Value::as_str);
        let version = versions.into_iter().find(|version| matches!(*version, "v1" | "v1beta1")).unwrap_or("v1");
        let uid = uuid::Uuid::new_v4().to_string();
        let body = review::review(request, &self.wanted, &self.own, version, &uid);
        let nothing = Value::Null;
        let config = self.hook.get("clientConfig").unwrap_or(&nothing);
        let answer = client::call(config, &body, Duration::from_secs(seconds), request.reader).await;
        let verdict = answer
            .map_err(|why| format!("failed to call webhook: {why}"))
            .and_then(|answer| verdict(&answer, version, &uid, mutating));
        match verdict {
            Ok(verdict) => Ok(Some(verdict)),
            Err(why) if ignores_failure(self.hook) => {
                tracing::warn!(webhook = text(self.hook, "/name"), why, "a webhook failed and is ignored");
                Ok(None)
            }
            Err(why) => Err(failed(self.hook, &why)),
        }
    }

    fn check_dry_run(&self, request: &Attributes<'_>) -> ApiResult<()> {
        let effects = text(self.hook, "/sideEffects");
        if request.dry_run && !matches!(effects, "None" | "NoneOnDryRun") {
            let name = text(self.hook, "/name");
            return Err(Status::bad_request(format!("admission webhook \"{name}\" does not support dry run")));
        }
        Ok(())
    }
}

fn verdict(answer: &Value, version: &str, uid: &str, mutating: bool) -> Result<Verdict, String> {
    let found = text(answer, "/apiVersion");
    let wanted = format!("admission.k8s.io/{version}");
    if text(answer, "/kind") != "AdmissionReview" || found != wanted {
        let (kind, found) = (text(answer, "/kind"), found.rsplit('/').next().unwrap_or_default());
        return Err(format!(
            "failed to call webhook: converting ({found}.{kind}) to ({version}.AdmissionReview): unknown conversion"
        ));
    }
    let Some(response) = answer.get("response").filter(|response| response.is_object()) else {
        return Err("received invalid webhook response: webhook response was absent".to_owned());
    };
    let own = text(response, "/uid");
    if own != uid {
        return Err(format!("received invalid webhook response: expected response.uid=\"{uid}\", got \"{own}\""));
    }
    if version == "v1" {
        well_formed(response, mutating).map_err(|why| format!("received invalid webhook response: {why}"))?;
    }
    let allowed = response["allowed"] == true;
    // Nobody looks at what a refusal would have changed.
    let patch = if allowed && mutating { patch_of(response, version)? } else { None };
    Ok(Verdict {
        allowed,
        status: response.get("status").cloned().unwrap_or_default(),
        patch,
        warnings: list(response, "/warnings").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    })
}

/// A patch comes with its type, and only from those that are asked for one.
fn well_formed(response: &Value, mutating: bool) -> Result<(), String> {
    let (patch, kind) = (!text(response, "/patch").is_empty(), response.get("patchType").and_then(Value::as_str));
    let why = match (mutating, patch, kind) {
        (true, true, None) => "webhook returned response.patch but not response.patchType",
        (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (false, true, _) => "validating webhook may not return response.patch",
        (false, false, Some(_)) => "validating webhook may not return response.patchType",
        _ => return Ok(()),
    };
    Err(why.to_owned())
}

fn patch_of(response: &Value, version: &str) -> Result<Option<Value>, String> {
    let encoded = text(response, "/patch");
    if encoded.is_empty() {
        return Ok(None);
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|error| error.to_string())?;
    let undecodable = |why: String| format!("received undecodable patch in webhook response: {why}");
    let patch = mainstay_api::json::parse(&bytes).map_err(undecodable)?;
    if !patch.is_array() {
        let kind = mainstay_api::json::type_name(&patch);
        return Err(undecodable(format!("json: cannot unmarshal {kind} into Go value of type jsonpatch.Patch")));
    }
    match text(response, "/patchType") {
        "JSONPatch" => Ok(Some(patch)),
        _ if version == "v1beta1" => Ok(Some(patch)),
        other => Err(format!("unsupported patch type {}", mainstay_api::field::go_quote(other))),
    }
}

/// The refusal that a webhook asked for.
fn denied(hook: &Value, verdict: &Verdict) -> Status {
    let (name, status) = (text(hook, "/name"), &verdict.status);
    let own = match (text(status, "/message"), text(status, "/reason")) {
        ("", "") => format!("admission webhook \"{name}\" denied the request without explanation"),
        ("", reason) => format!("admission webhook \"{name}\" denied the request: {reason}"),
        (message, _) => format!("admission webhook \"{name}\" denied the request: {message}"),
    };
    let code = status.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let code = code.filter(|code| *code >= 400).unwrap_or(400);
    Status::failure(code, text(status, "/reason").to_owned(), own)
}

fn hooks(request: &Attributes<'_>, resource: &str) -> Vec<Value> {
    let all = configurations(request, resource);
    all.iter().flat_map(|configuration| list(configuration, "/webhooks").to_vec()).collect()
}

/// Whether what a webhook changes has a way back into the object: a deletion stores none, a `Scale` is not one.
fn may_change(request: &Attributes<'_>) -> bool {
    request.operation != Operation::Delete && request.subresource != "scale"
}

fn warn(request: &mut Attributes<'_>, verdict: &Verdict) {
    request.warnings.extend(verdict.warnings.iter().cloned());
}

#[async_trait]
impl Plugin for MutatingWebhooks {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        self.all(request).await
    }

    /// A deletion has no mutating phase, but these webhooks may refuse it too.
    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if request.operation == Operation::Delete { self.all(request).await } else { Ok(()) }
    }
}

impl MutatingWebhooks {
    async fn all(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_exempt(request) {
            return Ok(());
        }
        let hooks = hooks(request, "mutatingwebhookconfigurations");
        // What the object was after each hook that wants to see later changes.
        let mut again: Vec<(usize, Option<Value>)> = Vec::new();
        for (index, hook) in hooks.iter().enumerate() {
            if self.one(hook, request).await? && text(hook, "/reinvocationPolicy") == "IfNeeded" {
                again.push((index, request.object.clone()));
            }
        }
        for (index, seen) in again {
            if seen != request.object {
                self.one(&hooks[index], request).await?;
            }
        }
        Ok(())
    }

    /// Whether the hook was called.
    async fn one(&self, hook: &Value, request: &mut Attributes<'_>) -> ApiResult<bool> {
        let Some(chosen) = choose(&self.0, hook, request)? else { return Ok(false) };
        let Some(verdict) = chosen.ask(request, true).await? else { return Ok(true) };
        warn(request, &verdict);
        if !verdict.allowed {
            return Err(denied(hook, &verdict));
        }
        let Some(patch) = verdict.patch.filter(|patch| patch.as_array().is_some_and(|list| !list.is_empty())) else {
            return Ok(true);
        };
        if request.operation == Operation::Delete {
            let name = text(hook, "/name");
            let why = "attempted to modify the object, which is not supported for this operation";
            return Err(Status::internal(format!("admission webhook \"{name}\" {why}")));
        }
        let Some(object) = request.object.clone().filter(|_| may_change(request)) else {
            return Ok(true);
        };
        let seen = review::in_version(&object, &chosen.wanted);
        let patched = patching::apply(&seen, &patch).map_err(Status::internal)?;
        request.object = Some(patching::settle(patched, &object, &chosen.own)?);
        Ok(true)
    }
}

#[async_trait]
impl Plugin for ValidatingWebhooks {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    async fn validate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_exempt(request) {
            return Ok(());
        }
        let hooks = hooks(request, "validatingwebhookconfigurations");
        let mut chosen = Vec::new();
        for hook in &hooks {
            chosen.extend(choose(&self.0, hook, request)?);
        }
        // They are asked at once, and the first in order that refuses counts.
        let asked = futures::future::join_all(chosen.iter().map(|chosen| chosen.ask(request, false))).await;
        let mut refusal = None;
        for (chosen, verdict) in chosen.iter().zip(asked) {
            let refused = match verdict {
                Ok(None) => None,
                Ok(Some(verdict)) => {
                    warn(request, &verdict);
                    (!verdict.allowed).then(|| denied(chosen.hook, &verdict))
                }
                Err(status) => Some(status),
            };
            refusal = refusal.or(refused);
        }
        refusal.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(response: &Value) -> Result<Verdict, String> {
        verdict(
            &json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response}),
            "v1",
            "u",
            true,
        )
    }

    #[test]
    fn an_answer_must_be_to_this_request() {
        let why = answer(&json!({"uid": "x", "allowed": true})).err().unwrap();
        assert_eq!(why, "received invalid webhook response: expected response.uid=\"u\", got \"x\"");
        assert!(answer(&json!({"uid": "u", "allowed": true})).unwrap().allowed);
    }

    #[test]
    fn a_patch_is_a_list_in_base64() {
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let response = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": encode("[]")});
        assert_eq!(answer(&response).unwrap().patch, Some(json!([])));
        let response = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": encode("{}")});
        assert!(
            answer(&response).err().unwrap().contains("cannot unmarshal object into Go value of type jsonpatch.Patch")
        );
    }

    #[test]
    fn a_patch_comes_with_its_type_and_from_who_may_change() {
        let with = |mutating: bool, response: Value| super::well_formed(&response, mutating).err().unwrap_or_default();
        assert_eq!(with(true, json!({"patchType": "JSONPatch", "patch": "W10="})), "");
        assert!(with(true, json!({"patch": "W10="})).contains("not response.patchType"));
        assert!(with(true, json!({"patchType": "JSONPatch"})).contains("not response.patch"));
        assert!(with(false, json!({"patchType": "JSONPatch", "patch": "W10="})).contains("may not return"));
        let refusal = json!({"uid": "u", "allowed": false, "patchType": "Odd", "patch": "e30="});
        assert!(!answer(&refusal).unwrap().allowed);
    }

    #[test]
    fn a_denial_says_who_and_why() {
        let hook = json!({"name": "h.example.com"});
        let verdict = answer(&json!({"uid": "u", "allowed": false, "status": {"message": "no", "code": 403}})).unwrap();
        let status = denied(&hook, &verdict);
        assert_eq!(
            (status.code(), &*status.message),
            (403, "admission webhook \"h.example.com\" denied the request: no")
        );
    }
}
