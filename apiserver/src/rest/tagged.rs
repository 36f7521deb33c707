//! Documents that clients keep: with an `ETag`, so that nobody fetches one twice.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use sha2::{Digest, Sha512};
use tonic::body::Body;

use super::admitted::Admitted;
use super::respond;

/// A document with its `ETag`; 304 if the client has it already.
pub(crate) fn tagged(request: &Admitted, content_type: &str, body: Bytes) -> Response<Body> {
    let tag = etag(&body);
    if request.header(header::IF_NONE_MATCH) == Some(tag.as_str()) {
        let mut response = respond::bytes(304, content_type, Bytes::new());
        set_tag(&mut response, &tag);
        return response;
    }
    let mut response = respond::sized(content_type, body, request.header(header::ACCEPT_ENCODING));
    set_tag(&mut response, &tag);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn set_tag(response: &mut Response<Body>, tag: &str) {
    if let Ok(value) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

fn etag(body: &[u8]) -> String {
    let digest = Sha512::digest(body);
    let hex: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("\"{hex}\"")
}
