//! Members, leadership and status as the rest of the program sees them.

use crate::types::{Revision, Term};

/// A master as the membership knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MemberInfo {
    /// Its id; never reused.
    pub id: u64,
    /// Its name; unique.
    pub name: String,
    /// Where other masters reach it, `host:port`.
    pub peer_address: String,
    /// Where clients reach it.
    pub api_url: String,
}

/// Who leads, as far as this master knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The current term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<MemberInfo>,
    /// This master leads and has applied its own term's first entry: it may act.
    pub acting: bool,
}

/// A member's part in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Leads.
    Leader,
    /// Votes and follows.
    Follower,
    /// Receives the log but does not vote yet.
    Learner,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Learner => "learner",
        })
    }
}

/// The cluster as one master sees it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ClusterStatus {
    /// The leader's id, if there is one.
    pub leader_id: Option<u64>,
    /// The current term.
    pub term: Term,
    /// The revision this master has applied.
    pub revision: Revision,
    /// All members, by name.
    pub members: Vec<MemberStatus>,
}

/// One member's state. Numbers are `None` when it did not answer.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MemberStatus {
    /// Who.
    #[serde(flatten)]
    pub member: MemberInfo,
    /// Its part.
    pub role: Role,
    /// Whether it answered within half a second.
    pub reachable: bool,
    /// The revision it has applied.
    pub revision: Option<Revision>,
    /// Raft entries it has applied.
    pub applied_log: Option<u64>,
    /// Raft entries it is behind the most advanced member.
    pub lag: Option<u64>,
    /// Size of its log on disk in bytes.
    pub log_bytes: Option<u64>,
    /// Size of its state on disk in bytes, history included.
    pub state_bytes: Option<u64>,
    /// Free bytes on its data disk.
    pub disk_free_bytes: Option<u64>,
    /// Whether its disk is below the low-water mark.
    pub disk_low: Option<bool>,
    /// Raft entries that its last snapshot covers, 0 if it has made none.
    pub snapshot_log: Option<u64>,
    /// The version that it runs.
    pub version: Option<String>,
    /// When its process began to serve, in milliseconds since 1970.
    pub started_ms: Option<u64>,
}
