//! The gRPC face: the same engine behind `Objects`, the agents' sessions, and the cluster's operation.

use mainstay_api::status::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

/// A failure as gRPC carries it: a code by the HTTP code, and the whole Status in the trailer.
pub(crate) fn status(status: &Status) -> tonic::Status {
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(mainstay_proto::STATUS_TRAILER, MetadataValue::from_bytes(&status.to_json()));
    tonic::Status::with_metadata(code(status), status.message.to_string(), metadata)
}

fn code(status: &Status) -> tonic::Code {
    use tonic::Code;
    match status.code() {
        404 => Code::NotFound,
        409 if status.is("AlreadyExists") => Code::AlreadyExists,
        409 => Code::Aborted,
        403 => Code::PermissionDenied,
        401 => Code::Unauthenticated,
        400 | 422 => Code::InvalidArgument,
        410 => Code::OutOfRange,
        429 | 507 => Code::ResourceExhausted,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Internal,
    }
}
