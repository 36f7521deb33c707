//! Breaks a cluster on purpose and proves what held.
//!
//! [`run::run`] starts the clients of [`workload`], goes through a [`scenario`]'s steps ([`fault`]s), and judges what the
//! clients wrote down with the properties in [`check`]. Every fault is undone, also when the run ends early or is
//! killed ([`undo`]); a cluster that was started here is removed.

pub mod check;
mod clocks;
pub mod cluster;
pub mod cluster_file;
mod disks;
pub mod expectation;
pub mod fault;
pub mod history;
mod machine;
mod mounts;
pub mod observer;
pub mod page;
mod pod;
pub mod process;
pub mod relay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod state;
pub mod status;
mod tool;
pub mod undo;
pub mod workload;
