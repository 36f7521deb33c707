//! `Masters`: what masters ask of each other.

use std::sync::Arc;

use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::masters_server::Masters;
use mainstay_proto::v1::{DialFrame, FindSessionRequest, FindSessionResponse, SessionReport, SessionReportResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Extensions, Request, Response, Streaming};

use super::access::user;
use crate::agents::{Agents, Tunnel};

/// Frames that wait between two masters.
const QUEUE: usize = 16;

pub(crate) struct MastersService {
    pub agents: Arc<Agents>,
}

/// Masters show that they are masters by their certificates.
fn check(extensions: &Extensions) -> Result<(), tonic::Status> {
    let checked: ApiResult<()> = user(extensions).and_then(|user| {
        let master = user.groups.iter().any(|group| group == "system:mainstay:masters");
        if master || crate::authz::is_superuser(&user) {
            Ok(())
        } else {
            Err(Status::forbidden("", "masters", "", "only masters may ask this"))
        }
    });
    checked.map_err(|status| super::status(&status))
}

#[tonic::async_trait]
impl Masters for MastersService {
    async fn report_sessions(
        &self,
        request: Request<SessionReport>,
    ) -> Result<Response<SessionReportResponse>, tonic::Status> {
        check(request.extensions())?;
        self.agents.take_report(request.into_inner());
        Ok(Response::new(SessionReportResponse {}))
    }

    type DialStream = ReceiverStream<Result<DialFrame, tonic::Status>>;

    async fn dial(&self, request: Request<Streaming<DialFrame>>) -> Result<Response<Self::DialStream>, tonic::Status> {
        check(request.extensions())?;
        let mut frames = request.into_inner();
        let first =
            frames.message().await?.ok_or_else(|| tonic::Status::invalid_argument("the first frame names the node"))?;
        let tunnel = self.agents.open_local(&first.node_name).await;
        let tunnel =
            tunnel.ok_or_else(|| tonic::Status::unavailable(format!("no session with node {}", first.node_name)))?;
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(relay(tunnel, frames, sender));
        Ok(Response::new(ReceiverStream::new(queue)))
    }

    async fn find_session(
        &self,
        request: Request<FindSessionRequest>,
    ) -> Result<Response<FindSessionResponse>, tonic::Status> {
        check(request.extensions())?;
        let url = self.agents.url_of(&request.into_inner().node_name).unwrap_or_default();
        Ok(Response::new(FindSessionResponse { url }))
    }
}

async fn relay(
    tunnel: Tunnel,
    mut frames: Streaming<DialFrame>,
    sender: mpsc::Sender<Result<DialFrame, tonic::Status>>,
) {
    let (mut read, mut write) = tokio::io::split(tunnel);
    let inward = async move {
        while let Ok(Some(frame)) = frames.message().await {
            if write.write_all(&frame.data).await.is_err() {
                return;
            }
        }
        if let Err(error) = write.shutdown().await {
            tracing::debug!(%error, "closing a relayed stream");
        }
    };
    let outward = async move {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count) = read.read(&mut buffer).await {
            let data = bytes::Bytes::copy_from_slice(&buffer[..count]);
            if count == 0 || sender.send(Ok(DialFrame { node_name: String::new(), data })).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(inward, outward);
}
