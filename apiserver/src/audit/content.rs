//! Bodies of requests and answers, for the log.

use bytes::Bytes;

/// A body, with what it takes to read it.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The bytes.
    pub bytes: Bytes,
    /// Its `Content-Type`.
    pub media: String,
    /// Compressed with gzip.
    pub zipped: bool,
}

impl Content {
    /// JSON.
    pub fn json(bytes: Bytes) -> Self {
        Self { bytes, media: "application/json".to_owned(), zipped: false }
    }
}
