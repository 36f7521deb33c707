//! Whole clusters of real processes, driven as users drive them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod certificates;
mod containers;
mod crash;
mod fencing;
mod kube_rs;
mod kubectl;
mod node_client;
mod operations;
mod operator;
mod python;
mod security;
mod support;
mod verbs;
