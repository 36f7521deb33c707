//! FlowSchemas and PriorityLevelConfigurations.

mod conditions;
mod level;
mod schema;

pub(crate) use level::LEVEL;
pub(crate) use schema::SCHEMA;
