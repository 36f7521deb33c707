//! What an object is: resources, metadata, selectors, quantities, patches, defaults, errors. Pure functions over
//! erased objects (`serde_json::Value`): no I/O and no clock.

pub(crate) mod address;
pub mod cel;
pub mod convert;
pub mod decode;
pub mod defaults;
pub mod devices;
pub mod discovery;
pub mod field;
pub mod json;
pub mod meta;
pub mod names;
pub mod numbers;
pub mod openapi;
pub mod patch;
pub mod placement;
pub mod protobuf;
pub mod quantity;
pub mod resource;
pub mod schema;
pub mod selector;
pub mod ssa;
pub mod status;
pub mod table;
pub mod time;
pub mod types;
pub mod url;
pub mod yaml;
