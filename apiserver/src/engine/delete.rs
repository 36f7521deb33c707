//! Deleting: preconditions, finalizers, dependents, and graceful deletion.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use mainstay_api::meta;
use mainstay_api::resource::{DeleteReturns, GarbagePolicy};
use mainstay_api::status::{ApiResult, Details, Status};
use serde_json::{Value, json};

use super::commit::{Answer, Finished, Plan};
use super::read::not_found;
use super::{Call, DeleteOptions, Engine, Live, Propagation, Target};
use crate::strategy::Context;

const TRIES: usize = 32;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// What a deletion does to the object.
enum Verdict {
    /// It goes.
    Remove,
    /// It is marked; finalizers or the agent finish it.
    Mark(Value),
    /// It is marked and goes at once: watchers see both.
    MarkAndRemove(Value),
    /// Its deletion is under way already.
    Pending,
}

impl Engine {
    /// Deletes an object.
    ///
    /// # Errors
    /// 404; 409 for preconditions that do not hold; what admission refuses.
    pub async fn delete(&self, call: &mut Call, target: &Target, options: &DeleteOptions) -> ApiResult<Answer> {
        target.row.strategy.delete_warnings(options).into_iter().for_each(|warning| call.warn(warning));
        for _ in 0..TRIES {
            let live = self.live(target).await?.ok_or_else(|| not_found(target))?;
            let (plan, again) = self.plan_delete(call, target, &live, options).await?;
            let removed = matches!(plan.ops.first(), Some(mainstay_store::Op::Delete { .. }));
            let Finished::Answer(answer) = self.finish(call, target, plan, options.dry_run).await? else { continue };
            if again && !options.dry_run {
                let last = DeleteOptions { grace: Some(0), resource_version: None, ..options.clone() };
                return Box::pin(self.delete(call, target, &last)).await.or_else(|error| gone_is_fine(error, answer));
            }
            return Ok(outcome(target, answer, removed || again, options));
        }
        Err(Status::conflict(target.group(), target.resource(), &target.name))
    }

    /// All steps up to the proposal; the flag says that the marked object is to be removed in a second step.
    pub(crate) async fn plan_delete(
        &self,
        call: &mut Call,
        target: &Target,
        live: &Live,
        options: &DeleteOptions,
    ) -> ApiResult<(Plan, bool)> {
        check_preconditions(target, &live.value, options)?;
        let verdict = verdict(&self.context(call, target, options.dry_run), target, &live.value, options);
        // What is under way has been admitted already.
        if !matches!(verdict, Verdict::Pending) {
            self.admit_delete(call, target, &live.value, options).await?;
        }
        let (plan, again) = match verdict {
            Verdict::Pending => (Plan::unchanged(live.bytes.clone()), false),
            Verdict::Remove => (self.removal(call, target, live).await?, false),
            Verdict::Mark(object) => (self.mark_plan(target, live, &object).await?, false),
            Verdict::MarkAndRemove(object) => (self.mark_plan(target, live, &object).await?, true),
        };
        let accepted =
            options.not_orphaning && !again && !matches!(plan.ops.first(), Some(mainstay_store::Op::Delete { .. }));
        Ok((Plan { accepted, ..plan }, again))
    }

    async fn mark_plan(&self, target: &Target, live: &Live, object: &Value) -> ApiResult<Plan> {
        if super::managed::same_but_for_times(object, &live.value) {
            return Ok(Plan::unchanged(live.bytes.clone()));
        }
        let encoded = self.encode(&target.row, object).await?;
        Ok(Plan::replace(target.key(), live.revision, encoded))
    }
}

fn gone_is_fine(error: Status, answer: Answer) -> ApiResult<Answer> {
    if error.code() == 404 { Ok(answer) } else { Err(error) }
}

/// A removed object is answered by a status, by most kinds.
fn outcome(target: &Target, answer: Answer, removed: bool, options: &DeleteOptions) -> Answer {
    let with_object = target.row.resource.delete_returns == DeleteReturns::Object;
    if !removed || with_object {
        return answer;
    }
    let object = crate::codec::decode(&answer.bytes);
    let details = Details {
        name: target.name.clone(),
        group: target.group().to_owned(),
        kind: target.resource().to_owned(),
        uid: meta::uid(&object).to_owned(),
        ..Details::default()
    };
    let status = Status::success(0, Some(details));
    let mut value = status.to_value();
    if let Some(map) = value.as_object_mut() {
        map.remove("code");
    }
    let accepted = answer.accepted && options.not_orphaning;
    Answer { bytes: value.to_string().into(), created: false, accepted, kind: Some("Status".into()) }
}

/// Whether the object is the one that is to go.
///
/// # Errors
/// 409 if it is not.
pub(super) fn check_preconditions(target: &Target, object: &Value, options: &DeleteOptions) -> ApiResult<()> {
    let conflict = |why: String| Err(Status::conflict_because(target.group(), target.kind(), &target.name, why));
    let failed = |why: String| Err(Status::conflict_because(target.group(), target.resource(), &target.name, why));
    if let Some(uid) = options.uid.as_deref()
        && uid != meta::uid(object)
    {
        let found = meta::uid(object);
        if target.row.strategy.begins_deletion() {
            return failed(format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {found}"));
        }
        return conflict(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({found}). The object might have been deleted and then recreated"
        ));
    }
    if let Some(version) = options.resource_version.as_deref()
        && version != meta::resource_version(object)
    {
        let found = meta::resource_version(object);
        if target.row.strategy.begins_deletion() {
            return failed(format!(
                "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {found}"
            ));
        }
        return conflict(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({found}). The object might have been modified"
        ));
    }
    Ok(())
}

/// The deletion of a kind that begins it itself, as long as more than finalizers holds the object.
fn begin(cx: &Context<'_>, target: &Target, object: &Value, options: &DeleteOptions) -> Verdict {
    if meta::is_deleting(object) {
        return Verdict::Pending;
    }
    let mut marked = object.clone();
    if target.group().is_empty() {
        set_finalizers(&mut marked, namespace_finalizers(target, object, options));
    }
    meta::set(&mut marked, "deletionTimestamp", mainstay_api::time::seconds(cx.now));
    target.row.strategy.begin_delete(cx, &mut marked);
    Verdict::Mark(marked)
}

/// A namespace whose dependents are not to be orphaned waits for them.
fn namespace_finalizers(target: &Target, object: &Value, options: &DeleteOptions) -> Option<Vec<String>> {
    if !options.not_orphaning {
        return garbage_finalizers(target, object, options);
    }
    let waiting = DeleteOptions { propagation: Some(Propagation::Foreground), ..options.clone() };
    garbage_finalizers(target, object, &waiting)
}

fn verdict(cx: &Context<'_>, target: &Target, object: &Value, options: &DeleteOptions) -> Verdict {
    let strategy = &target.row.strategy;
    if strategy.holds_deletion(object) {
        return begin(cx, target, object, options);
    }
    let mut marked = object.clone();
    set_finalizers(&mut marked, garbage_finalizers(target, object, options));
    let held = meta::finalizers(&marked).next().is_some();
    let grace = strategy.delete_grace(cx, object, options.grace);
    if let Some(grace) = grace {
        if meta::is_deleting(object) {
            return shorten(object, marked, held, options);
        }
        mark(cx, &mut marked, grace);
        return if grace > 0 || held { Verdict::Mark(marked) } else { Verdict::MarkAndRemove(marked) };
    }
    if !held {
        return Verdict::Remove;
    }
    mark(cx, &mut marked, 0);
    Verdict::Mark(marked)
}

/// A deletion under way may only be made quicker.
fn shorten(object: &Value, mut marked: Value, held: bool, options: &DeleteOptions) -> Verdict {
    let present = meta::deletion_grace_period_seconds(object).unwrap_or(0);
    if present == 0 {
        return if held { Verdict::Mark(marked) } else { Verdict::Remove };
    }
    let Some(asked) = options.grace.filter(|asked| *asked < present) else { return Verdict::Pending };
    let began = meta::deletion_timestamp(object).and_then(mainstay_api::time::read);
    if let Some(at) = began.and_then(|at| at.checked_add(SignedDuration::from_secs(asked - present)).ok()) {
        meta::set(&mut marked, "deletionTimestamp", mainstay_api::time::seconds(at));
    }
    meta::set(&mut marked, "deletionGracePeriodSeconds", asked);
    if asked > 0 || held { Verdict::Mark(marked) } else { Verdict::MarkAndRemove(marked) }
}

fn mark(cx: &Context<'_>, object: &mut Value, grace: i64) {
    if !meta::is_deleting(object) {
        let at = cx.now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(Timestamp::MAX);
        meta::set(object, "deletionTimestamp", mainstay_api::time::seconds(at));
        let generation = meta::generation(object);
        if generation > 0 {
            meta::set(object, "generation", generation + 1);
        }
    }
    meta::set(object, "deletionGracePeriodSeconds", grace);
}

fn set_finalizers(object: &mut Value, finalizers: Option<Vec<String>>) {
    match finalizers {
        None => {}
        Some(list) if list.is_empty() => {
            meta::remove_field(object, "finalizers");
        }
        Some(list) => meta::set(object, "finalizers", json!(list)),
    }
}

/// The finalizers with those of the garbage collector as the options want them; `None`: as they are.
fn garbage_finalizers(target: &Target, object: &Value, options: &DeleteOptions) -> Option<Vec<String>> {
    let wanted = match effective_policy(target, object, options)? {
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Background => None,
    };
    let mut list: Vec<String> =
        meta::finalizers(object).filter(|name| !matches!(*name, ORPHAN | FOREGROUND)).map(str::to_owned).collect();
    list.extend(wanted.map(str::to_owned));
    let before: HashSet<&str> = meta::finalizers(object).collect();
    let after: HashSet<&str> = list.iter().map(String::as_str).collect();
    let same = before == after;
    (!same).then_some(list)
}

fn effective_policy(target: &Target, object: &Value, options: &DeleteOptions) -> Option<Propagation> {
    if target.row.resource.garbage == GarbagePolicy::Unsupported {
        return Some(Propagation::Background);
    }
    if let Some(policy) = options.propagation {
        return Some(policy);
    }
    if meta::has_finalizer(object, ORPHAN) {
        return Some(Propagation::Orphan);
    }
    if meta::has_finalizer(object, FOREGROUND) {
        return Some(Propagation::Foreground);
    }
    Some(if target.row.resource.garbage == GarbagePolicy::Orphan {
        Propagation::Orphan
    } else {
        Propagation::Background
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;
    use crate::strategy::testing::context;

    #[test]
    fn any_time_may_be_granted_and_taken_back() {
        let mut object = json!({"metadata": {"name": "a", "namespace": "n"}});
        context("", "configmaps", |cx| mark(cx, &mut object, i64::MAX));
        assert_eq!(meta::deletion_grace_period_seconds(&object), Some(i64::MAX));
        assert!(meta::deletion_timestamp(&object).is_some());
        let options = DeleteOptions::parse(json!({"gracePeriodSeconds": 3})).unwrap();
        let Verdict::Mark(shortened) = shorten(&object, object.clone(), false, &options) else {
            panic!("it was not marked")
        };
        assert_eq!(meta::deletion_grace_period_seconds(&shortened), Some(3));
    }

    fn target(group: &str, resource: &str) -> Target {
        let row = Registry::builtin().find(group, "v1", resource).unwrap();
        Target { row, namespace: String::new(), name: "a".into(), subresource: String::new() }
    }

    fn judged(target: &Target, object: &Value, options: Value) -> Verdict {
        let options = DeleteOptions::parse(options).unwrap();
        context(target.group(), target.resource(), |cx| verdict(cx, target, object, &options))
    }

    #[test]
    fn finalizers_that_are_as_they_are_wanted_stay_so() {
        let maps = target("", "configmaps");
        let object = json!({"metadata": {"name": "a", "finalizers": [ORPHAN, "a.io/b", ORPHAN]}});
        let wanted = |policy: &str| {
            let options = DeleteOptions::parse(json!({"propagationPolicy": policy})).unwrap();
            garbage_finalizers(&maps, &object, &options)
        };
        assert_eq!(wanted("Orphan"), None);
        assert_eq!(wanted("Foreground"), Some(vec!["a.io/b".to_owned(), FOREGROUND.to_owned()]));
    }

    #[test]
    fn a_namespace_is_marked_once() {
        let namespaces = target("", "namespaces");
        let object = json!({"metadata": {"name": "a"}, "spec": {"finalizers": ["kubernetes"]}});
        let Verdict::Mark(marked) = judged(&namespaces, &object, json!({"orphanDependents": false})) else {
            panic!("it was not marked")
        };
        assert_eq!(marked["metadata"]["finalizers"], json!([FOREGROUND]));
        assert_eq!(meta::deletion_grace_period_seconds(&marked), None);
        let again = judged(&namespaces, &marked, json!({"propagationPolicy": "Orphan"}));
        assert!(matches!(again, Verdict::Pending));
        let mut emptied = marked;
        emptied["spec"] = json!({});
        let Verdict::Mark(held) = judged(&namespaces, &emptied, json!({})) else { panic!("its finalizer holds it") };
        assert_eq!(meta::deletion_grace_period_seconds(&held), Some(0));
    }

    #[test]
    fn a_definition_does_not_ask_who_depends_on_it() {
        let definitions = target(crate::custom::GROUP, crate::custom::DEFINITIONS);
        let object = json!({"metadata": {"name": "a"}, "status": {}});
        let Verdict::Mark(marked) = judged(&definitions, &object, json!({"propagationPolicy": "Orphan"})) else {
            panic!("it was not marked")
        };
        let held: Vec<&str> = meta::finalizers(&marked).collect();
        assert_eq!(held, ["customresourcecleanup.apiextensions.k8s.io"]);
        let options = DeleteOptions::parse(json!({"preconditions": {"resourceVersion": "1"}})).unwrap();
        let refused = check_preconditions(&definitions, &marked, &options).unwrap_err().message;
        assert!(
            refused
                .contains("Precondition failed: ResourceVersion in precondition: 1, ResourceVersion in object meta: ")
        );
    }
}
