//! What a master answers to the others.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use mainstay_proto::raft as pb;
use mainstay_proto::raft::peer_server::{Peer, PeerServer};
use openraft::raft::TransferLeaderRequest;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult, VoteRequest};
use tonic::{Request, Response, Status, Streaming};

use super::connect::MAX_MESSAGE;
use super::net::{Connecting, Listener};
use super::transfer;
use crate::node::Node;
use crate::raft_types::TypeConfig;
use crate::removal::Removal;
use crate::wire::{self, Malformed};

/// A silent connection is asked for a sign of life, and closed without one.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// Serves until the node stops; then connections are closed, so that peers notice at once.
pub(crate) async fn serve(node: Arc<Node>, listener: Box<dyn Listener>) {
    loop {
        let stream = tokio::select! {
            () = node.stop.cancelled() => return,
            stream = listener.accept() => stream,
        };
        match stream {
            Ok(connecting) => {
                node.tasks.spawn(serve_connection(node.clone(), connecting));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a peer");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(node: Arc<Node>, connecting: Connecting) {
    let stop = node.stop.clone();
    let served = async {
        let stream = connecting.await?;
        let service = PeerServer::new(PeerService { node })
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(16 << 20)
            .max_concurrent_streams(4096);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        connection.await.map_err(std::io::Error::other)
    };
    tokio::select! {
        () = stop.cancelled() => {}
        result = served => if let Err(error) = result {
            tracing::debug!(%error, "a peer's connection ended");
        }
    }
}

struct PeerService {
    node: Arc<Node>,
}

fn fatal(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

fn append_from_pb(request: pb::AppendRequest) -> Result<AppendEntriesRequest<TypeConfig>, Malformed> {
    Ok(AppendEntriesRequest {
        vote: wire::vote_from_pb(request.vote)?,
        prev_log_id: request.previous.map(wire::log_id_from_pb),
        entries: request.entries.into_iter().map(wire::entry_from_pb).collect::<Result<_, _>>()?,
        leader_commit: request.commit.map(wire::log_id_from_pb),
    })
}

fn append_to_pb(result: StreamAppendResult<TypeConfig>) -> pb::AppendReply {
    use pb::append_reply::Result as Reply;
    let result = match result {
        Ok(last) => Reply::Matched(pb::AppendMatched { last: last.as_ref().map(wire::log_id_to_pb) }),
        Err(StreamAppendError::Conflict(id)) => Reply::Conflict(wire::log_id_to_pb(&id)),
        Err(StreamAppendError::HigherVote(vote)) => Reply::HigherVote(wire::vote_to_pb(&vote)),
    };
    pb::AppendReply { result: Some(result) }
}

fn vote_from_pb(request: &pb::VoteRequest) -> Result<VoteRequest<TypeConfig>, Malformed> {
    let vote = wire::vote_from_pb(request.vote)?;
    let mut decoded = VoteRequest::new(vote, request.last.map(wire::log_id_from_pb));
    decoded.leadership_transfer = request.leadership_transfer;
    Ok(decoded)
}

impl PeerService {
    /// A message for another member must not be taken for ours: its address may have been reused.
    fn require_target(&self, target: u64) -> Result<(), Status> {
        if target == self.node.me.id {
            return Ok(());
        }
        Err(Status::failed_precondition(format!("this is member {}, not {target}", self.node.me.id)))
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Peer for PeerService {
    type AppendStream = Replies<pb::AppendReply>;

    async fn append(
        &self,
        request: Request<Streaming<pb::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (me, heard) = (self.node.me.id, self.node.heard.clone());
        let requests = request.into_inner().map(move |message| {
            let message = message?;
            if message.target != me {
                return Err(Status::failed_precondition(format!("this is member {me}, not {}", message.target)));
            }
            heard.note();
            append_from_pb(message).map_err(Status::from)
        });
        // A broken or malformed request ends the stream; the leader opens a new one.
        let valid = requests
            .take_while(|request| std::future::ready(request.is_ok()))
            .filter_map(|request| std::future::ready(request.ok()));
        let replies = self.node.raft.stream_append(valid);
        let replies = replies.map(|reply| reply.map(append_to_pb).map_err(fatal));
        Ok(Response::new(Box::pin(replies)))
    }

    async fn append_once(&self, request: Request<pb::AppendRequest>) -> Result<Response<pb::AppendReply>, Status> {
        let request = request.into_inner();
        self.require_target(request.target)?;
        let request = append_from_pb(request)?;
        self.node.heard.note();
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        let previous = request.prev_log_id;
        let response = self.node.raft.append_entries(request).await.map_err(fatal)?;
        if previous.is_none() && response.is_conflict() {
            return Err(Status::internal("a conflict without a previous entry"));
        }
        Ok(Response::new(append_to_pb(response.into_stream_result(previous, last))))
    }

    async fn vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        let request = request.into_inner();
        self.require_target(request.target)?;
        let response = self.node.raft.vote(vote_from_pb(&request)?).await.map_err(fatal)?;
        Ok(Response::new(vote_to_pb(&response)))
    }

    async fn pre_vote(&self, request: Request<pb::VoteRequest>) -> Result<Response<pb::VoteReply>, Status> {
        let request = request.into_inner();
        self.require_target(request.target)?;
        let response = self.node.raft.pre_vote(vote_from_pb(&request)?).await.map_err(fatal)?;
        Ok(Response::new(vote_to_pb(&response)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotPart>>,
    ) -> Result<Response<pb::SnapshotReply>, Status> {
        let mut parts = request.into_inner();
        let first = parts.message().await?.and_then(|part| part.part);
        let Some(pb::snapshot_part::Part::Head(head)) = first else {
            return Err(Status::invalid_argument("a snapshot without a head"));
        };
        self.require_target(head.target)?;
        let vote = wire::vote_from_pb(head.vote)?;
        let snapshot = transfer::receive(&head, parts, self.node.state.dirs()).await?;
        tracing::info!(meta = %snapshot.meta, "snapshot received");
        let response = self.node.raft.install_full_snapshot(vote, snapshot).await.map_err(fatal)?;
        Ok(Response::new(pb::SnapshotReply { vote: Some(wire::vote_to_pb(&response.vote)) }))
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderReply>, Status> {
        let request = request.into_inner();
        self.require_target(request.target)?;
        let from = wire::vote_from_pb(request.from)?;
        let transfer = TransferLeaderRequest::new(from, request.to, request.last.map(wire::log_id_from_pb));
        let accepted = self.node.raft.handle_transfer_leader(transfer).await.map_err(fatal)?;
        let refused = accepted.err().map(|error| error.to_string()).unwrap_or_default();
        Ok(Response::new(pb::TransferLeaderReply { refused }))
    }

    async fn propose(&self, request: Request<pb::ProposeRequest>) -> Result<Response<pb::ProposeReply>, Status> {
        let outcomes = self.node.propose_forwarded(request.into_inner().txns).await;
        Ok(Response::new(pb::ProposeReply { outcomes }))
    }

    async fn read_index(&self, _: Request<pb::ReadIndexRequest>) -> Result<Response<pb::ReadIndexReply>, Status> {
        match self.node.read_index_as_leader().await {
            Some(index) => Ok(Response::new(pb::ReadIndexReply { index })),
            None => Err(Status::failed_precondition("not the leader")),
        }
    }

    async fn add_member(
        &self,
        request: Request<pb::AddMemberRequest>,
    ) -> Result<Response<pb::MembershipReply>, Status> {
        let member = request.into_inner().member.ok_or_else(|| Status::invalid_argument("no member"))?;
        let result = self.node.add_member_as_leader(wire::member_from_pb(member)).await;
        Ok(Response::new(self.node.membership_reply(result)))
    }

    async fn remove_member(
        &self,
        request: Request<pb::RemoveMemberRequest>,
    ) -> Result<Response<pb::MembershipReply>, Status> {
        let order = Removal::from_pb(request.into_inner());
        let result = self.node.remove_member_as_leader(&order).await;
        Ok(Response::new(self.node.membership_reply(result)))
    }

    async fn hand_over(&self, request: Request<pb::HandOverRequest>) -> Result<Response<pb::MembershipReply>, Status> {
        let name = request.into_inner().name;
        let result = self.node.hand_over_as_leader((!name.is_empty()).then_some(name.as_str())).await;
        Ok(Response::new(self.node.membership_reply(result)))
    }

    async fn status(&self, _: Request<pb::StatusRequest>) -> Result<Response<pb::StatusReply>, Status> {
        Ok(Response::new(self.node.own_status()))
    }
}

fn vote_to_pb(response: &openraft::raft::VoteResponse<TypeConfig>) -> pb::VoteReply {
    pb::VoteReply {
        vote: Some(wire::vote_to_pb(&response.vote)),
        granted: response.vote_granted,
        last: response.last_log_id.as_ref().map(wire::log_id_to_pb),
    }
}
