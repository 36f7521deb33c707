//! Who owns which field: `metadata.managedFields`, and server-side apply.

use mainstay_api::meta;
use mainstay_api::ssa::{self, FieldSet, Schema, Write};
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::yaml::{self, Duplicates, YamlError};
use serde_json::Value;

use super::decode::named_type;
use super::expected::Expected;
use super::options::{FieldValidation, manager};
use super::{Call, Engine, Target, WriteOptions};

/// Records what a create, update or patch changed.
pub(crate) fn track(call: &Call, target: &Target, old: Option<&Value>, new: &mut Value, options: &WriteOptions) {
    let manager = manager(options, &call.user_agent);
    with_write(call, target, &manager, |write| ssa::track_update(old, new, write));
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

impl Engine {
    /// Reads the body of an apply: YAML, which is not defaulted.
    ///
    /// # Errors
    /// 400 for what does not parse or does not fit the kind.
    pub(crate) fn read_applied(
        &self,
        call: &mut Call,
        target: &Target,
        bytes: &[u8],
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let text = String::from_utf8_lossy(bytes);
        let value = yaml::parse(&text, Duplicates::LastWins).map_err(|error| {
            Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {error}"))
        })?;
        if !value.is_object() && !value.is_null() {
            let kind = mainstay_api::json::type_name(&value);
            return Err(Status::bad_request(format!(
                "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
        let expected = Expected::of(target);
        let (version, kind) = (meta::api_version(&value), meta::kind(&value));
        if !target.row.custom && (version != expected.api_version() || kind != expected.kind) {
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            return Err(Status::bad_request(format!("invalid object type: {version}, Kind={kind}")));
        }
        if options.field_validation != FieldValidation::Ignore
            && let Err(error @ YamlError::Duplicate { .. }) = yaml::parse(&text, Duplicates::Refuse)
        {
            let why = format!("error converting YAML to JSON: {error}");
            if options.field_validation == FieldValidation::Strict {
                return Err(Status::bad_request(format!("error strict decoding YAML: {why}")));
            }
            call.warn(why);
        }
        // What the type does not declare is refused where the configuration is applied.
        if target.row.custom && target.subresource != "scale" {
            named_type(&value)?;
        }
        Ok(value)
    }
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
