//! Who belongs to the cluster. Changes are made by the leader, one at a time; other masters pass them on to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mainstay_proto::raft as pb;
use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::time::Instant;

use crate::cluster::MemberInfo;
use crate::error::StoreError;
use crate::leadership::member_of;
use crate::node::Node;
use crate::peer::connect::Lane;
use crate::raft_types::StoredMembership;
use crate::removal::{self, Removal};
use crate::wire;

/// For one membership change, catching up included.
const CHANGE: Duration = Duration::from_secs(60);
/// Between tries.
const PAUSE: Duration = Duration::from_millis(200);
/// For a hand-over to show.
const HAND_OVER: Duration = Duration::from_secs(2);
/// For a sign of life.
pub(crate) const PING: Duration = Duration::from_millis(500);

fn refused(error: impl std::fmt::Display) -> StoreError {
    StoreError::Membership(error.to_string())
}

/// A change that the leader is to make.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Add(MemberInfo),
    Remove(Removal),
    HandOver(Option<String>),
}

impl Node {
    pub(crate) fn membership(&self) -> std::sync::Arc<StoredMembership> {
        self.raft.metrics().borrow_watched().membership_config.clone()
    }

    /// All members, by name.
    pub(crate) fn members(&self) -> Vec<MemberInfo> {
        let membership = self.membership();
        let mut members: Vec<_> = membership.nodes().filter_map(|(id, _)| member_of(&membership, *id)).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        members
    }

    /// Makes a change wherever the leader is, trying for `patience`.
    pub(crate) async fn change(&self, change: Change, patience: Duration) -> Result<(), StoreError> {
        let deadline = Instant::now() + patience;
        loop {
            let leader = self.leadership.borrow().leader.clone();
            let error = match leader {
                Some(leader) if leader.id == self.me.id => match self.change_as_leader(change.clone()).await {
                    Err(StoreError::NoLeader) => StoreError::NoLeader,
                    result => return result,
                },
                Some(leader) => match self.ask(&leader.peer_address, &change).await {
                    Ok(Asked::Done) => return Ok(()),
                    Ok(Asked::Refused(text)) => return Err(StoreError::Membership(text)),
                    Ok(Asked::Elsewhere(_)) => StoreError::NoLeader,
                    Err(error) => error,
                },
                None => StoreError::NoLeader,
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(StoreError::Shutdown),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn change_as_leader(&self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::Add(member) => self.add_member_as_leader(member).await,
            Change::Remove(order) => self.remove_member_as_leader(&order).await,
            Change::HandOver(name) => self.hand_over_as_leader(name.as_deref()).await,
        }
    }

    /// Asks the master at `address` to make a change.
    async fn ask(&self, address: &str, change: &Change) -> Result<Asked, StoreError> {
        let mut client = self.connections.to(address, Lane::Data);
        let call = async {
            match change {
                Change::Add(member) => {
                    let member = Some(wire::member_to_pb(member));
                    client.add_member(pb::AddMemberRequest { member }).await
                }
                Change::Remove(order) => client.remove_member(order.to_pb()).await,
                Change::HandOver(name) => {
                    let name = name.clone().unwrap_or_default();
                    client.hand_over(pb::HandOverRequest { name }).await
                }
            }
        };
        let reply = tokio::time::timeout(CHANGE, call).await.map_err(|_| StoreError::Timeout)?;
        let reply = reply.map_err(|status| StoreError::Io(format!("{address}: {}", status.message())))?.into_inner();
        Ok(match (reply.error.is_empty(), reply.leader_peer_address.is_empty()) {
            (true, _) => Asked::Done,
            (false, false) => Asked::Elsewhere(reply.leader_peer_address),
            (false, true) => Asked::Refused(reply.error),
        })
    }

    /// Asks any of `peers` to let this master in, until it votes.
    pub(crate) async fn join(&self, peers: &[String]) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.tuning.join_timeout;
        let mut last = StoreError::Config("no peer to join".to_owned());
        loop {
            for peer in peers {
                match self.join_by(peer).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        tracing::debug!(%peer, %error, "not let in yet");
                        last = error;
                    }
                }
            }
            if Instant::now() >= deadline {
                return Err(last);
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(StoreError::Shutdown),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn join_by(&self, peer: &str) -> Result<(), StoreError> {
        let change = Change::Add(self.me.clone());
        let asked = match self.ask(peer, &change).await? {
            Asked::Elsewhere(leader) => self.ask(&leader, &change).await?,
            asked => asked,
        };
        match asked {
            Asked::Done => Ok(()),
            Asked::Refused(text) => Err(StoreError::Membership(text)),
            Asked::Elsewhere(_) => Err(StoreError::NoLeader),
        }
    }

    /// The answer to a master that asked for a change.
    pub(crate) fn membership_reply(&self, result: Result<(), StoreError>) -> pb::MembershipReply {
        let leader = self.leadership.borrow().leader.clone();
        let elsewhere = leader.filter(|leader| leader.id != self.me.id).map(|leader| leader.peer_address);
        match result {
            Ok(()) => pb::MembershipReply::default(),
            Err(error) => {
                pb::MembershipReply { error: error.to_string(), leader_peer_address: elsewhere.unwrap_or_default() }
            }
        }
    }

    /// Adds a member as learner, lets it catch up and makes it vote. A member of the same name and another id (it lost
    /// its disk) is replaced in the same step.
    pub(crate) async fn add_member_as_leader(&self, member: MemberInfo) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing.lock().await;
        let membership = self.membership();
        let votes = membership.voter_ids().any(|id| id == member.id);
        if votes {
            return match member_of(&membership, member.id) {
                Some(known) if known == member => Ok(()),
                _ => self.apply_change(ChangeMembers::SetNodes(BTreeMap::from([(member.id, member)])), true).await,
            };
        }
        tracing::info!(name = member.name, id = member.id, "a member joins");
        let caught_up = self.raft.add_learner(member.id, member.clone(), true);
        tokio::time::timeout(CHANGE, caught_up).await.map_err(|_| StoreError::Timeout)?.map_err(refused)?;
        let membership = self.membership();
        let replaced =
            |id: &u64| *id != member.id && membership.get_node(id).is_some_and(|node| node.name == member.name);
        let mut voters: BTreeSet<u64> = membership.voter_ids().filter(|id| !replaced(id)).collect();
        voters.insert(member.id);
        self.apply_change(ChangeMembers::ReplaceAllVoters(voters), false).await?;
        self.forget_learners(&member).await
    }

    /// Learners of the same name are left-overs of earlier tries.
    async fn forget_learners(&self, member: &MemberInfo) -> Result<(), StoreError> {
        let membership = self.membership();
        let stale = |id: &u64| *id != member.id && membership.get_node(id).is_some_and(|node| node.name == member.name);
        let stale: BTreeSet<u64> = membership.membership().learner_ids().filter(stale).collect();
        if stale.is_empty() {
            return Ok(());
        }
        self.apply_change(ChangeMembers::RemoveNodes(stale), false).await
    }

    /// An order to remove whoever has the name now. This master may lag, so it asks the leader before it says that nobody
    /// has.
    pub(crate) async fn removal_of(&self, name: &str) -> Result<Removal, StoreError> {
        if let Some(order) = Removal::of_named(name, &self.membership()) {
            return Ok(order);
        }
        self.catch_up().await?;
        Removal::of_named(name, &self.membership()).ok_or_else(|| removal::nobody(name))
    }

    /// Takes out whom the order means. The last member stays.
    pub(crate) async fn remove_member_as_leader(&self, order: &Removal) -> Result<(), StoreError> {
        let _one_at_a_time = self.changing.lock().await;
        let membership = self.membership();
        let gone = order.members_in(&membership)?;
        let voters: BTreeSet<u64> = membership.voter_ids().filter(|id| !gone.contains(id)).collect();
        if voters.is_empty() {
            return Err(refused("the last master cannot be removed"));
        }
        if gone.contains(&self.me.id) {
            // Whoever leads next does it, so that writes go on meanwhile.
            self.hand_over_as_leader(None).await?;
            return Err(StoreError::NoLeader);
        }
        let learners: BTreeSet<u64> = membership.membership().learner_ids().filter(|id| gone.contains(id)).collect();
        if !learners.is_empty() {
            self.apply_change(ChangeMembers::RemoveNodes(learners), false).await?;
        }
        self.apply_change(ChangeMembers::ReplaceAllVoters(voters), false).await
    }

    async fn apply_change(&self, change: ChangeMembers<u64, MemberInfo>, retain: bool) -> Result<(), StoreError> {
        tracing::info!(%change, "membership changes");
        let changed = self.raft.change_membership(change, retain);
        tokio::time::timeout(CHANGE, changed).await.map_err(|_| StoreError::Timeout)?.map_err(refused)?;
        Ok(())
    }

    /// Hands leadership to `name`, or to the reachable voter that is furthest along; returns once this master does not
    /// lead any more.
    pub(crate) async fn hand_over_as_leader(&self, name: Option<&str>) -> Result<(), StoreError> {
        let mut leadership = self.leadership.clone();
        if leadership.borrow().leader.as_ref().map(|leader| leader.id) != Some(self.me.id) {
            return Err(StoreError::NoLeader);
        }
        if name == Some(self.me.name.as_str()) {
            return Ok(());
        }
        let target = self.successor(name).await?;
        tracing::info!(to = target.name, "handing leadership over");
        self.lease.give_up();
        self.raft.trigger().transfer_leader(target.id).await.map_err(refused)?;
        let me = self.me.id;
        let moved = leadership.wait_for(|now| now.leader.as_ref().is_some_and(|leader| leader.id != me));
        match tokio::time::timeout(HAND_OVER, moved).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Shutdown),
            Err(_) => Err(refused(format!("{} did not take over", target.name))),
        }
    }

    /// A transfer to a dead member would block writes until an election, so candidates are asked first.
    async fn successor(&self, name: Option<&str>) -> Result<MemberInfo, StoreError> {
        let membership = self.membership();
        let voters = membership.voter_ids().filter(|id| *id != self.me.id).filter_map(|id| member_of(&membership, id));
        let candidates: Vec<_> = voters.filter(|member| name.is_none_or(|name| member.name == name)).collect();
        let pings = candidates.into_iter().map(|member| async move {
            let reply = self.ping(&member).await?;
            Some((reply.last_log, member))
        });
        let answers = futures::future::join_all(pings).await;
        let best = answers.into_iter().flatten().max_by_key(|(last_log, _)| *last_log);
        best.map(|(_, member)| member).ok_or_else(|| match name {
            Some(name) => refused(format!("no voting master {name} can be reached")),
            None => refused("no other voting master can be reached"),
        })
    }

    /// A member's own view, if it answers in time.
    pub(crate) async fn ping(&self, member: &MemberInfo) -> Option<pb::StatusReply> {
        let mut client = self.connections.to(&member.peer_address, Lane::Liveness);
        let reply = tokio::time::timeout(PING, client.status(pb::StatusRequest {})).await.ok()?.ok()?;
        Some(reply.into_inner()).filter(|reply| reply.id == member.id)
    }
}

/// What another master said to a change.
enum Asked {
    Done,
    Refused(String),
    /// Ask the leader at this address.
    Elsewhere(String),
}
