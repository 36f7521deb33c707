//! From a request body to a checked, defaulted object in the request's version.

use bytes::Bytes;
use mainstay_api::json::{self, Document};
use mainstay_api::meta;
use mainstay_api::protobuf::ProtobufError;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::yaml::{self, Duplicates, YamlError};
use serde_json::Value;

use super::empties::Empties;
use super::expected::Expected;
use super::options::FieldValidation;
use super::{Call, Engine, Target, WriteOptions, identity, patched};

/// Bytes of a bad body that an error shows.
const SHOWN: usize = 30;

/// A request body.
#[derive(Clone, Debug)]
pub enum Body {
    /// JSON text.
    Json(Bytes),
    /// YAML text.
    Yaml(Bytes),
    /// Kubernetes' protobuf envelope.
    Protobuf(Bytes),
}

impl Engine {
    /// Reads, checks and defaults the body of a create or an update.
    pub(crate) fn read_body(
        &self,
        call: &mut Call,
        target: &Target,
        body: Body,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        let expected = Expected::of(target);
        let (value, duplicates) = parse(&expected, &body, options)?;
        if target.row.custom {
            typed(&expected, &body, &value)?;
        }
        let value = identity::identify(&expected, value, target.row.custom)
            .map_err(|(value, why)| unhandled(&expected, &value, &why))?;
        let text = if let Body::Json(text) = body { text } else { Bytes::new() };
        let mut value = self.check(call, target, value, &duplicates, options, &Said::Body(text))?;
        identity::check_version(&expected, &value)?;
        place(target, &mut value)?;
        Ok(value)
    }

    /// Checks and defaults an object that a patch has made; `odd` is what is odd in the patch itself.
    pub(crate) fn decode_value(
        &self,
        call: &mut Call,
        target: &Target,
        value: Value,
        odd: &[String],
        options: &WriteOptions,
        said: &Said<'_>,
    ) -> ApiResult<Value> {
        let expected = Expected::of(target);
        let custom = is_custom_object(target);
        if matches!(said, Said::Patched) {
            readable(call, target, &value, odd, options, said)?;
        }
        let versioned = !meta::api_version(&value).is_empty();
        let value = identity::identify(&expected, value, target.row.custom)
            .map_err(|(value, why)| said.refuse(&expected, &value, &why))?;
        let mut value = self.check(call, target, value, odd, options, said)?;
        if target.row.custom && !custom {
            identity::check_version(&expected, &value)?;
        }
        place(target, &mut value)?;
        check_patched_name(target, &value)?;
        if custom {
            patched::check_type(&target.subresource, &expected, &value, versioned)?;
        }
        Ok(value)
    }

    fn check(
        &self,
        call: &mut Call,
        target: &Target,
        value: Value,
        duplicates: &[String],
        options: &WriteOptions,
        said: &Said<'_>,
    ) -> ApiResult<Value> {
        let expected = &Expected::of(target);
        if let Some(served) = target.row.served.as_ref().filter(|_| is_custom_object(target)) {
            let mut value = value;
            let unknown = served.decode(&mut value).map_err(|why| said.refuse(expected, &value, &why))?;
            let unknown = unknown.iter().map(|path| format!("unknown field \"{path}\""));
            let problems = duplicates.iter().cloned().chain(unknown).collect();
            complain(call, problems, options).map_err(|why| said.refuse(expected, &value, &why))?;
            return Ok(value);
        }
        let Some(object_type) = expected.object_type else {
            complain(call, duplicates.to_vec(), options).map_err(|why| said.refuse(expected, &value, &why))?;
            return Ok(value);
        };
        call.empties = Empties::of(&value);
        let decoded = mainstay_api::decode::strict(object_type, &value);
        if let Some(error) = said.first_error(&decoded) {
            return Err(said.refuse(expected, &value, &error));
        }
        if let Some(why) = mainstay_api::convert::unreadable(&expected.group, &expected.kind, &decoded.value) {
            return Err(said.refuse(expected, &value, &why));
        }
        let mut problems: Vec<String> = duplicates.to_vec();
        problems.extend(decoded.unknown.iter().cloned());
        if let Said::Body(text) = said {
            json::in_order(text, &mut problems);
        }
        complain(call, problems, options).map_err(|why| said.refuse(expected, &value, &why))?;
        let mut value = decoded.value;
        let bare = meta::labels(&value).is_none_or(serde_json::Map::is_empty);
        mainstay_api::defaults::apply(&expected.group, &expected.version, &expected.kind, &mut value);
        call.template_labels = bare && meta::labels(&value).is_some();
        mainstay_api::convert::drop_foreign(&expected.group, &expected.version, &expected.kind, &mut value);
        Ok(value)
    }
}

/// Where an object has come from, as errors about it tell.
pub(crate) enum Said<'a> {
    /// It is the body of the request: this text, if that is JSON.
    Body(Bytes),
    /// A JSON or merge patch has made it.
    Patched,
    /// A strategic merge patch has made it; the patch is shown.
    Merged(&'a Value),
    /// This configuration was applied.
    Applied(&'a Value),
}

impl Said<'_> {
    fn first_error(&self, decoded: &mainstay_api::decode::Decoded) -> Option<String> {
        match self {
            Self::Merged(_) | Self::Applied(_) => decoded.conversions.first().cloned(),
            Self::Body(text) if !text.is_empty() => decoded.errors.first_in(text),
            _ => decoded.errors.first().map(str::to_owned),
        }
    }

    fn refuse(&self, expected: &Expected, value: &Value, why: &str) -> Status {
        let shown = match self {
            Self::Body(_) => return unhandled(expected, value, why),
            Self::Applied(config) => return mainstay_api::ssa::unconvertible(config, why),
            Self::Patched => match expected.object_type {
                Some(of) => mainstay_api::types::go_order::patched(of, value),
                None => value.to_string(),
            },
            Self::Merged(patch) => mainstay_api::field::go_value(patch),
        };
        let path = mainstay_api::field::Path::new("patch");
        Status::invalid("", "", "", vec![mainstay_api::field::Error::invalid(&path, shown, why)])
    }
}

/// Whether what is sent is of a definition's kind; a scale is not.
fn is_custom_object(target: &Target) -> bool {
    target.row.custom && target.subresource != "scale"
}

/// Refuses what a patch has made if it does not say what it is. A built-in object that says no version is read as one of
/// Kubernetes' internal ones, which have neither its members nor its name.
fn readable(
    call: &mut Call,
    target: &Target,
    value: &Value,
    odd: &[String],
    options: &WriteOptions,
    said: &Said<'_>,
) -> ApiResult<()> {
    let expected = Expected::of(target);
    let refuse = |why: String| said.refuse(&expected, value, &why);
    if let Some(why) = patched::unread(value, is_custom_object(target)) {
        return Err(refuse(why));
    }
    if target.row.custom || !meta::api_version(value).is_empty() {
        return Ok(());
    }
    let problems = odd.iter().cloned().chain(patched::foreign(value)).collect();
    complain(call, problems, options).map_err(refuse)?;
    identity::check_name(target, &Value::Null)
}

/// Unknown and duplicate fields: refused, warned of, or passed over.
fn complain(call: &mut Call, problems: Vec<String>, options: &WriteOptions) -> Result<(), String> {
    match options.field_validation {
        _ if problems.is_empty() => Ok(()),
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            problems.into_iter().for_each(|problem| call.warn(problem));
            Ok(())
        }
        FieldValidation::Strict => Err(format!("strict decoding error: {}", problems.join(", "))),
    }
}

/// 400 that names what the body says it is.
fn unhandled(expected: &Expected, value: &Value, why: &str) -> Status {
    let (_, version) = meta::split_api_version(meta::api_version(value)).unwrap_or_default();
    let version = if version.is_empty() { &expected.version } else { version };
    let found = meta::kind(value);
    let found = if found.is_empty() { &expected.kind } else { found };
    let kind = &expected.kind;
    Status::bad_request(format!("{found} in version \"{version}\" cannot be handled as a {kind}: {why}"))
}

fn parse(expected: &Expected, body: &Body, options: &WriteOptions) -> ApiResult<(Value, Vec<String>)> {
    match body {
        Body::Json(bytes) => parse_json(expected, bytes),
        Body::Yaml(bytes) => parse_yaml(expected, bytes, options),
        Body::Protobuf(bytes) => {
            let read = mainstay_api::protobuf::decode_as(bytes, &expected.api_version(), &expected.kind);
            match read {
                Ok(value) => Ok((value, Vec::new())),
                // Its kind and version are all that is known of it, and all that is needed to say so.
                Err(ProtobufError::Kind { api_version, kind }) => {
                    Ok((serde_json::json!({"apiVersion": api_version, "kind": kind}), Vec::new()))
                }
                Err(error) => Err(unrecognized(expected, &error.to_string(), bytes)),
            }
        }
    }
}

fn parse_json(expected: &Expected, bytes: &[u8]) -> ApiResult<(Value, Vec<String>)> {
    let read = match expected.object_type {
        Some(_) => Document::read_typed(bytes),
        None => Document::read(bytes),
    };
    let read = read.map_err(|why| unparsed(expected, &why, bytes))?;
    let duplicates = read.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    Ok((interpret(expected, read.value, bytes)?, duplicates))
}

fn unparsed(expected: &Expected, why: &str, bytes: &[u8]) -> Status {
    unrecognized(expected, &format!("couldn't get version/kind; json parse error: {why}"), bytes)
}

/// Refuses what can say no kind and version; null says as much as an object without anything in it.
fn interpret(expected: &Expected, value: Value, bytes: &[u8]) -> ApiResult<Value> {
    let value = if value.is_null() { Value::Object(serde_json::Map::new()) } else { value };
    if let Some(why) = mainstay_api::decode::unidentified(&value) {
        return Err(unparsed(expected, &why, bytes));
    }
    let version = meta::api_version(&value);
    if version.matches('/').count() > 1 {
        return Err(unrecognized(expected, &format!("unexpected GroupVersion string: {version}"), bytes));
    }
    Ok(value)
}

fn parse_yaml(expected: &Expected, bytes: &[u8], options: &WriteOptions) -> ApiResult<(Value, Vec<String>)> {
    let text = String::from_utf8_lossy(bytes);
    let value =
        yaml::parse(&text, Duplicates::LastWins).map_err(|error| unrecognized(expected, &error.to_string(), bytes))?;
    let value = interpret(expected, value, bytes)?;
    if options.field_validation == FieldValidation::Ignore {
        return Ok((value, Vec::new()));
    }
    let twice = match yaml::parse(&text, Duplicates::Refuse) {
        Err(error @ YamlError::Duplicate { .. }) => {
            let text = error.to_string();
            // As one error, but each key in a warning of its own.
            if options.field_validation == FieldValidation::Strict {
                vec![text]
            } else {
                text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
            }
        }
        _ => Vec::new(),
    };
    Ok((value, twice))
}

fn unrecognized(expected: &Expected, why: &str, bytes: &[u8]) -> Status {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let dots = if bytes.len() > SHOWN { " ..." } else { "" };
    let shown = match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{dots}", String::from_utf8_lossy(cut)),
        Some(_) => format!("{}{dots}", cut.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
    };
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({shown})",
        expected.kind
    ))
}

/// Objects of custom kinds have to say what they are.
fn typed(expected: &Expected, body: &Body, value: &Value) -> ApiResult<()> {
    for (field, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
        if value.get(field).and_then(Value::as_str).is_none_or(str::is_empty) {
            let (Body::Json(bytes) | Body::Yaml(bytes) | Body::Protobuf(bytes)) = body;
            let text = String::from_utf8_lossy(bytes).into_owned();
            let text = if matches!(body, Body::Json(_)) { text } else { value.to_string() };
            return Err(unrecognized(expected, &format!("Object '{name}' is missing in '{text}'"), bytes));
        }
    }
    Ok(())
}

/// Puts an object that does not say where it belongs into the namespace of the request.
pub(super) fn place(target: &Target, value: &mut Value) -> ApiResult<()> {
    check_namespace(target, value)?;
    if !target.row.resource.namespaced {
        meta::remove_field(value, "namespace");
    } else if !target.namespace.is_empty() {
        meta::set(value, "namespace", target.namespace.clone());
    }
    Ok(())
}

fn check_namespace(target: &Target, value: &Value) -> ApiResult<()> {
    let named = meta::namespace(value);
    let fits = named.is_empty() || named == target.namespace || !target.row.resource.namespaced;
    if fits || !target.subresource.is_empty() && target.namespace.is_empty() {
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// A patch may not rename.
fn check_patched_name(target: &Target, value: &Value) -> ApiResult<()> {
    if meta::name(value) == target.name || target.name.is_empty() {
        return Ok(());
    }
    identity::check_name(target, value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::testing::config_map;
    use crate::user::UserInfo;

    #[test]
    fn without_a_version_a_patched_object_has_no_name() {
        let target = config_map();
        let value = json!({"kind": "ConfigMap", "metadata": {"name": "a"}, "data": {}});
        let judged = |value: &Value, field_validation: FieldValidation| {
            let mut call = Call::new(UserInfo::default(), "", None);
            let options = WriteOptions { field_validation, ..WriteOptions::default() };
            let judged = readable(&mut call, &target, value, &[], &options, &Said::Patched);
            (judged.err().map(|status| status.message.into_owned()).unwrap_or_default(), call.warnings)
        };
        let nameless = "the name of the object (a based on URL) was undeterminable: name must be provided";
        let unknown = vec!["unknown field \"data\"".to_owned(), "unknown field \"metadata\"".to_owned()];
        assert_eq!(judged(&value, FieldValidation::Warn), (nameless.to_owned(), unknown));
        assert_eq!(judged(&value, FieldValidation::Ignore), (nameless.to_owned(), Vec::new()));
        assert!(judged(&value, FieldValidation::Strict).0.contains("strict decoding error: unknown field \"data\", "));
        assert!(judged(&json!({"kind": 5}), FieldValidation::Warn).0.contains("couldn't get version/kind"));
        assert_eq!(judged(&json!({"apiVersion": "v1"}), FieldValidation::Warn).0, "");
    }
}
