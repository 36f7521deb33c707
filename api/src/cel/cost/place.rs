//! Where values stand in the schema that bounds them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::cel::identifier::unescaped;
use crate::schema::{additional, flag, is_embedded, items, properties, text};

/// Marks a map in a schema of bounds whose values are as large by whichever name they are selected.
pub const ALIKE: &str = "@alike";
/// The keys of a map in a schema of bounds, if they have a size.
pub const KEYS: &str = "@keys";

static TEXT: LazyLock<Value> = LazyLock::new(|| json!({"type": "string"}));
/// What has no size.
static KEY: LazyLock<Value> = LazyLock::new(|| json!({"type": "boolean"}));
static METADATA: LazyLock<Value> = LazyLock::new(
    || json!({"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}}),
);

/// Where a value stands: its schema, and whether that is the schema of whole objects.
#[derive(Clone, Copy)]
pub(super) struct Place<'v> {
    pub schema: &'v Value,
    pub root: bool,
}

impl<'v> Place<'v> {
    pub fn of(schema: &'v Value) -> Self {
        Self { schema, root: false }
    }

    pub fn field(self, name: &str) -> Option<Self> {
        if (self.root || is_embedded(self.schema)) && !declares_identity(self.schema) {
            match name {
                "apiVersion" | "kind" => return Some(Place::of(&TEXT)),
                "metadata" => return Some(Place::of(&METADATA)),
                _ => {}
            }
        }
        if let Some(values) = additional(self.schema) {
            return flag(self.schema, ALIKE).then(|| Place::of(values));
        }
        properties(self.schema)?.get(&unescaped(name)).map(Place::of)
    }

    /// Where the keys of a map are.
    pub fn keys(self) -> Option<Self> {
        additional(self.schema)?;
        Some(Place::of(self.schema.get(KEYS).unwrap_or(&KEY)))
    }

    /// Where the elements of a list or the values of a map are.
    pub fn below(self) -> Option<Self> {
        let of = if text(self.schema, "type") == "array" { items(self.schema) } else { additional(self.schema) };
        of.map(Place::of)
    }
}

/// Whether a schema says itself of what form all is that tells an object from others. What it says of a part of that is
/// not looked at.
fn declares_identity(schema: &Value) -> bool {
    let is = |schema: Option<&Value>, kind: &str| schema.is_some_and(|schema| text(schema, "type") == kind);
    let own = |name: &str| properties(schema).and_then(|all| all.get(name));
    let named = |name: &str| own("metadata").and_then(properties).and_then(|all| all.get(name));
    let texts = [own("kind"), own("apiVersion"), named("name"), named("generateName")];
    is(own("metadata"), "object") && texts.into_iter().all(|text| is(text, "string"))
}
