//! Who owns which field: `metadata.managedFields`, and server-side apply.

use std::sync::Arc;

use mainstay_api::meta;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::ApiResult;
use serde_json::Value;

use super::expected::Expected;
use super::options::manager;
use super::{Call, Change, Target, WriteOptions, present};

/// The manager of what the server's own controllers write.
pub(crate) const SERVER: &str = "kube-apiserver";

/// Records what a create, update or patch changed.
pub(crate) fn track(call: &Call, target: &Target, old: Option<&Value>, new: &mut Value, options: &WriteOptions) {
    let manager = manager(options, &call.user_agent);
    with_write(call, target, &manager, |write| ssa::track_update(old, new, write));
}

/// Records what a create, update or patch changed in an object of the stored version; the fields are those of the
/// request's version, in which `old` is.
pub(crate) fn track_stored(
    call: &Call,
    target: &Target,
    old: Option<&Value>,
    new: &mut Value,
    options: &WriteOptions,
) -> ApiResult<()> {
    let row = &target.row;
    if row.custom || row.speaks_stored() {
        track(call, target, old, new, options);
        return Ok(());
    }
    let mut shown = present::to_request(row, new.clone())?;
    track(call, target, old, &mut shown, options);
    match shown.pointer("/metadata/managedFields") {
        Some(fields) => meta::set(new, "managedFields", fields.clone()),
        None => drop(meta::remove_field(new, "managedFields")),
    }
    Ok(())
}

/// An edit by the server's own controllers, which own what they change by it.
pub(crate) fn owning_edit(
    call: &Call,
    target: &Target,
    edit: impl Fn(&mut Value) -> ApiResult<()> + Send + Sync + 'static,
) -> Change {
    let (call, target) = (call.clone(), target.clone());
    let options = WriteOptions { field_manager: SERVER.to_owned(), ..WriteOptions::default() };
    Change::Edit(Arc::new(move |object: &mut Value| {
        let before = object.clone();
        edit(object)?;
        track(&call, &target, Some(&before), object, &options);
        Ok(())
    }))
}

/// Applies what a client sent to what is there.
pub(crate) fn apply(
    call: &Call,
    target: &Target,
    live: Option<&Value>,
    config: &Value,
    options: &WriteOptions,
) -> ApiResult<Value> {
    with_write(call, target, &options.field_manager, |write| {
        ssa::apply(live, config, write, options.force == Some(true))
    })
}

fn with_write<T>(call: &Call, target: &Target, manager: &str, act: impl FnOnce(&Write<'_>) -> T) -> T {
    let expected = Expected::of(target);
    let schema = match &target.row.served {
        Some(served) if target.subresource != "scale" => Schema::Custom(served.schema.root()),
        _ => expected.object_type.map_or(Schema::Deduced, Schema::Struct),
    };
    let api_version = if target.subresource == "scale" { expected.api_version() } else { target.row.api_version() };
    let ignored = reset(target);
    act(&Write {
        schema,
        manager,
        api_version: &api_version,
        subresource: &target.subresource,
        ignored: &ignored,
        now: call.now,
    })
}

/// The fields that this endpoint resets.
fn reset(target: &Target) -> FieldSet {
    let row = &target.row.resource;
    let paths = match row.subresource(&target.subresource) {
        Some(sub) => &sub.reset,
        None => &row.reset,
    };
    let split: Vec<Vec<&str>> = paths.iter().map(|path| path.trim_start_matches('.').split('.').collect()).collect();
    let slices: Vec<&[&str]> = split.iter().map(Vec::as_slice).collect();
    FieldSet::of_fields(&slices)
}

/// Whether two states differ in nothing but the times of their managed fields and their revisions.
pub(crate) fn same_but_for_times(new: &Value, old: &Value) -> bool {
    without_times(new) == without_times(old)
}

fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        for entry in metadata.get_mut("managedFields").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("time");
            }
        }
    }
    object
}
