//! The ways a request changes an object.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::json::Document;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::types::Type;
use serde_json::Value;

use super::configuration::Configuration;
use super::decode::Said;
use super::{Call, Engine, FieldValidation, Target, WriteOptions};

/// The patch formats besides apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// RFC 6902.
    Json,
    /// RFC 7386.
    Merge,
    /// Kubernetes' strategic merge.
    Strategic,
}

/// An edit of the server's own.
pub type Edit = Arc<dyn Fn(&mut Value) -> ApiResult<()> + Send + Sync>;

/// How the new state comes from the old one.
#[derive(Clone)]
pub enum Change {
    /// This object instead.
    Replace(Value),
    /// A patch document.
    Patch(PatchKind, Bytes),
    /// Server-side apply of this configuration.
    Apply(Configuration),
    /// A change that the server makes for a subresource, in the stored version.
    Edit(Edit),
}

impl Engine {
    /// The new state in the request's version, decoded and defaulted.
    pub(crate) fn applied(
        &self,
        call: &mut Call,
        target: &Target,
        view: Option<&Value>,
        change: &Change,
        options: &WriteOptions,
    ) -> ApiResult<Value> {
        match change {
            Change::Replace(object) => Ok(object.clone()),
            Change::Apply(config) => {
                let applied = super::managed::apply(call, target, view, &config.value, options)?;
                let said = if target.row.custom { Said::Body(Bytes::new()) } else { Said::Applied(&config.value) };
                let unchecked = WriteOptions { field_validation: FieldValidation::Ignore, ..options.clone() };
                let applied = self.decode_value(call, target, applied, &[], &unchecked, &said)?;
                config.complain(call)?;
                Ok(applied)
            }
            Change::Patch(kind, patch) => {
                let view = view.ok_or_else(|| super::read::not_found(target))?;
                let format = Format::of(*kind, target)?;
                let patch = format.read(patch, options.field_validation)?;
                let patched = format.apply(view, &patch.value, options.field_validation)?;
                self.decode_value(call, target, patched, &format.oddities(&patch), options, &format.said(&patch.value))
            }
            Change::Edit(_) => Err(Status::internal("an edit is applied to the stored object")),
        }
    }
}

/// What the library for merge patches says of what is none.
const NO_MERGE_PATCH: &str = "Invalid JSON Patch";

/// What is to be done with a patch's document.
enum Format {
    Json,
    Merge,
    /// For objects of this type.
    Strategic(&'static Type),
}

impl Format {
    fn of(kind: PatchKind, target: &Target) -> ApiResult<Self> {
        match kind {
            PatchKind::Json => Ok(Self::Json),
            PatchKind::Merge => Ok(Self::Merge),
            PatchKind::Strategic => {
                let of = super::expected::Expected::of(target).object_type;
                of.map(Self::Strategic).ok_or_else(|| {
                    Status::unsupported_media_type(&["application/json-patch+json", "application/merge-patch+json"])
                })
            }
        }
    }

    /// Where nobody wants fields validated, no strict decoder comes first that would tell what is wrong in its words.
    fn read(&self, patch: &[u8], validation: FieldValidation) -> ApiResult<Document> {
        Document::read(patch).map_err(|why| match (self, validation) {
            (Self::Strategic(_), _) | (Self::Json, FieldValidation::Ignore) => Status::bad_request(why),
            (Self::Merge, FieldValidation::Ignore) => Status::bad_request(NO_MERGE_PATCH),
            (Self::Json | Self::Merge, _) => Status::bad_request(format!("error decoding patch: {why}")),
        })
    }

    fn apply(&self, view: &Value, patch: &Value, validation: FieldValidation) -> ApiResult<Value> {
        match (self, validation) {
            (Self::Json, FieldValidation::Ignore) => mainstay_api::patch::json_patch_unvalidated(view, patch),
            (Self::Json, _) => mainstay_api::patch::json_patch(view, patch),
            (Self::Merge, FieldValidation::Ignore) if !patch.is_object() && !patch.is_array() => {
                Err(Status::bad_request(NO_MERGE_PATCH))
            }
            (Self::Merge, _) => mainstay_api::patch::merge_patch(view, patch),
            (Self::Strategic(of), _) => mainstay_api::patch::strategic::apply(view, patch, of),
        }
    }

    /// How errors about the patched object tell of the patch.
    fn said<'p>(&self, patch: &'p Value) -> Said<'p> {
        match self {
            Self::Json | Self::Merge => Said::Patched,
            Self::Strategic(_) => Said::Merged(patch),
        }
    }

    /// What a strict decoder finds in the patch itself: fields that occur twice, and what is no part of an operation.
    fn oddities(&self, patch: &Document) -> Vec<String> {
        let twice = patch.duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
        if !matches!(self, Self::Json) {
            return twice.collect();
        }
        let operations = patch.value.as_array().into_iter().flatten().enumerate();
        let unknown = operations.flat_map(|(index, operation)| {
            let names = operation.as_object().into_iter().flat_map(serde_json::Map::keys);
            let odd = names.filter(|name| !matches!(name.as_str(), "op" | "path" | "from" | "value"));
            odd.map(move |name| format!("unknown field \"[{index}].{name}\"")).collect::<Vec<_>>()
        });
        twice.chain(unknown).map(|problem| format!("json patch {problem}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::types::type_of;

    use super::*;

    fn strategic() -> Format {
        Format::Strategic(type_of("", "v1", "ConfigMap").unwrap())
    }

    #[test]
    fn what_is_odd_in_a_patch_is_told() {
        let odd = |format: Format, patch: &str| {
            format.oddities(&format.read(patch.as_bytes(), FieldValidation::Warn).unwrap())
        };
        assert_eq!(odd(Format::Merge, r#"{"data":{"a":"1","a":"2"}}"#), ["duplicate field \"data.a\""]);
        assert_eq!(
            odd(Format::Json, r#"[{"op":"test","op":"add","path":"/a","values":1}]"#),
            ["json patch duplicate field \"[0].op\"", "json patch unknown field \"[0].values\""]
        );
        assert!(odd(strategic(), r#"{"data":{"a":"1"}}"#).is_empty());
    }

    #[test]
    fn what_is_no_json_is_told_as_its_format_tells_it() {
        let error = |format: Format, patch: &str| {
            format.read(patch.as_bytes(), FieldValidation::Warn).unwrap_err().message.into_owned()
        };
        assert_eq!(error(Format::Json, "[{"), "error decoding patch: unexpected end of JSON input");
        assert_eq!(error(Format::Json, ""), "error decoding patch: unexpected end of JSON input");
        assert_eq!(
            error(Format::Merge, "{\"data\":{\"a\":\"YQ==\"},}"),
            "error decoding patch: invalid character '}' looking for beginning of object key string"
        );
        assert_eq!(error(strategic(), "a: b"), "invalid character 'a' looking for beginning of value");
    }

    #[test]
    fn patches_that_nobody_validates_are_refused_by_what_applies_them() {
        let refused = |format: Format, patch: &str| {
            let validation = FieldValidation::Ignore;
            let read = format.read(patch.as_bytes(), validation);
            let applied = read.and_then(|patch| format.apply(&Value::Null, &patch.value, validation));
            applied.unwrap_err().message.into_owned()
        };
        assert_eq!(refused(Format::Json, "[{"), "unexpected end of JSON input");
        assert_eq!(refused(Format::Json, "{}"), "json: cannot unmarshal object into Go value of type jsonpatch.Patch");
        for none in ["{", "1", "\"a\"", "true", "null"] {
            assert_eq!(refused(Format::Merge, none), "Invalid JSON Patch", "{none}");
        }
        assert_eq!(refused(strategic(), "a: b"), "invalid character 'a' looking for beginning of value");
    }
}
