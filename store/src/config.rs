//! What a master is told at start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::StoreError;

/// Everything [`crate::Store::open`] needs.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The master's name, unique in the cluster.
    pub name: String,
    /// The member's id; 0 draws one at the first start. It is kept in the data directory and never reused: a master
    /// that lost its disk comes back under a new one.
    pub id: u64,
    /// Where log and state live. Created if missing.
    pub data_dir: PathBuf,
    /// Where to listen for other masters.
    pub peer_listen: SocketAddr,
    /// Where other masters reach this one, `host:port`. Empty: the listening address.
    pub peer_address: String,
    /// Where clients reach this master.
    pub api_url: String,
    /// This master's certificate and the authority of all of them.
    pub tls: PeerTls,
    /// What to do when the data directory is empty; with data the master resumes.
    pub start: Start,
    /// Times and sizes.
    pub tuning: Tuning,
}

/// PEM texts for mutual TLS among masters.
#[derive(Clone)]
pub struct PeerTls {
    /// The cluster's certificate authority.
    pub ca_pem: String,
    /// This master's certificate chain; its subject carries the organisation `system:mainstay:masters`.
    pub cert_pem: String,
    /// The certificate's key.
    pub key_pem: String,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PeerTls(..)")
    }
}

/// How a master with an empty data directory begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// As the first member of a new cluster.
    Bootstrap,
    /// As a further member: ask these peer addresses (`host:port`) to be let in.
    Join(Vec<String>),
}

/// Times and sizes, with defaults for masters in one network.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Between the leader's signs of life.
    pub heartbeat: Duration,
    /// Shortest silence after which a follower stands for election.
    pub election_min: Duration,
    /// Longest such silence; also the length of the leader's lease.
    pub election_max: Duration,
    /// How long `propose` waits for its outcome.
    pub propose_timeout: Duration,
    /// How long a read waits for a leader or a revision.
    pub read_timeout: Duration,
    /// How long a joining master keeps trying.
    pub join_timeout: Duration,
    /// Transactions waiting to be proposed before `Busy`.
    pub queue: usize,
    /// Transactions in one Raft entry.
    pub batch_txns: usize,
    /// Bytes in one Raft entry, roughly.
    pub batch_bytes: usize,
    /// Bytes of keys and values in one transaction.
    pub txn_bytes: usize,
    /// Age up to which history is kept for watches and reads at a revision.
    pub history: Duration,
    /// How often history is compacted.
    pub compact_every: Duration,
    /// Bytes of recent events kept in memory.
    pub ring_bytes: usize,
    /// Bytes of recent log entries kept in memory.
    pub log_cache_bytes: usize,
    /// Bytes of one file of the log. Two at the least are set aside.
    pub log_segment_bytes: usize,
    /// Log bytes after which the state is flushed and the log cut.
    pub snapshot_log_bytes: u64,
    /// Log entries after which the same happens.
    pub snapshot_log_entries: u64,
    /// Bytes of the log that stay for followers that lag a little.
    pub log_bytes_kept: u64,
    /// Free bytes on the data disk below which puts are refused.
    pub disk_low_bytes: u64,
    /// Whether the store runs on a thread of its own, apart from what else the process does, or on the caller's runtime.
    pub own_thread: bool,
    /// Whether consistent reads on the leader trust its lease (clocks that run at about the same speed) or ask a majority.
    pub lease_reads: bool,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(50),
            election_min: Duration::from_millis(100),
            election_max: Duration::from_millis(250),
            propose_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(3),
            join_timeout: Duration::from_secs(120),
            queue: 4096,
            batch_txns: 512,
            batch_bytes: 1 << 20,
            txn_bytes: 4 << 20,
            history: Duration::from_secs(600),
            compact_every: Duration::from_secs(30),
            ring_bytes: 8 << 20,
            log_cache_bytes: 4 << 20,
            log_segment_bytes: 4 << 20,
            snapshot_log_bytes: 16 << 20,
            snapshot_log_entries: 20_000,
            log_bytes_kept: 16 << 20,
            disk_low_bytes: 256 << 20,
            own_thread: true,
            lease_reads: true,
        }
    }
}

impl Tuning {
    /// After this long without a sign of life others may have elected somebody else.
    pub(crate) fn patience(&self) -> Duration {
        self.election_max * 2
    }
}

impl StoreConfig {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let tuning = &self.tuning;
        let refuse = |text: &str| Err(StoreError::Config(text.to_owned()));
        if self.name.is_empty() {
            return refuse("a master needs a name");
        }
        if tuning.heartbeat * 2 > tuning.election_min || tuning.election_min >= tuning.election_max {
            return refuse("need 2 × heartbeat ≤ election_min < election_max");
        }
        if tuning.batch_txns == 0 || tuning.queue == 0 {
            return refuse("queue and batch need room for at least one transaction");
        }
        Ok(())
    }
}
