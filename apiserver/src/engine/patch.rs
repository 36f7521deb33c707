//! The ways a request changes an object.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::json::Document;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::types::Type;
use serde_json::Value;

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
    /// Server-side apply of this object, as the client sent it.
    Apply(Value),
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
            Change::Apply(object) => {
                let applied = super::managed::apply(call, target, view, object, options)?;
                let said = if target.row.custom { Said::Body(Bytes::new()) } else { Said::Applied(object) };
                let options = WriteOptions { field_validation: FieldValidation::Ignore, ..options.clone() };
                self.decode_value(call, target, applied, &[], &options, &said)
            }
            Change::Patch(kind, patch) => {
                let view = view.ok_or_else(|| super::read::not_found(target))?;
                let format = Format::of(*kind, target)?;
                let patch = format.read(patch)?;
                let patched = format.apply(view, &patch.value)?;
                self.decode_value(call, target, patched, &format.oddities(&patch), options, &format.said(&patch.value))
            }
            Change::Edit(_) => Err(Status::internal("an edit is applied to the stored object")),
        }
    }
}

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

    fn read(&self, patch: &[u8]) -> ApiResult<Document> {
        Document::read(patch).map_err(|why| match self {
            Self::Json | Self::Merge => Status::bad_request(format!("error decoding patch: {why}")),
            Self::Strategic(_) => Status::bad_request(why),
        })
    }

    fn apply(&self, view: &Value, patch: &Value) -> ApiResult<Value> {
        match self {
            Self::Json => mainstay_api::patch::json_patch(view, patch),
            Self::Merge => mainstay_api::patch::merge_patch(view, patch),
            Self::Strategic(of) => mainstay_api::patch::strategic::apply(view, patch, of),
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
        let odd = |format: Format, patch: &str| format.oddities(&format.read(patch.as_bytes()).unwrap());
        assert_eq!(odd(Format::Merge, r#"{"data":{"a":"1","a":"2"}}"#), ["duplicate field \"data.a\""]);
        assert_eq!(
            odd(Format::Json, r#"[{"op":"test","op":"add","path":"/a","values":1}]"#),
            ["json patch duplicate field \"[0].op\"", "json patch unknown field \"[0].values\""]
        );
        assert!(odd(strategic(), r#"{"data":{"a":"1"}}"#).is_empty());
    }

    #[test]
    fn what_is_no_json_is_told_as_its_format_tells_it() {
        let error = |format: Format, patch: &str| format.read(patch.as_bytes()).unwrap_err().message.into_owned();
        assert_eq!(error(Format::Json, "[{"), "error decoding patch: unexpected end of JSON input");
        assert_eq!(error(Format::Json, ""), "error decoding patch: unexpected end of JSON input");
        assert_eq!(
            error(Format::Merge, "{\"data\":{\"a\":\"YQ==\"},}"),
            "error decoding patch: invalid character '}' looking for beginning of object key string"
        );
        assert_eq!(error(strategic(), "a: b"), "invalid character 'a' looking for beginning of value");
    }
}
