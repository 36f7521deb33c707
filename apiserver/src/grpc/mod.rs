//! The gRPC face: the same engine behind `Objects`, the agents' sessions, and the cluster's operation.

mod access;
mod agents;
mod asking;
mod backup;
mod cluster;
mod masters;
mod objects;
mod watch;

use std::sync::Arc;

use mainstay_api::status::Status;
use mainstay_proto::v1::agents_server::AgentsServer;
use mainstay_proto::v1::cluster_server::ClusterServer;
use mainstay_proto::v1::masters_server::MastersServer;
use mainstay_proto::v1::objects_server::ObjectsServer;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::Routes;

use crate::agents::Agents;
use crate::pki::MasterPki;
use crate::rest::Rest;

pub(crate) use asking::Way;

/// How the paths of the engine's methods begin.
pub(crate) const OBJECTS: &str = "/mainstay.v1.Objects/";

/// Bytes of a message at the most: a list of everything fits, as it would over REST.
const MESSAGE_LIMIT: usize = 512 << 20;

/// All services.
pub(crate) fn routes(rest: &Arc<Rest>, agents: &Arc<Agents>, pki: &Arc<MasterPki>) -> Routes {
    let objects = ObjectsServer::new(objects::ObjectsService { rest: rest.clone() })
        .max_decoding_message_size(crate::rest::BODY_LIMIT + (64 << 10))
        .max_encoding_message_size(MESSAGE_LIMIT);
    let sessions = AgentsServer::new(agents::AgentsService { agents: agents.clone(), stop: rest.stop.clone() });
    let masters = MastersServer::new(masters::MastersService { agents: agents.clone() });
    let cluster =
        ClusterServer::new(cluster::ClusterService { rest: rest.clone(), pki: pki.clone(), backups: Arc::default() });
    Routes::new(objects).add_service(sessions).add_service(masters).add_service(cluster)
}

/// A failure as gRPC carries it: a code by the HTTP code, and the whole Status in the trailer.
pub(crate) fn status(status: &Status) -> tonic::Status {
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(mainstay_proto::STATUS_TRAILER, MetadataValue::from_bytes(&status.to_json()));
    tonic::Status::with_metadata(code(status), status.message.to_string(), metadata)
}

/// The HTTP code of a gRPC code, for the audit log.
pub(crate) fn http_code(code: i32) -> u16 {
    use tonic::Code;
    match Code::from(code) {
        Code::Ok => 200,
        Code::InvalidArgument => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::OutOfRange => 410,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::DeadlineExceeded => 504,
        _ => 500,
    }
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
