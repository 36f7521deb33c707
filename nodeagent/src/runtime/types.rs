//! What the agent sees of a pod in the container runtime, free of wire types, so that planning needs no runtime.

use jiff::Timestamp;

/// Everything the runtime holds of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodRuntime {
    /// Sandboxes, newest first.
    pub sandboxes: Vec<Sandbox>,
    /// Containers, newest first.
    pub containers: Vec<Container>,
}

impl PodRuntime {
    /// The newest sandbox, if it is up.
    pub fn ready_sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first().filter(|s| s.ready)
    }

    /// The newest container of this name.
    pub fn latest(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|c| c.name == name)
    }

    /// All containers of this name, newest first.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Container> {
        self.containers.iter().filter(move |c| c.name == name)
    }

    /// Newest first, by attempt and then by creation.
    pub fn sort(&mut self) {
        self.sandboxes.sort_by_key(|s| std::cmp::Reverse((s.created_at, s.attempt)));
        self.containers.sort_by_key(|c| std::cmp::Reverse((c.attempt, c.created_at)));
    }
}

/// A pod's network and cgroup, in which its containers run.
#[derive(Clone, Debug, PartialEq)]
pub struct Sandbox {
    /// The runtime's name for it.
    pub id: String,
    /// Counts the pod's sandboxes from 0.
    pub attempt: u32,
    /// Up, with its network.
    pub ready: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// The pod's addresses; empty in the node's network.
    pub ips: Vec<String>,
}

/// What a container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, not started.
    Created,
    /// Its process lives.
    Running,
    /// Its process ended.
    Exited,
    /// The runtime does not know.
    Unknown,
}

/// One run of one container of a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Container {
    /// The runtime's name for it.
    pub id: String,
    /// The name in the pod's spec.
    pub name: String,
    /// The sandbox it was made in.
    pub sandbox_id: String,
    /// Which run this is: the restart count.
    pub attempt: u32,
    /// What it does now.
    pub state: State,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its process started.
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    pub finished_at: Option<Timestamp>,
    /// The exit code, once it has ended.
    pub exit_code: i32,
    /// The runtime's word for why: `Completed`, `Error`, `OOMKilled`…
    pub reason: String,
    /// The runtime's explanation.
    pub message: String,
    /// The image as the runtime names it.
    pub image: String,
    /// The image's digest.
    pub image_id: String,
    /// Fingerprint of the part of the spec that it was made from.
    pub hash: String,
    /// Its log file.
    pub log_path: String,
}

impl Container {
    /// Whether its process may still live.
    pub fn alive(&self) -> bool {
        matches!(self.state, State::Running | State::Unknown)
    }

    /// Ended with code 0.
    pub fn succeeded(&self) -> bool {
        self.state == State::Exited && self.exit_code == 0
    }
}
