//! `Agents`: the session of an agent.

use std::sync::Arc;

use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::agents_server::Agents as AgentsApi;
use mainstay_proto::v1::{AgentFrame, MasterFrame, Welcome, agent_frame, master_frame};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Streaming};

use super::access::user;
use crate::agents::{Agents, HEARTBEAT};
use crate::user::UserInfo;

/// Frames that wait for an agent.
const QUEUE: usize = 64;

pub(crate) struct AgentsService {
    pub agents: Arc<Agents>,
    pub stop: CancellationToken,
}

#[tonic::async_trait]
impl AgentsApi for AgentsService {
    type SessionStream = ReceiverStream<Result<MasterFrame, tonic::Status>>;

    async fn session(
        &self,
        request: Request<Streaming<AgentFrame>>,
    ) -> Result<Response<Self::SessionStream>, tonic::Status> {
        let user = user(request.extensions()).map_err(|status| super::status(&status))?;
        let mut frames = request.into_inner();
        let hello = match frames.message().await?.and_then(|frame| frame.frame) {
            Some(agent_frame::Frame::Hello(hello)) => hello,
            _ => return Err(tonic::Status::invalid_argument("a session begins with a hello")),
        };
        check(&user, &hello.node_name).map_err(|status| super::status(&status))?;
        if self.agents.store.is_cut_off() {
            return Err(tonic::Status::unavailable("this master is cut off from the others"));
        }
        let (sender, queue) = mpsc::channel(QUEUE);
        let interval = u32::try_from(HEARTBEAT.as_millis()).unwrap_or(1000);
        let welcome = Welcome { heartbeat_interval_ms: interval, masters: self.agents.masters() };
        let welcome = MasterFrame { frame: Some(master_frame::Frame::Welcome(welcome)) };
        sender.send(Ok(welcome)).await.map_err(|_| tonic::Status::cancelled("the agent is gone"))?;
        let number = self.agents.open(&hello.node_name, hello.instance, sender.clone());
        tracing::info!(node = hello.node_name, "an agent has opened its session");
        tokio::spawn(run(self.agents.clone(), hello.node_name, number, frames, sender, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(queue)))
    }
}

/// Only the node itself, or an administrator, speaks for a node.
fn check(user: &UserInfo, node: &str) -> ApiResult<()> {
    let own = user.name == format!("system:node:{node}") && user.groups.iter().any(|group| group == "system:nodes");
    if own || crate::authz::is_superuser(user) {
        return Ok(());
    }
    Err(Status::forbidden("", "nodes", node, format!("{} may not speak for the node", user.name)))
}

async fn run(
    agents: Arc<Agents>,
    node: String,
    number: u64,
    mut frames: Streaming<AgentFrame>,
    sender: mpsc::Sender<Result<MasterFrame, tonic::Status>>,
    stop: CancellationToken,
) {
    loop {
        let frame = tokio::select! {
            frame = frames.message() => frame,
            () = stop.cancelled() => break,
            // The leader would not hear of this agent.
            () = agents.store.cut_off() => break,
        };
        let Ok(Some(frame)) = frame else { break };
        if let Some(answer) = agents.frame(&node, number, frame).await
            && sender.send(Ok(answer)).await.is_err()
        {
            break;
        }
    }
    tracing::info!(node, "the session of an agent has ended");
    agents.close(&node, number);
}
