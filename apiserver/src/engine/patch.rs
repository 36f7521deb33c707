//! The ways a request changes an object.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::status::{ApiResult, Status};
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
                self.decode_value(
                    call,
                    target,
                    applied,
                    &[],
                    &WriteOptions { field_validation: FieldValidation::Ignore, ..options.clone() },
                    &Said::Body(Bytes::new()),
                )
            }
            Change::Patch(kind, patch) => {
                let view = view.ok_or_else(|| super::read::not_found(target))?;
                let patched = patched(target, view, *kind, patch)?;
                let odd = oddities(*kind, patch);
                self.decode_value(call, target, patched, &odd, options, &said(*kind, patch))
            }
            Change::Edit(_) => Err(Status::internal("an edit is applied to the stored object")),
        }
    }
}

/// How errors about the patched object tell of the patch.
fn said(kind: PatchKind, patch: &Bytes) -> Said {
    match kind {
        PatchKind::Json | PatchKind::Merge => Said::Patched,
        PatchKind::Strategic => {
            let patch: Value = serde_json::from_slice(patch).unwrap_or_default();
            Said::Merged(mainstay_api::field::go_value(&patch))
        }
    }
}

/// What a strict decoder finds in the patch itself: fields that occur twice, and what is no part of an operation.
fn oddities(kind: PatchKind, patch: &Bytes) -> Vec<String> {
    let Ok(parsed) = super::json::parse(patch) else { return Vec::new() };
    let twice = parsed.duplicates.iter().map(|path| format!("duplicate field \"{path}\""));
    if kind != PatchKind::Json {
        return twice.collect();
    }
    let operations = parsed.value.as_array().into_iter().flatten().enumerate();
    let unknown = operations.flat_map(|(index, operation)| {
        let names = operation.as_object().into_iter().flat_map(serde_json::Map::keys);
        let odd = names.filter(|name| !matches!(name.as_str(), "op" | "path" | "from" | "value"));
        odd.map(move |name| format!("unknown field \"[{index}].{name}\"")).collect::<Vec<_>>()
    });
    twice.chain(unknown).map(|problem| format!("json patch {problem}")).collect()
}

fn patched(target: &Target, view: &Value, kind: PatchKind, patch: &Bytes) -> ApiResult<Value> {
    match kind {
        PatchKind::Json => mainstay_api::patch::json_patch(view, patch),
        PatchKind::Merge => mainstay_api::patch::merge_patch(view, patch),
        PatchKind::Strategic => {
            let of = super::decode::Expected::of(target).object_type;
            let of = of.ok_or_else(|| {
                Status::unsupported_media_type(&["application/json-patch+json", "application/merge-patch+json"])
            })?;
            mainstay_api::patch::strategic::apply_bytes(view, patch, of)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_odd_in_a_patch_is_told() {
        let odd = |kind, patch: &'static str| oddities(kind, &Bytes::from_static(patch.as_bytes()));
        assert_eq!(odd(PatchKind::Merge, r#"{"data":{"a":"1","a":"2"}}"#), ["duplicate field \"data.a\""]);
        assert_eq!(
            odd(PatchKind::Json, r#"[{"op":"test","op":"add","path":"/a","values":1}]"#),
            ["json patch duplicate field \"[0].op\"", "json patch unknown field \"[0].values\""]
        );
        assert!(odd(PatchKind::Strategic, r#"{"data":{"a":"1"}}"#).is_empty());
    }
}
