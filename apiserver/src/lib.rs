//! The one door to the state: authentication, authorization, admission, verbs, watch cache, REST and gRPC.
//!
//! A request enters through [`server`] or in the process, passes the filters of its face, and ends in the [`engine`],
//! which alone talks to the store. Reads come from the [`cache`].

pub mod admission;
mod agents;
mod aggregation;
pub mod audit;
pub mod authn;
pub mod authz;
pub mod bootstrap;
pub mod cache;
mod codec;
mod custom;
mod dispatch;
pub mod encryption;
pub mod engine;
mod extension;
pub mod flow;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod gate;
mod grpc;
pub mod key;
mod percent;
pub mod pki;
pub mod registry;
mod rest;
mod server;
mod startup;
pub mod strategy;
mod turns;
mod unread;
mod upgrade;
pub mod user;
mod warnings;

mod api_server;

pub use agents::{Liveness, NodeLiveness};
pub use api_server::{ApiServer, SecurityConfig, ServerConfig, ServerError};
pub use dispatch::InProcess;
