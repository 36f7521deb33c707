//! Mutating and validating webhooks.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mainstay_api::field::go_json;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::patching::{self, Author};
use super::verdict::{Verdict, denied, verdict};
use super::{Shared, client, configurations, ignores_failure, is_exempt, list, matching, review, scope, text};
use crate::admission::{Attributes, Operation, Plugin};
use crate::registry::Row;

const DEFAULT_TIMEOUT: u64 = 10;
const MUTATING: &str = "MutatingAdmissionWebhook";
/// Under this the audit log is told of mutating webhooks.
const MUTATION: &str = "mutation.webhook.admission.k8s.io";

/// `MutatingAdmissionWebhook`.
pub(super) struct MutatingWebhooks(pub Arc<Shared>);

/// `ValidatingAdmissionWebhook`.
pub(super) struct ValidatingWebhooks(pub Arc<Shared>);

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

/// The webhooks of configurations, each with what tells it from the others as long as nobody changes its own one.
fn hooks(configurations: &[Arc<Value>]) -> Vec<(String, &Value)> {
    let keyed = |configuration| {
        let name = meta::name(configuration);
        let hooks = list(configuration, "/webhooks").iter().enumerate();
        hooks.map(move |(index, hook)| (format!("{name}/{index}"), hook))
    };
    configurations.iter().map(Arc::as_ref).flat_map(keyed).collect()
}

/// Whether what a webhook changes has a way back into the object: a deletion stores none, a `Scale` is not one.
fn may_change(request: &Attributes<'_>) -> bool {
    request.operation != Operation::Delete && request.subresource != "scale"
}

/// Passes on what a webhook says to the client and to the audit log.
fn heard(request: &mut Attributes<'_>, hook: &Value, verdict: &Verdict) {
    request.warnings.extend(verdict.warnings.iter().cloned());
    for (key, value) in &verdict.notes {
        request.notes.add(format!("{}/{key}", text(hook, "/name")), value.as_str());
    }
}

#[async_trait]
impl Plugin for MutatingWebhooks {
    fn name(&self) -> &'static str {
        MUTATING
    }

    /// They see deletions too, which they may refuse.
    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        if is_exempt(request) {
            return Ok(());
        }
        let configurations = configurations(request, "mutatingwebhookconfigurations");
        let hooks = hooks(&configurations);
        if hooks.is_empty() {
            return Ok(());
        }
        request.rounds.begin(MUTATING, request.object.as_ref());
        for (index, (key, hook)) in hooks.into_iter().enumerate() {
            self.one(hook, key, index, request).await?;
        }
        request.rounds.end(MUTATING, request.object.as_ref());
        Ok(())
    }
}

/// A call of a webhook, as the audit log names it.
struct Told<'h> {
    configuration: &'h str,
    webhook: &'h str,
    /// The round, and the webhook's place among all.
    place: String,
}

impl Told<'_> {
    /// Whether the webhook has changed the object.
    fn called(&self, request: &mut Attributes<'_>, changed: bool) {
        let Self { configuration, webhook, place } = self;
        let value = format!(r#"{{"configuration":"{configuration}","webhook":"{webhook}","mutated":{changed}}}"#);
        request.notes.add(format!("{MUTATION}/{place}"), value);
    }

    /// The webhook has failed, and nobody minded.
    fn failed_open(&self, request: &mut Attributes<'_>) {
        request.notes.add(format!("failed-open.{MUTATION}/{}", self.place), self.webhook);
    }

    /// How the webhook has changed the object.
    fn patched(&self, request: &mut Attributes<'_>, operations: &[Value]) {
        let Self { configuration, webhook, place } = self;
        let patch = go_json(&Value::from(operations));
        let value = format!(
            r#"{{"configuration":"{configuration}","webhook":"{webhook}","patch":{patch},"patchType":"JSONPatch"}}"#
        );
        request.notes.add_of_body(format!("patch.webhook.admission.k8s.io/{place}"), value);
    }
}

impl MutatingWebhooks {
    /// Calls a hook that is about the request, in the second round only if it has asked for that.
    async fn one(&self, hook: &Value, key: String, index: usize, request: &mut Attributes<'_>) -> ApiResult<()> {
        let Some(chosen) = choose(&self.0, hook, request)?.filter(|_| request.rounds.calls(MUTATING, &key)) else {
            return Ok(());
        };
        let told = Told {
            configuration: key.split('/').next().unwrap_or_default(),
            webhook: text(hook, "/name"),
            place: format!("round_{}_index_{index}", request.rounds.number()),
        };
        let outcome = chosen.ask(request, true).await;
        if let Ok(None) = outcome {
            told.failed_open(request);
        }
        let outcome = outcome.and_then(|verdict| chosen.heed(request, verdict, &told));
        told.called(request, outcome == Ok(true));
        let changed = outcome?;
        let again = text(hook, "/reinvocationPolicy") == "IfNeeded";
        request.rounds.called(MUTATING, key, changed, again);
        Ok(())
    }
}

impl Chosen<'_> {
    /// Does what a mutating webhook says, if it has said anything; whether that changes the object.
    fn heed(&self, request: &mut Attributes<'_>, verdict: Option<Verdict>, told: &Told<'_>) -> ApiResult<bool> {
        let Some(verdict) = verdict else { return Ok(false) };
        heard(request, self.hook, &verdict);
        if !verdict.allowed {
            return Err(denied(self.hook, &verdict));
        }
        if verdict.patch.is_empty() { Ok(false) } else { self.change(request, &verdict.patch, told) }
    }

    /// Makes of the object what the webhook asks for; whether that is another one.
    fn change(&self, request: &mut Attributes<'_>, operations: &[Value], told: &Told<'_>) -> ApiResult<bool> {
        if request.operation == Operation::Delete {
            let name = text(self.hook, "/name");
            let why = "attempted to modify the object, which is not supported for this operation";
            return Err(Status::internal(format!("admission webhook \"{name}\" {why}")));
        }
        let Some(object) = request.object.as_ref().filter(|_| may_change(request)) else { return Ok(false) };
        let seen = review::in_version(object, &self.wanted);
        let patched = patching::patched(&seen, operations, &self.own).map_err(Status::internal)?;
        let settled = patching::settle(patched, object, &self.own, Author::Webhook)?;
        let changed = settled != *object;
        request.object = Some(settled);
        told.patched(request, operations);
        Ok(changed)
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
        let configurations = configurations(request, "validatingwebhookconfigurations");
        let mut chosen = Vec::new();
        for (_, hook) in hooks(&configurations) {
            chosen.extend(choose(&self.0, hook, request)?);
        }
        // They are asked at once, and the first in order that refuses counts.
        let asked = futures::future::join_all(chosen.iter().map(|chosen| chosen.ask(request, false))).await;
        let mut refusal = None;
        // Unlike those that change things, they are numbered as far as they are about the request.
        for (index, (chosen, verdict)) in chosen.iter().zip(asked).enumerate() {
            let refused = match verdict {
                Ok(None) => {
                    let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                    request.notes.add(key, text(chosen.hook, "/name"));
                    None
                }
                Ok(Some(verdict)) => {
                    heard(request, chosen.hook, &verdict);
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
    use crate::extension::tests::creation;
    use crate::registry::Registry;
    use crate::strategy::testing::Objects;
    use crate::user::UserInfo;

    #[test]
    fn the_audit_log_is_told_how_an_object_is_changed() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        let (objects, user) = (Objects::default(), UserInfo::default());
        let mut request = creation(&row.resource, &user, &objects);
        let hook = json!({"name": "h.example.com"});
        let chosen = Chosen { hook: &hook, wanted: row.clone(), own: row.clone() };
        let told = Told { configuration: "w", webhook: "h.example.com", place: "round_1_index_2".to_owned() };
        let operations = [json!({"op": "add", "path": "/data/c", "value": "<"})];
        assert!(chosen.change(&mut request, &operations, &told).unwrap());
        let said = request.notes.get("patch.webhook.admission.k8s.io/round_1_index_2").unwrap();
        let patch = r#"[{"op":"add","path":"/data/c","value":"\u003c"}]"#;
        let named = r#"{"configuration":"w","webhook":"h.example.com""#;
        assert_eq!(said, format!(r#"{named},"patch":{patch},"patchType":"JSONPatch"}}"#));
    }
}
