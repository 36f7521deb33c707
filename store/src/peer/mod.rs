//! Between masters: mutual TLS, Raft's messages, forwarded proposals and reads, membership, snapshots.

pub(crate) mod connect;
pub(crate) mod net;
pub(crate) mod network;
pub(crate) mod server;
pub(crate) mod tls;
mod transfer;
