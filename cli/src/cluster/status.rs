//! `cluster status`: how each master is.

use anyhow::{Context, Result, bail};
use mainstay_proto::v1::{Member, StatusRequest, StatusResponse};
use serde_json::json;

use super::{connected, megabytes, said};
use crate::connect::Connection;
use crate::verbs::print;
use crate::verbs::table::align;

const COLUMNS: [&str; 11] =
    ["NAME", "ROLE", "HEALTHY", "URL", "REVISION", "LAG", "SNAPSHOT", "LOG", "STATE", "DISK FREE", "VERSION"];

/// Prints the masters.
pub(super) async fn show(connection: &Connection, output: &str) -> Result<()> {
    if !matches!(output, "" | "json") {
        bail!("unknown output {output:?}; there is: json");
    }
    let answer = connected(connection)?.status(StatusRequest {}).await.map_err(said)?.into_inner();
    if output == "json" {
        return print::line(&serde_json::to_string_pretty(&as_json(&answer)).context("cannot print JSON")?);
    }
    let mut grid = vec![COLUMNS.map(str::to_owned).to_vec()];
    grid.extend(answer.members.iter().map(row));
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    print::line(&format!(
        "\ncluster {}, term {}, revision {}: {}",
        answer.cluster_id,
        answer.term,
        answer.revision,
        health(&answer)
    ))
}

/// What the whole can bear.
fn health(status: &StatusResponse) -> String {
    let voters: Vec<&Member> = status.members.iter().filter(|member| member.votes).collect();
    let reachable = voters.iter().filter(|member| member.role != "unreachable").count();
    let majority = voters.len() / 2 + 1;
    match (status.leader_id, reachable.checked_sub(majority)) {
        (0, _) => "no leader; writes and consistent reads wait".to_owned(),
        (_, None) => format!("{reachable} of {} masters answer, fewer than a majority", voters.len()),
        (_, Some(0)) => "healthy, but no further master may fail".to_owned(),
        (_, Some(1)) => "healthy; one master may fail".to_owned(),
        (_, Some(spare)) => format!("healthy; {spare} masters may fail"),
    }
}

fn row(member: &Member) -> Vec<String> {
    let healthy = match (member.healthy, member.message.is_empty()) {
        (true, _) => "yes".to_owned(),
        (false, true) => "no".to_owned(),
        (false, false) => format!("no: {}", member.message),
    };
    let mut row = vec![member.name.clone(), member.role.clone(), healthy, member.url.clone()];
    if member.role == "unreachable" {
        row.extend((row.len()..COLUMNS.len()).map(|_| "-".to_owned()));
        return row;
    }
    row.extend([
        member.applied.to_string(),
        member.lag.to_string(),
        member.snapshot_index.to_string(),
        megabytes(member.log_bytes),
        megabytes(member.state_bytes),
        megabytes(member.disk_free_bytes),
        member.version.clone(),
    ]);
    row
}

fn as_json(status: &StatusResponse) -> serde_json::Value {
    let members: Vec<serde_json::Value> = status.members.iter().map(member_as_json).collect();
    json!({
        "members": members,
        "cluster_id": status.cluster_id,
        "leader_id": status.leader_id,
        "term": status.term,
        "revision": status.revision,
        "health": health(status),
    })
}

fn member_as_json(member: &Member) -> serde_json::Value {
    json!({
        "id": member.id,
        "name": member.name,
        "role": member.role,
        "votes": member.votes,
        "peer_address": member.peer_address,
        "url": member.url,
        "applied": member.applied,
        "lag": member.lag,
        "log_bytes": member.log_bytes,
        "state_bytes": member.state_bytes,
        "disk_free_bytes": member.disk_free_bytes,
        "version": member.version,
        "healthy": member.healthy,
        "message": member.message,
        "snapshot_index": member.snapshot_index,
        "started_ms": member.started_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(roles: &[&str]) -> StatusResponse {
        let member = |role: &&str| Member { role: (*role).to_owned(), votes: *role != "learner", ..Member::default() };
        StatusResponse { members: roles.iter().map(member).collect(), leader_id: 1, ..StatusResponse::default() }
    }

    #[test]
    fn health_counts_voters_only() {
        assert_eq!(health(&status(&["leader", "follower", "follower"])), "healthy; one master may fail");
        assert!(health(&status(&["leader", "follower", "unreachable"])).contains("no further master"));
        assert!(health(&status(&["leader", "learner"])).contains("no further master"));
        assert!(health(&status(&["leader", "unreachable", "unreachable"])).contains("fewer than a majority"));
        let leaderless = StatusResponse { leader_id: 0, ..status(&["follower"]) };
        assert!(health(&leaderless).contains("no leader"));
    }
}
