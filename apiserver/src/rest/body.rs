//! Bodies of requests.

use bytes::Bytes;
use http_body_util::{BodyExt, Collected, LengthLimitError, Limited};
use mainstay_api::status::{ApiResult, Status};
use tonic::body::Body;

use super::BODY_LIMIT;

/// The whole body, if it is not too large.
pub(crate) async fn read(body: Body) -> ApiResult<Bytes> {
    let collected = Limited::new(body, BODY_LIMIT).collect().await;
    collected.map(Collected::to_bytes).map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            Status::request_too_large(format!("limit is {BODY_LIMIT}"))
        } else {
            Status::bad_request(format!("reading the request's body: {error}"))
        }
    })
}
