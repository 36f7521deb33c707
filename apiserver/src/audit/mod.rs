//! The audit log: who asked what, by a policy, a line of JSON an event (`audit.k8s.io/v1`).
//!
//! A request that the policy wants leaves a [`Trail`]; at each stage an event goes into a bounded queue, and one thread
//! makes JSON of it and writes it. A request never waits for the log: what does not fit into the queue is dropped and
//! counted (`apiserver_audit_error_total`).

mod content;
mod event;
mod file;
mod notes;
mod policy;
mod trail;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;

pub use policy::{Decision, Level, Policy, PolicyError, Stage};

pub(crate) use content::Content;
pub(crate) use notes::Notes;
pub(crate) use trail::{Asked, Trail, on_end};

/// Where the log goes and how it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// The file; `-` is standard output.
    pub path: PathBuf,
    /// A file of more bytes than this is set aside and a new one begun.
    pub max_bytes: u64,
    /// Files set aside at the most; 0: any number.
    pub max_backups: usize,
    /// Days that files set aside are kept; 0: for ever.
    pub max_age_days: u32,
}

/// What the audit log is made of.
#[derive(Debug)]
pub struct AuditConfig {
    /// What is written.
    pub policy: Policy,
    /// Where.
    pub log: LogConfig,
}

/// The audit log of a server.
pub(crate) struct Audit {
    policy: Policy,
    writer: writer::Writer,
}

impl Audit {
    /// Opens the log.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(config: AuditConfig) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self { policy: config.policy, writer: writer::Writer::start(config.log)? }))
    }

    /// Adds what is counted to the metrics.
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.writer.counts.register(registry);
    }

    /// Begins the trail of a request, if the policy wants one.
    pub fn begin(self: &Arc<Self>, asked: &Asked<'_>) -> Option<Trail> {
        let decision = self.policy.decide(&asked.attributes);
        (decision.level != Level::None).then(|| Trail::begin(self.clone(), decision, asked))
    }
}
