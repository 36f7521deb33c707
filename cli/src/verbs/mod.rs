//! kubectl's words over gRPC. Each verb is a file: its flags, and what it does with them.

pub(crate) mod apply;
pub(crate) mod auth;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod describe;
pub(crate) mod edit;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod expose;
pub(crate) mod get;
pub(crate) mod image;
mod kinds;
pub(crate) mod logs;
mod manifest;
pub(crate) mod nodes;
pub(crate) mod patch;
pub(crate) mod port_forward;
pub(crate) mod print;
pub(crate) mod rollout;
pub(crate) mod scale;
mod selection;
mod session;
pub(crate) mod set;
pub(crate) mod table;
pub(crate) mod wait;
