//! Raft's messages to one other master.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use mainstay_proto::raft as pb;
use mainstay_proto::raft::peer_client::PeerClient;
use openraft::OptionalSend;
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::TransferLeaderRequest;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use tonic::transport::Channel;

use super::connect::{Connections, Lane};
use super::transfer;
use crate::cluster::MemberInfo;
use crate::raft_types::{TypeConfig, Vote};
use crate::state::{Checkpoint, Snapshot};
use crate::told::Told;
use crate::wire::{self, Malformed};

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;
type Appends<'s> = BoxStream<'s, RpcResult<StreamAppendResult<TypeConfig>>>;

/// Makes [`PeerNetwork`]s.
pub(crate) struct NetworkFactory {
    pub(crate) connections: Connections,
    /// After such a silence of a member that has entries to answer, they are sent again.
    pub(crate) patience: Duration,
    /// What any of them is told to be committed.
    pub(crate) told: Told,
}

/// The way to one other master.
pub(crate) struct PeerNetwork {
    target: u64,
    client: PeerClient<Channel>,
    lane: Lane,
    patience: Duration,
    told: Told,
    /// Append streams in a row that could not be opened.
    refused: usize,
}

/// Pauses before the next try, by failures in a row; the last one repeats.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(50), Duration::from_millis(100), Duration::from_millis(200)];

impl NetworkFactory {
    fn network(&self, target: u64, node: &MemberInfo, lane: Lane) -> PeerNetwork {
        let client = self.connections.to(&node.peer_address, lane);
        PeerNetwork { target, client, lane, patience: self.patience, told: self.told.clone(), refused: 0 }
    }
}

impl RaftNetworkFactory<TypeConfig> for NetworkFactory {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, node: &MemberInfo) -> PeerNetwork {
        self.network(target, node, Lane::Data)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &MemberInfo) -> PeerNetwork {
        self.network(target, node, Lane::Liveness)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &MemberInfo) -> PeerNetwork {
        self.network(target, node, Lane::Bulk)
    }
}

/// Refused connections are worth a pause, the rest a prompt new try.
fn failed(status: &tonic::Status) -> RPCError<TypeConfig> {
    match status.code() {
        tonic::Code::Unavailable | tonic::Code::FailedPrecondition => Unreachable::new(status).into(),
        _ => NetworkError::new(status).into(),
    }
}

fn malformed(error: &Malformed) -> RPCError<TypeConfig> {
    NetworkError::new(error).into()
}

fn timed_out() -> RPCError<TypeConfig> {
    NetworkError::from_string("no answer in time").into()
}

async fn answer<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> RpcResult<T> {
    match tokio::time::timeout(limit, call).await {
        Err(_) => Err(timed_out()),
        Ok(Err(status)) => Err(failed(&status)),
        Ok(Ok(response)) => Ok(response.into_inner()),
    }
}

/// Entries and the commit index for another master; what it is told is noted before it is sent.
fn append_to_pb(
    target: u64,
    request: &AppendEntriesRequest<TypeConfig>,
    told: &Told,
) -> Result<pb::AppendRequest, Malformed> {
    told.note(request.leader_commit.as_ref());
    Ok(pb::AppendRequest {
        target,
        vote: Some(wire::vote_to_pb(&request.vote)),
        previous: request.prev_log_id.as_ref().map(wire::log_id_to_pb),
        entries: request.entries.iter().map(wire::entry_to_pb).collect::<Result<_, _>>()?,
        commit: request.leader_commit.as_ref().map(wire::log_id_to_pb),
    })
}

fn append_from_pb(reply: pb::AppendReply) -> Result<StreamAppendResult<TypeConfig>, Malformed> {
    use pb::append_reply::Result as Reply;
    match reply.result {
        Some(Reply::Matched(matched)) => Ok(Ok(matched.last.map(wire::log_id_from_pb))),
        Some(Reply::Conflict(id)) => Ok(Err(StreamAppendError::Conflict(wire::log_id_from_pb(id)))),
        Some(Reply::HigherVote(vote)) => Ok(Err(StreamAppendError::HigherVote(wire::vote_from_pb(Some(vote))?))),
        None => Err(Malformed("append reply without result".to_owned())),
    }
}

/// Before the next stream. Heartbeats have a pace of their own and little time each: one that waits first is never sent,
/// however long the other side is well again.
fn pause_before(lane: Lane, failures: usize) -> Option<Duration> {
    (lane != Lane::Liveness && failures > 0).then(|| pause_after(failures))
}

fn pause_after(failures: usize) -> Duration {
    PAUSES[failures.clamp(1, PAUSES.len()) - 1]
}

/// How long an answer to entries may take. openraft gives everything the time of a heartbeat. A heartbeat that is late is
/// worth nothing; but a member that is busy for that long has the entries all the same, and has to take them once more if
/// they are given up. Whether it lives is for the heartbeats to tell.
fn patience_for(lane: Lane, heartbeat: Duration, patience: Duration) -> Duration {
    if lane == Lane::Liveness { heartbeat } else { patience.max(heartbeat) }
}

impl PeerNetwork {
    /// openraft's own backoff takes effect where the entries are read, which an append that cannot be opened never does.
    async fn pause(&self) {
        if let Some(pause) = pause_before(self.lane, self.refused) {
            tokio::time::sleep(pause).await;
        }
    }

    fn vote_request(&self, request: &VoteRequest<TypeConfig>) -> pb::VoteRequest {
        pb::VoteRequest {
            target: self.target,
            vote: Some(wire::vote_to_pb(&request.vote)),
            last: request.last_log_id.as_ref().map(wire::log_id_to_pb),
            leadership_transfer: request.leadership_transfer,
        }
    }
}

fn vote_reply(reply: pb::VoteReply) -> RpcResult<VoteResponse<TypeConfig>> {
    let vote = wire::vote_from_pb(reply.vote).map_err(|error| malformed(&error))?;
    Ok(VoteResponse::new(vote, reply.last.map(wire::log_id_from_pb), reply.granted))
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = Checkpoint;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<TypeConfig>> {
        let last = rpc.entries.last().map(|entry| entry.log_id).or(rpc.prev_log_id);
        let request = append_to_pb(self.target, &rpc, &self.told).map_err(|error| malformed(&error))?;
        let reply = answer(option.soft_ttl(), self.client.append_once(request)).await?;
        match append_from_pb(reply).map_err(|error| malformed(&error))? {
            Ok(matched) if matched == last => Ok(AppendEntriesResponse::Success),
            Ok(matched) => Ok(AppendEntriesResponse::PartialSuccess(matched)),
            Err(StreamAppendError::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
            Err(StreamAppendError::HigherVote(vote)) => Ok(AppendEntriesResponse::HigherVote(vote)),
        }
    }

    fn stream_append<'s, S>(&'s mut self, input: S, option: RPCOption) -> BoxFuture<'s, RpcResult<Appends<'s>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            self.pause().await;
            let patience = patience_for(self.lane, option.soft_ttl(), self.patience);
            let in_flight = Arc::new(AtomicUsize::new(0));
            let (target, sent, told) = (self.target, in_flight.clone(), self.told.clone());
            let requests = input.filter_map(move |request| {
                sent.fetch_add(1, Ordering::Relaxed);
                // An entry that cannot be encoded ends in the answer's timeout; it could not have been stored either.
                let encoded =
                    append_to_pb(target, &request, &told).inspect_err(|error| tracing::error!(%error, "append"));
                std::future::ready(encoded.ok())
            });
            let opening = tokio::time::timeout(patience, self.client.append(requests));
            self.refused += 1;
            let replies = match opening.await {
                Err(_) => return Err(timed_out()),
                Ok(Err(status)) => return Err(failed(&status)),
                Ok(Ok(response)) => response.into_inner(),
            };
            self.refused = 0;
            let stream: Appends<'s> = Box::pin(in_order(replies, in_flight, patience));
            Ok(stream)
        })
    }

    async fn vote(&mut self, rpc: VoteRequest<TypeConfig>, option: RPCOption) -> RpcResult<VoteResponse<TypeConfig>> {
        let request = self.vote_request(&rpc);
        vote_reply(answer(option.soft_ttl(), self.client.vote(request)).await?)
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        let request = self.vote_request(&rpc);
        vote_reply(answer(option.soft_ttl(), self.client.pre_vote(request)).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let parts = transfer::send(self.target, &vote, snapshot);
        let sent = answer(option.soft_ttl(), self.client.install_snapshot(parts));
        tokio::select! {
            closed = cancel => Err(closed.into()),
            reply = sent => {
                let reply = reply?;
                let vote = wire::vote_from_pb(reply.vote).map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
                Ok(SnapshotResponse::new(vote))
            }
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<openraft::raft::TransferLeaderResponse<TypeConfig>> {
        let request = pb::TransferLeaderRequest {
            target: self.target,
            from: Some(wire::vote_to_pb(req.from_leader())),
            last: req.last_log_id().map(wire::log_id_to_pb),
            to: *req.to_node_id(),
        };
        let reply = answer(option.soft_ttl(), self.client.transfer_leader(request)).await?;
        if reply.refused.is_empty() {
            return Ok(Ok(()));
        }
        Err(NetworkError::from_string(reply.refused).into())
    }

    fn backoff(&self) -> Option<Backoff> {
        Some(Backoff::new((1..).map(pause_after)))
    }
}

/// Replies as openraft wants them; an error ends the stream. While something is in flight, silence is an error.
fn in_order(
    replies: tonic::Streaming<pb::AppendReply>,
    in_flight: Arc<AtomicUsize>,
    patience: Duration,
) -> impl Stream<Item = RpcResult<StreamAppendResult<TypeConfig>>> {
    futures::stream::unfold(Some(replies), move |replies| {
        let in_flight = in_flight.clone();
        async move {
            let mut replies = replies?;
            let reply = loop {
                match tokio::time::timeout(patience, replies.next()).await {
                    Ok(reply) => break reply?,
                    Err(_) if in_flight.load(Ordering::Relaxed) == 0 => {}
                    Err(_) => return Some((Err(timed_out()), None)),
                }
            };
            in_flight.fetch_sub(1, Ordering::Relaxed);
            let result = match reply {
                Ok(reply) => append_from_pb(reply).map_err(|error| malformed(&error)),
                Err(status) => Err(failed(&status)),
            };
            let goes_on = matches!(result, Ok(Ok(_)));
            Some((result, goes_on.then_some(replies)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_never_wait_and_replication_waits_longer_and_longer() {
        let pauses = |lane| [0, 1, 3, 99].map(|failures| pause_before(lane, failures).map(|pause| pause.as_millis()));
        assert_eq!(pauses(Lane::Liveness), [None; 4]);
        assert_eq!(pauses(Lane::Data), [None, Some(20), Some(100), Some(200)]);
    }

    #[test]
    fn a_busy_member_is_waited_for_longer_than_a_heartbeat_is() {
        let (heartbeat, patience) = (Duration::from_millis(37), Duration::from_millis(500));
        assert_eq!(patience_for(Lane::Data, heartbeat, patience), patience);
        assert_eq!(patience_for(Lane::Liveness, heartbeat, patience), heartbeat);
    }
}
