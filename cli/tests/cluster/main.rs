//! Whole clusters of real processes, driven as users drive them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod kubectl;
mod support;
