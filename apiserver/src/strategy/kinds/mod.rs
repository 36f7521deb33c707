//! The kinds, a file each; small ones of one area together.

pub(crate) mod apps;
pub(crate) mod config;
pub(crate) mod namespace;
pub(crate) mod node;
pub mod pod;
pub(crate) mod service;
