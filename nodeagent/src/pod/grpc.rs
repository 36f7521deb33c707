//! Probes by gRPC: the health service of <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

use std::time::Duration;

use http::uri::PathAndQuery;
use k8s_openapi::api::core::v1::GRPCAction;
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Endpoint;

const CHECK: &str = "/grpc.health.v1.Health/Check";
const SERVING: i32 = 1;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// The one call's messages on the wire.
#[derive(Clone, Copy)]
struct Health;

impl Codec for Health {
    type Encode = Request;
    type Decode = Answer;
    type Encoder = Health;
    type Decoder = Health;

    fn encoder(&mut self) -> Health {
        Health
    }

    fn decoder(&mut self) -> Health {
        Health
    }
}

impl Encoder for Health {
    type Item = Request;
    type Error = Status;

    fn encode(&mut self, item: Request, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Health {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        Answer::decode(from).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Asks; or why the answer is not that it serves.
pub(super) async fn check(action: &GRPCAction, host: &str, limit: Duration) -> Result<(), String> {
    let address =
        if host.contains(':') { format!("[{host}]:{}", action.port) } else { format!("{host}:{}", action.port) };
    let service = action.service.clone().unwrap_or_default();
    match tokio::time::timeout(limit, ask(&address, service)).await {
        Ok(result) => result,
        Err(_) => {
            Err(format!("timeout: failed to connect service {address:?} within {limit:?}: context deadline exceeded"))
        }
    }
}

async fn ask(address: &str, service: String) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|e| e.to_string())?;
    let endpoint = endpoint.user_agent("kube-probe/1.36").map_err(|e| e.to_string())?;
    let channel = endpoint.connect().await.map_err(|e| format!("error: failed to connect service {address:?}: {e}"))?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|e| e.to_string())?;
    let request = tonic::Request::new(Request { service });
    let answer = client.unary(request, PathAndQuery::from_static(CHECK), Health).await;
    match answer {
        Ok(answer) if answer.get_ref().status == SERVING => Ok(()),
        Ok(answer) => Err(format!("service unhealthy (responded with {:?})", word(answer.get_ref().status))),
        Err(status) if status.code() == tonic::Code::Unimplemented => {
            Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".to_owned())
        }
        Err(status) => Err(format!("error: health rpc failed: {status}")),
    }
}

fn word(status: i32) -> &'static str {
    match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "INVALID",
    }
}
