//! What the tables of the API say, as the engine asks for it.

/// Strict decoding.
pub mod decode {
    use mainstay_api::types::Type;
    use serde_json::Value;

    /// A checked object.
    pub struct Decoded {
        /// Known fields only, normalised.
        pub value: Value,
        /// Type errors.
        pub errors: Vec<String>,
        /// Unknown fields.
        pub unknown: Vec<String>,
    }

    /// Checks an object.
    pub fn strict(_of: &Type, value: &Value) -> Decoded {
        Decoded { value: value.clone(), errors: Vec::new(), unknown: Vec::new() }
    }
}

/// Defaulting.
pub mod defaults {
    use serde_json::Value;

    /// Fills in defaults.
    pub fn apply(_group: &str, _version: &str, _kind: &str, _value: &mut Value) {}
}

/// Conversion.
pub mod convert {
    use mainstay_api::status::ApiResult;
    use serde_json::Value;

    /// Converts.
    pub fn to_version(value: Value, _group: &str, _version: &str, _kind: &str) -> ApiResult<Value> {
        Ok(value)
    }
}

/// Protobuf.
pub mod protobuf {
    use mainstay_api::status::{ApiResult, Status};
    use serde_json::Value;

    /// Decodes.
    pub fn decode(_bytes: &[u8]) -> Result<Value, String> {
        Err("no protobuf".into())
    }

    /// Encodes.
    pub fn encode(_value: &Value) -> ApiResult<Vec<u8>> {
        Err(Status::internal("no protobuf"))
    }
}

/// Tables.
pub mod table {
    use mainstay_api::resource::Resource;
    use serde_json::Value;

    /// A table.
    pub struct Rendered {
        /// Columns.
        pub columns: Value,
        /// Rows.
        pub rows: Vec<Value>,
    }

    /// Renders.
    pub fn render(_row: &Resource, _kind: Option<&str>, _objects: &[Value], _now: jiff::Timestamp) -> Rendered {
        Rendered { columns: Value::Array(Vec::new()), rows: Vec::new() }
    }
}

/// Discovery.
pub mod discovery {
    use mainstay_api::resource::Resource;
    use serde_json::Value;

    /// Aggregated.
    pub fn aggregated(_rows: &[Resource], _core: bool) -> Value {
        Value::Null
    }
    /// Versions.
    pub fn api_versions(_address: &str) -> Value {
        Value::Null
    }
    /// Groups.
    pub fn groups(_rows: &[Resource]) -> Value {
        Value::Null
    }
    /// Group.
    pub fn group(_rows: &[Resource], _group: &str) -> Option<Value> {
        None
    }
    /// Resources.
    pub fn resources(_rows: &[Resource], _group: &str, _version: &str) -> Value {
        Value::Null
    }
}

/// OpenAPI.
pub mod openapi {
    use mainstay_api::resource::Resource;
    use serde_json::Value;

    /// v2.
    pub fn v2(_rows: &[Resource]) -> Value {
        Value::Null
    }
    /// v3 index.
    pub fn v3_index(_rows: &[Resource]) -> Value {
        Value::Null
    }
    /// v3.
    pub fn v3_group_version(_rows: &[Resource], _gv: &str) -> Option<Value> {
        None
    }
}

/// Patches.
pub mod patch {
    use mainstay_api::status::{ApiResult, Status};
    use mainstay_api::types::Type;
    use serde_json::Value;

    /// JSON patch.
    pub fn json_patch(_object: &Value, _patch: &[u8]) -> ApiResult<Value> {
        Err(Status::internal("no patches"))
    }
    /// Merge patch.
    pub fn merge_patch(_object: &Value, _patch: &[u8]) -> ApiResult<Value> {
        Err(Status::internal("no patches"))
    }
    /// Strategic.
    pub mod strategic {
        use super::*;
        /// Apply.
        pub fn apply_bytes(_object: &Value, _patch: &[u8], _of: &'static Type) -> ApiResult<Value> {
            Err(Status::internal("no patches"))
        }
    }
}

/// Apply.
pub mod ssa {
    use mainstay_api::status::{ApiResult, Status};
    use mainstay_api::types::Type;
    use serde_json::Value;

    /// Set.
    pub struct FieldSet;
    impl FieldSet {
        /// Of.
        pub fn of_fields(_: &[&[&str]]) -> Self {
            Self
        }
    }
    /// Schema.
    #[derive(Clone, Copy)]
    pub enum Schema<'a> {
        /// S.
        Struct(&'static Type),
        /// D.
        Deduced,
        /// C.
        Custom(&'a Value),
    }
    /// Write.
    pub struct Write<'a> {
        /// S
        pub schema: Schema<'a>,
        /// m
        pub manager: &'a str,
        /// a
        pub api_version: &'a str,
        /// s
        pub subresource: &'a str,
        /// i
        pub ignored: &'a FieldSet,
        /// n
        pub now: jiff::Timestamp,
    }
    /// T
    pub fn track_update(_old: Option<&Value>, _new: &mut Value, _write: &Write<'_>) {}
    /// A
    pub fn apply(_live: Option<&Value>, _config: &Value, _write: &Write<'_>, _force: bool) -> ApiResult<Value> {
        Err(Status::internal("no apply"))
    }
}
