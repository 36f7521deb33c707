//! A server in the test's process, asked as clients ask it.
#![allow(clippy::unwrap_used, missing_docs)]

mod aggregated;
mod applies;
mod audit;
mod connections;
mod definitions;
mod encryption;
mod evictions;
mod flow;
mod health;
mod https;
mod quotas;
mod refused_grpc;
mod refused_rest;
mod revisions;
mod support;
mod tokens;
mod transactions;

use mainstay_apiserver::user::UserInfo;

/// What everybody who is authenticated may make: questions about oneself.
const OWN_QUESTIONS: [&str; 3] = ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];

/// Someone who is known, and nothing else.
fn member() -> UserInfo {
    UserInfo { name: "nobody".into(), groups: vec!["system:authenticated".into()], ..UserInfo::default() }
}
