//! Reads and what they return.

use bytes::Bytes;

use crate::types::{Entry, Freshness, Revision};

/// A listing of keys with a common prefix, in key order.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Keys that begin with this; empty: all.
    pub prefix: Bytes,
    /// Only keys after this one.
    pub after: Option<Bytes>,
    /// Entries at the most; 0: all.
    pub limit: usize,
    /// How fresh.
    pub fresh: Freshness,
}

/// A part of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries, in key order.
    pub entries: Vec<Entry>,
    /// The revision of the whole listing.
    pub revision: Revision,
    /// Whether there are more after the last of these.
    pub more: bool,
}
