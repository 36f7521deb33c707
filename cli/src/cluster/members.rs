//! Letting masters in and taking them out.

use anyhow::{Context, Result, bail};
use mainstay_proto::v1::{AddMemberRequest, RemoveMemberRequest, StatusRequest};

use super::{connected, said};
use crate::connect::Connection;
use crate::verbs::print;

/// Adds a master; returns once it votes.
pub(super) async fn add(connection: &Connection, member: AddMemberRequest) -> Result<()> {
    let name = member.name.clone();
    connected(connection)?.add_member(member).await.map_err(said)?;
    print::line(&format!("master {name} votes"))
}

/// Lets a learner vote.
pub(super) async fn promote(connection: &Connection, name: &str) -> Result<()> {
    let answer = connected(connection)?.status(StatusRequest {}).await.map_err(said)?.into_inner();
    let known = answer.members.into_iter().find(|member| member.name == name);
    let known = known.with_context(|| format!("there is no master {name}; see: mainstay cluster status"))?;
    if known.votes {
        bail!("master {name} votes already");
    }
    let member = AddMemberRequest { name: known.name, id: known.id, peer_address: known.peer_address, url: known.url };
    add(connection, member).await
}

/// Takes a master out; with an id only the one that has it.
pub(super) async fn remove(connection: &Connection, name: &str, id: Option<u64>) -> Result<()> {
    let request = RemoveMemberRequest { name: name.to_owned(), id: id.unwrap_or_default() };
    connected(connection)?.remove_member(request).await.map_err(said)?;
    print::line(&format!(
        "master {name} is no member any more; stop its process, and remove its data before it joins again"
    ))
}
