//! A list out of stored bytes, none of which is decoded, piece by piece: a long one is on its way before its end is put
//! together, and is never in memory as a whole.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};
use tonic::body::Body;

use crate::cache::CachedObject;
use crate::engine::{Listing, list_kind};
use crate::registry::Row;

/// Bytes of a piece, about: large enough that passing it on costs little.
const PIECE: usize = 64 << 10;

/// What is left of a list.
pub(super) struct Pieces {
    /// What the next piece begins with.
    begun: Vec<u8>,
    items: IntoIter<Arc<CachedObject>>,
    /// `apiVersion` and `kind` as the stored objects begin; items of lists go without.
    header: Bytes,
    first: bool,
    ended: bool,
}

/// The metadata of a list.
pub(super) fn list_metadata(listing: &Listing, custom: bool) -> Value {
    let mut metadata = json!({"resourceVersion": listing.revision.0.to_string()});
    if custom || !listing.continuation.is_empty() {
        metadata["continue"] = listing.continuation.clone().into();
    }
    if let Some(remaining) = listing.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

impl Pieces {
    /// The whole list, in JSON. Rows that are custom or speak another version than the stored one are not for this.
    pub fn new(row: &Row, listing: Listing) -> Self {
        let mut begun = crate::codec::header(&row.api_version(), &list_kind(row));
        begun.extend_from_slice(b"\"metadata\":");
        begun.extend_from_slice(list_metadata(&listing, row.custom).to_string().as_bytes());
        begun.extend_from_slice(b",\"items\":[");
        let header = Bytes::copy_from_slice(&row.header);
        Self { begun, items: listing.items.into_iter(), header, first: true, ended: false }
    }

    /// As the body of an answer.
    pub fn into_body(self) -> Body {
        let frames = self.map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(piece)));
        Body::new(StreamBody::new(futures::stream::iter(frames)))
    }

    fn push(&mut self, item: &CachedObject) {
        if !std::mem::take(&mut self.first) {
            self.begun.push(b',');
        }
        match crate::codec::without_header(&item.value, &self.header) {
            Some(rest) => {
                self.begun.push(b'{');
                self.begun.extend_from_slice(rest);
            }
            None => self.begun.extend_from_slice(&item.value),
        }
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        // Room for the item that makes the piece full.
        self.begun.reserve(PIECE + PIECE / 4);
        while self.begun.len() < PIECE {
            let Some(item) = self.items.next() else {
                self.begun.extend_from_slice(b"]}\n");
                self.ended = true;
                break;
            };
            self.push(&item);
        }
        Some(std::mem::take(&mut self.begun).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn listing(count: usize) -> Listing {
        let filler = "x".repeat(1000);
        let item = |number| {
            let name = format!("c{number}");
            let value = format!(
                "{{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{{\"name\":\"{name}\"}},\"data\":{{\"k\":\"{filler}\"}}}}"
            );
            let key = Bytes::from(format!("/configmaps\0ns\0{name}"));
            Arc::new(CachedObject::new(key, value.into(), mainstay_store::Revision(1)).unwrap())
        };
        let items = (0..count).map(item).collect();
        Listing { items, revision: mainstay_store::Revision(7), continuation: String::new(), remaining: None }
    }

    #[test]
    fn the_pieces_together_are_the_list() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        for count in [0, 1, 200] {
            let pieces: Vec<Bytes> = Pieces::new(&row, listing(count)).collect();
            assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() < 2 * PIECE));
            assert_eq!(pieces.len() > 1, count == 200);
            let list: serde_json::Value = serde_json::from_slice(&pieces.concat()).unwrap();
            assert_eq!(list["items"].as_array().unwrap().len(), count);
            assert_eq!((&list["kind"], &list["metadata"]["resourceVersion"]), (&"ConfigMapList".into(), &"7".into()));
            assert!(list["items"].as_array().unwrap().iter().all(|item| item.get("kind").is_none()));
        }
    }
}
