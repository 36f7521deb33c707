//! What the leader does for definitions: their conditions, and the removal of the objects of those that are deleted.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Term;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::removals::Removals;
use super::{CLEANUP, DEFINITIONS, GROUP, naming};
use crate::cache::Scope;
use crate::engine::{Call, DeleteOptions, Engine, ListOptions, Target, Told, WriteOptions, owning_edit};
use crate::registry::Row;
use crate::startup::{self, Startup};
use crate::strategy::Reader;
use crate::user::UserInfo;

/// Between looks at definitions whose objects do not go at once, or whose write failed.
const AGAIN: Duration = Duration::from_millis(500);
/// The condition of a definition that is being deleted.
const TERMINATING: &str = "Terminating";
/// What it says while the objects go: reason and message.
const UNDER_WAY: (&str, &str) = ("InstanceDeletionInProgress", "CustomResource deletion is in progress");
/// What it says for a moment when they have not gone for long; then the removal begins anew.
const UNCONFIRMED: (&str, &str) =
    ("InstanceDeletionCheck", "could not confirm zero CustomResources remaining: timed out waiting for the condition");

/// Keeps the registry of this master current, and, while it leads, the definitions' conditions, until `stop`.
pub(crate) async fn run(engine: Engine, startup: Arc<Startup>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow(engine, &startup) => {}
    }
}

async fn follow(engine: Engine, startup: &Startup) {
    let cache = engine.caches.of(GROUP, DEFINITIONS);
    let mut leadership = engine.store.leadership();
    let mut removals = Removals::default();
    loop {
        let mut events = cache.subscribe(Scope::All, None).events;
        loop {
            engine.registry.refresh(&engine.reader);
            startup.finish(startup::DEFINITIONS);
            let pending = pass(&engine, &mut removals).await;
            startup.finish(startup::DEFINITIONS_KEPT);
            tokio::select! {
                event = events.recv() => if event.is_none() { break },
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN), if pending => {}
            }
            while events.try_recv().is_ok() {}
        }
    }
}

/// One look at all definitions; whether there is something to do again soon.
async fn pass(engine: &Engine, removals: &mut Removals) -> bool {
    let leadership = engine.store.leadership().borrow().clone();
    if !leadership.acting {
        *removals = Removals::default();
        return false;
    }
    let mut pending = false;
    let definitions = engine.reader.list(GROUP, DEFINITIONS, None);
    let uids: HashSet<&str> = definitions.iter().map(|definition| meta::uid(definition)).collect();
    removals.keep(&uids);
    for definition in &definitions {
        let done = one(engine, definition, leadership.term, removals).await;
        pending |= done.unwrap_or_else(|status| {
            tracing::debug!(name = meta::name(definition), error = %status.message, "a definition is tried again");
            status.code() != 404
        });
    }
    let complete = crate::aggregation::controller::pass(engine, leadership.term).await;
    pending |= !complete.unwrap_or_else(|status| {
        tracing::debug!(error = %status.message, "APIServices are tried again");
        false
    });
    pending
}

/// Whether the definition has to be looked at again soon.
async fn one(engine: &Engine, definition: &Value, term: Term, removals: &mut Removals) -> ApiResult<bool> {
    if meta::is_deleting(definition) && meta::has_finalizer(definition, CLEANUP) {
        return remove_objects(engine, definition, term, removals).await;
    }
    let others = engine.reader.list(GROUP, DEFINITIONS, None);
    let Some(status) = naming::settled(definition, &others, Timestamp::now()) else { return Ok(false) };
    write(engine, definition, term, move |object| object["status"] = status.clone()).await?;
    // Names that this definition has given up or taken may settle others.
    Ok(true)
}

async fn write(
    engine: &Engine,
    definition: &Value,
    term: Term,
    edit: impl Fn(&mut Value) + Send + Sync + 'static,
) -> ApiResult<()> {
    let row = engine.registry.find(GROUP, "v1", DEFINITIONS);
    let row = row.ok_or_else(|| Status::internal("definitions are not served"))?;
    let name = meta::name(definition).to_owned();
    let target = Target { row, namespace: String::new(), name: name.clone(), subresource: "status".into() };
    let seen = meta::resource_version(definition).to_owned();
    let mut call = caller(term);
    let change = owning_edit(&call, &target, move |object: &mut Value| {
        if meta::resource_version(object) != seen {
            return Err(Status::conflict(GROUP, DEFINITIONS, &name));
        }
        edit(object);
        Ok(())
    });
    engine.modify(&mut call, &target, &change, &WriteOptions::default()).await?;
    engine.registry.refresh(&engine.reader);
    Ok(())
}

fn caller(term: Term) -> Call {
    Call::new(UserInfo::master("apiserver"), "mainstay-apiserver", Some(term))
}

/// Removes the objects of a definition that is being deleted; whether there is something to do again soon.
async fn remove_objects(engine: &Engine, definition: &Value, term: Term, removals: &mut Removals) -> ApiResult<bool> {
    let uid = meta::uid(definition);
    if !removals.is_due(uid, Instant::now()) {
        return Ok(true);
    }
    if !has_begun(definition) {
        tell(engine, definition, term, UNDER_WAY).await?;
        return Ok(true);
    }
    match delete_all(engine, definition, term).await {
        Ok(0) => {}
        Ok(_) => {
            let state = if removals.wait(uid, Instant::now()) { UNCONFIRMED } else { UNDER_WAY };
            tell(engine, definition, term, state).await?;
            return Ok(true);
        }
        Err(status) => {
            removals.failed(uid, Instant::now());
            let why = format!("could not issue all deletes: {}", status.message);
            tell(engine, definition, term, ("InstanceDeletionFailed", why.as_str())).await?;
            return Err(status);
        }
    }
    let (reason, message) = ended(definition);
    write(engine, definition, term, move |object| {
        let kept: Vec<String> = meta::finalizers(object).filter(|name| *name != CLEANUP).map(str::to_owned).collect();
        meta::set(object, "finalizers", json!(kept));
        naming::set_condition(&mut object["status"], (TERMINATING, "False", reason, message), Timestamp::now());
    })
    .await?;
    Ok(false)
}

/// Says how far the removal of the objects is, unless that is said already: reason and message.
async fn tell(
    engine: &Engine,
    definition: &Value,
    term: Term,
    (reason, message): (&'static str, &str),
) -> ApiResult<()> {
    if terminating(definition).is_some_and(|told| told["reason"] == reason && told["message"] == message) {
        return Ok(());
    }
    let message = message.to_owned();
    write(engine, definition, term, move |object| {
        let told = (TERMINATING, "True", reason, message.as_str());
        naming::set_condition(&mut object["status"], told, Timestamp::now());
    })
    .await
}

fn terminating(definition: &Value) -> Option<&Value> {
    let list = definition.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten().find(|condition| condition["type"] == TERMINATING)
}

/// Whether the removal has begun, and has been told of.
fn has_begun(definition: &Value) -> bool {
    let reason = terminating(definition).and_then(|told| told["reason"].as_str());
    matches!(reason, Some("InstanceDeletionInProgress" | "InstanceDeletionFailed"))
}

/// Why there are no objects of a definition any more: reason and message.
fn ended(definition: &Value) -> (&'static str, &'static str) {
    if super::is_builtin(definition) {
        ("OverlappingBuiltInResource", "instances overlap with built-in resources in storage")
    } else if super::condition(definition, "Established") == "True" {
        ("InstanceDeletionCompleted", "removed all instances")
    } else {
        ("NeverEstablished", "resource was never established")
    }
}

/// Deletes the objects; how many there are still. They are seen in the version that they are stored in, so that nobody has
/// to convert them, and admission is not asked: who may have the definition deleted may have them deleted.
async fn delete_all(engine: &Engine, definition: &Value, term: Term) -> ApiResult<usize> {
    let Some((resource, served)) = super::stored_row(definition) else { return Ok(0) };
    let row = Arc::new(Row::custom(resource, served));
    let target = Target { row, namespace: String::new(), name: String::new(), subresource: String::new() };
    let options = DeleteOptions { told: Told::Nothing, ..DeleteOptions::default() };
    let found = engine.list(&target, &ListOptions::default()).await?.items;
    for object in found.iter().filter(|object| !meta::is_deleting(&object.parse())) {
        let one = Target { namespace: object.namespace.clone(), name: object.name.clone(), ..target.clone() };
        match engine.delete(&mut caller(term), &one, &options).await {
            Ok(_) => {}
            Err(status) if status.code() == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(engine.list(&target, &ListOptions::default()).await?.items.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_has_failed_has_begun() {
        let with = |reason: &str| json!({"status": {"conditions": [{"type": "Terminating", "reason": reason}]}});
        assert!(!has_begun(&with("InstanceDeletionPending")) && !has_begun(&with(UNCONFIRMED.0)));
        assert!(has_begun(&with("InstanceDeletionInProgress")));
        assert!(has_begun(&with("InstanceDeletionFailed")));
        assert!(!has_begun(&json!({})));
    }

    #[test]
    fn a_definition_says_how_its_objects_came_to_an_end() {
        let reason = |group: &str, plural: &str, established: &str| {
            ended(&json!({"spec": {"group": group, "names": {"plural": plural}},
                "status": {"conditions": [{"type": "Established", "status": established}]}}))
            .0
        };
        assert_eq!(reason("g.io", "as", "True"), "InstanceDeletionCompleted");
        assert_eq!(reason("g.io", "as", "False"), "NeverEstablished");
        assert_eq!(reason("networking.k8s.io", "ingresses", "True"), "OverlappingBuiltInResource");
    }
}
