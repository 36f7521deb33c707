//! What the agent remembers of a pod between two looks; all of it may be lost without harm.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Backoff;

/// Why a container is not running, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub reason: &'static str,
    pub message: String,
}

impl Waiting {
    pub fn new(reason: &'static str, message: &str) -> Waiting {
        Waiting { reason, message: message.to_owned() }
    }
}

/// What probes say of a running container; `None` while there is no verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    pub startup: Option<bool>,
    pub ready: Option<bool>,
    pub live: Option<bool>,
}

/// Waiting times, failures and probe verdicts of one pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// When the agent first saw that the pod is to end.
    pub stopping_since: Option<Timestamp>,
    /// A failed sandbox is tried again then.
    pub sandbox_retry_at: Option<Timestamp>,
    /// Restarts by container name.
    pub restarts: Backoff,
    /// Why containers wait, by name.
    pub waiting: HashMap<String, Waiting>,
    retry: HashMap<String, Timestamp>,
    health: HashMap<String, Health>,
}

impl Memory {
    /// A failed start of this container is tried again then.
    pub fn retry_at(&self, name: &str) -> Option<Timestamp> {
        self.retry.get(name).copied()
    }

    /// The start of a container failed.
    pub fn fail(&mut self, name: &str, waiting: Waiting, retry_at: Timestamp) {
        self.waiting.insert(name.to_owned(), waiting);
        self.retry.insert(name.to_owned(), retry_at);
    }

    /// A container started; only starts after the first count towards the waiting time.
    pub fn started(&mut self, name: &str, attempt: u32, now: Timestamp) {
        self.waiting.remove(name);
        self.retry.remove(name);
        if attempt > 0 {
            self.restarts.advance(name, now);
        }
    }

    /// The verdicts on a container, by its runtime id.
    pub fn health(&self, id: &str) -> Option<Health> {
        self.health.get(id).copied()
    }

    /// Takes over all verdicts at once.
    pub fn set_health(&mut self, health: HashMap<String, Health>) {
        self.health = health;
    }
}
