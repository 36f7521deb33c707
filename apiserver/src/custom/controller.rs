//! What the leader does for definitions: their conditions, and the removal of the objects of those that are deleted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_store::Term;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{CLEANUP, DEFINITIONS, GROUP, naming};
use crate::cache::Scope;
use crate::engine::{Call, DeleteOptions, Engine, ListOptions, Target, WriteOptions, owning_edit};
use crate::startup::{self, Startup};
use crate::strategy::Reader;
use crate::user::UserInfo;

/// Between looks at definitions whose objects do not go at once, or whose write failed.
const AGAIN: Duration = Duration::from_millis(500);

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
    loop {
        let mut events = cache.subscribe(Scope::All, None).events;
        loop {
            engine.registry.refresh(&engine.reader);
            startup.finish(startup::DEFINITIONS);
            let pending = pass(&engine).await;
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
async fn pass(engine: &Engine) -> bool {
    let leadership = engine.store.leadership().borrow().clone();
    if !leadership.acting {
        return false;
    }
    let mut pending = false;
    for definition in engine.reader.list(GROUP, DEFINITIONS, None) {
        let done = one(engine, &definition, leadership.term).await;
        pending |= done.unwrap_or_else(|status| {
            tracing::debug!(name = meta::name(&definition), error = %status.message, "a definition is tried again");
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
async fn one(engine: &Engine, definition: &Value, term: Term) -> ApiResult<bool> {
    if meta::is_deleting(definition) && meta::has_finalizer(definition, CLEANUP) {
        return remove_objects(engine, definition, term).await;
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

async fn remove_objects(engine: &Engine, definition: &Value, term: Term) -> ApiResult<bool> {
    if !progress_told(definition) {
        write(engine, definition, term, |object| {
            let told = ("Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress");
            naming::set_condition(&mut object["status"], told, Timestamp::now());
        })
        .await?;
        return Ok(true);
    }
    if delete_all(engine, definition, term).await? > 0 {
        return Ok(true);
    }
    write(engine, definition, term, |object| {
        let kept: Vec<String> = meta::finalizers(object).filter(|name| *name != CLEANUP).map(str::to_owned).collect();
        meta::set(object, "finalizers", json!(kept));
    })
    .await?;
    Ok(false)
}

fn progress_told(definition: &Value) -> bool {
    let list = definition.pointer("/status/conditions").and_then(Value::as_array);
    list.into_iter().flatten().any(|c| c["type"] == "Terminating" && c["reason"] == "InstanceDeletionInProgress")
}

/// Deletes the objects; how many there are still.
async fn delete_all(engine: &Engine, definition: &Value, term: Term) -> ApiResult<usize> {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(row) = engine.registry.any_version(&text("/spec/group"), &text("/spec/names/plural")) else {
        return Ok(0);
    };
    let target = Target { row, namespace: String::new(), name: String::new(), subresource: String::new() };
    let found = engine.list(&target, &ListOptions::default()).await?.items;
    for object in found.iter().filter(|object| !meta::is_deleting(&object.parse())) {
        let one = Target { namespace: object.namespace.clone(), name: object.name.clone(), ..target.clone() };
        match engine.delete(&mut caller(term), &one, &DeleteOptions::default()).await {
            Ok(_) => {}
            Err(status) if status.code() == 404 => {}
            Err(status) => return Err(status),
        }
    }
    Ok(engine.list(&target, &ListOptions::default()).await?.items.len())
}
