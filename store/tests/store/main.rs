//! Masters in one process, on real sockets and directories.
#![allow(clippy::unwrap_used, clippy::too_many_lines)]

mod cluster;
mod disks;
mod faults;
mod recovery;
mod single;
mod support;
