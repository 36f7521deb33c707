//! Server-side apply: who owns which field, and what follows when somebody applies a configuration.

use jiff::Timestamp;
use serde_json::Value;

use crate::meta;
use crate::status::{ApiResult, Status};

mod atomics;
mod changes;
mod check;
mod conflict;
mod legacy;
mod managed;
mod merge;
mod scale;
mod schema;
mod set;
mod step;
mod walk;

use changes::Changes;
use conflict::Conflict;
use managed::{Entry, Identity, Managers};
use walk::field_set;

pub use atomics::atomics;
pub use check::check;
pub use managed::Operation;
pub use scale::{from_scale, to_scale};
pub use schema::Schema;
pub use set::FieldSet;

/// The manager of what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, where and when.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// The shape of the object.
    pub schema: Schema<'a>,
    /// The field manager.
    pub manager: &'a str,
    /// The version that the request uses, `apps/v1`.
    pub api_version: &'a str,
    /// The subresource written through, or empty.
    pub subresource: &'a str,
    /// Fields that this endpoint resets, and so gives to nobody: `status` for the object itself, `spec` for status.
    pub ignored: &'a FieldSet,
    /// The time of the write.
    pub now: Timestamp,
}

impl Write<'_> {
    fn identity(&self, operation: Operation) -> Identity {
        Identity {
            manager: self.manager.to_owned(),
            operation,
            api_version: if operation == Operation::Update { self.api_version.to_owned() } else { String::new() },
            subresource: self.subresource.to_owned(),
        }
    }

    fn entry(&self, operation: Operation, set: FieldSet) -> Entry {
        Entry {
            identity: self.identity(operation),
            api_version: self.api_version.to_owned(),
            time: Some(crate::time::seconds(self.now)),
            set,
        }
    }
}

/// Records in `new.metadata.managedFields` what an update (create, PUT, any patch but apply) changed.
///
/// `old` is the object as it was, None for a creation. Objects without any manager stay so until something is
/// applied to them.
pub fn track_update(old: Option<&Value>, new: &mut Value, write: &Write<'_>) {
    let empty;
    let live = match old {
        Some(old) => old,
        None => {
            empty = write.schema.empty_object();
            &empty
        }
    };
    let managers = recorded(live, new, !write.subresource.is_empty());
    meta::remove_field(new, "managedFields");
    let mut managers = managers;
    if !(managers.0.is_empty() && old.is_some_and(|old| !meta::uid(old).is_empty())) {
        update(&mut managers, live, new, write);
        managers.cap();
    }
    managers.write(new);
}

/// The managers that a request starts from: what the client sent, unless that is nothing.
fn recorded(live: &Value, new: &Value, subresource: bool) -> Managers {
    let of_live = || Managers::read(live).unwrap_or_default();
    if subresource {
        return of_live();
    }
    if let [only] = meta::managed_fields(new)
        && only.as_object().is_some_and(serde_json::Map::is_empty)
    {
        return Managers::default();
    }
    match Managers::read(new) {
        Some(managers) if !managers.0.is_empty() => managers,
        _ => of_live(),
    }
}

fn update(managers: &mut Managers, live: &Value, new: &Value, write: &Write<'_>) {
    managers.reconcile(write.api_version, write.schema);
    let mut changes = Changes::of(live, new, write);
    let taken = changes.taken();
    let identity = write.identity(Operation::Update);
    managers.0.retain_mut(|entry| {
        let Some((lost, gone)) = changes.lost(entry) else { return false };
        entry.set.subtract(&gone);
        if entry.identity != identity {
            entry.set.subtract(&lost);
        }
        true
    });
    let mut gained = Managers(vec![write.entry(Operation::Update, taken)]);
    gained.strip();
    if let Some(mut gained) = gained.0.pop() {
        if let Some(previous) = managers.get(&identity) {
            gained.set = gained.set.union(&previous.set);
        }
        managers.put(gained);
    }
    managers.strip();
}

/// Applies a configuration to the live object (None: it is created) and returns the object that results.
///
/// # Errors
/// 400 if the configuration carries managed fields, 409 for conflicts unless `force`, 500 (as Kubernetes has it) if
/// it does not fit the schema.
pub fn apply(live: Option<&Value>, config: &Value, write: &Write<'_>, force: bool) -> ApiResult<Value> {
    let result = try_apply(live, config, write, force);
    let (object, conflicts) = match (result?, live) {
        (Outcome::Done(object), _) => (object, Vec::new()),
        (Outcome::Refused(conflicts), Some(live)) if write.manager == "kubectl" => {
            let conflicts = legacy::remaining(conflicts, live, write);
            if conflicts.is_empty() {
                match try_apply(Some(live), config, write, true)? {
                    Outcome::Done(object) => (object, Vec::new()),
                    Outcome::Refused(conflicts) => (Value::Null, conflicts),
                }
            } else {
                (Value::Null, conflicts)
            }
        }
        (Outcome::Refused(conflicts), _) => (Value::Null, conflicts),
    };
    if !conflicts.is_empty() {
        return Err(conflict::refuse(conflicts));
    }
    let mut object = object;
    if write.manager == "kubectl" {
        legacy::sync_annotation(&mut object, config);
    }
    Ok(object)
}

/// Refuses what an applied configuration makes of an object, for it fits the schema but not the type.
#[must_use]
pub fn unconvertible(config: &Value, why: &str) -> Status {
    let (place, kind) = (place(config), typed(config));
    Status::plain(format!(
        "failed to convert new object ({place}; {kind}) to proper version: unable to convert unstructured object to {kind}: {why}"
    ))
}

/// Where a configuration says that it belongs.
fn place(config: &Value) -> String {
    format!("{}/{}", meta::namespace(config), meta::name(config))
}

/// The type that a configuration names, as Go prints it.
fn typed(config: &Value) -> String {
    let (version, kind) = (meta::api_version(config), meta::kind(config));
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={kind}")
}

enum Outcome {
    Done(Value),
    Refused(Vec<Conflict>),
}

fn try_apply(live: Option<&Value>, config: &Value, write: &Write<'_>, force: bool) -> ApiResult<Outcome> {
    if config.get("metadata").is_some_and(|metadata| metadata.get("managedFields").is_some_and(|f| !f.is_null())) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    check(config, write.schema).map_err(|why| {
        let (place, kind) = (place(config), typed(config));
        Status::plain(format!("failed to create typed patch object ({place}; {kind}): {why}"))
    })?;
    let mut base = live.cloned().unwrap_or_else(|| write.schema.empty_object());
    let mut managers = Managers::read(&base).unwrap_or_default();
    meta::remove_field(&mut base, "managedFields");
    if managers.0.is_empty() && live.is_some() {
        let before = Write { manager: BEFORE_FIRST_APPLY, ..*write };
        update(&mut managers, &write.schema.empty_object(), &base, &before);
    }
    managers.reconcile(write.api_version, write.schema);
    let identity = write.identity(Operation::Apply);
    let last = managers.get(&identity).cloned();
    let set = field_set(config, write.schema).recursive_difference(write.ignored);
    let time = last.as_ref().and_then(|last| last.time.clone());
    managers.put(Entry { time, ..write.entry(Operation::Apply, set) });

    let mut merged = merge::merge(&base, config, write.schema);
    if let Some(last) = last {
        let last = last.set.recursive_difference(write.ignored);
        merged = prune(merged, &managers, &last, write.schema);
    }
    let mut changes = Changes::of(&base, &merged, write);
    let conflicts = settle(&mut managers, &mut changes, &identity);
    if !force && !conflicts.is_empty() {
        return Ok(Outcome::Refused(conflicts));
    }
    release(&mut managers, &mut changes, &identity);
    managers.strip();
    if !walk::equal(&base, &merged)
        && let Some(entry) = managers.get_mut(&identity)
    {
        entry.time = Some(crate::time::seconds(write.now));
    }
    managers.write(&mut merged);
    Ok(Outcome::Done(merged))
}

/// What others own of the fields that change. Who writes a version that is gone owns nothing.
fn settle(managers: &mut Managers, changes: &mut Changes<'_>, applier: &Identity) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    managers.0.retain(|entry| {
        if entry.identity == *applier {
            return true;
        }
        let Some((set, _)) = changes.lost(entry) else { return false };
        let (identity, api_version) = (entry.identity.clone(), entry.api_version.clone());
        conflicts.push(Conflict { identity, api_version, set });
        true
    });
    conflicts.retain(|conflict| !conflict.set.is_empty());
    conflicts
}

/// Takes from the others what was forced from them or is gone.
fn release(managers: &mut Managers, changes: &mut Changes<'_>, applier: &Identity) {
    for entry in managers.0.iter_mut().filter(|entry| entry.identity != *applier) {
        if let Some((lost, gone)) = changes.lost(entry) {
            entry.set.subtract(&lost);
            entry.set.subtract(&gone);
        }
    }
}

/// Removes what the applier set the last time and does not set now, unless somebody owns it.
fn prune(merged: Value, managers: &Managers, last: &FieldSet, schema: Schema<'_>) -> Value {
    if last.is_empty() {
        return merged;
    }
    let last = last.with_named_fields(schema);
    let pruned = merge::remove(&merged, &last, schema);
    let merged_set = field_set(&merged, schema).with_named_fields(schema);
    let mut owned = FieldSet::default();
    managers.0.iter().for_each(|entry| owned.absorb(entry.set.clone()));
    let owned = owned.with_named_fields(schema);
    // Owned items come back, with all that hangs on them …
    let kept = field_set(&pruned, schema).with_named_fields(schema).union(&owned);
    let pruned = merge::remove(&merged, &merged_set.difference(&kept), schema);
    // … and so do fields that the applier never set.
    let pruned_set = field_set(&pruned, schema).with_named_fields(schema);
    let gone = merged_set.difference(&pruned_set).intersection(&last);
    merge::remove(&merged, &gone, schema)
}

/// Keeps the old managed fields if a write changed nothing but their times, so that it can count as no change.
pub fn keep_times_if_unchanged(old: &Value, new: &mut Value) {
    let timeless = |object: &Value| -> Value {
        let mut copy = object.clone();
        let metadata = copy.get_mut("metadata").and_then(Value::as_object_mut);
        if let Some(entries) = metadata.and_then(|metadata| metadata.get_mut("managedFields"))
            && let Some(entries) = entries.as_array_mut()
        {
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("time");
            }
            entries.sort_by_cached_key(Value::to_string);
        }
        copy
    };
    let Some(fields) = meta::metadata(old).and_then(|metadata| metadata.get("managedFields")) else { return };
    if timeless(old) == timeless(new) {
        meta::set(new, "managedFields", fields.clone());
    }
}

#[cfg(test)]
mod tests;
