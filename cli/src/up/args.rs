//! What `up` and `down` are told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `mainstay up`
#[derive(Args, Clone)]
pub(crate) struct UpArgs {
    /// Folder of the cluster: its data, logs, kubeconfig and cluster.json
    #[arg(long, default_value = "mainstay-cluster", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Number of masters
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=7))]
    pub(super) masters: u32,
    /// Number of workers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=200))]
    pub(super) workers: u32,
    /// What runs the pods; hollow only pretends, needs no root, and starts in seconds
    #[arg(long, value_enum, default_value_t = Runtime::Containerd)]
    pub(super) runtime: Runtime,
    /// Return once the cluster is ready, instead of staying until Ctrl-C
    #[arg(long)]
    pub(super) detach: bool,
    /// A further argument for every master
    #[arg(long = "server-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(super) server_args: Vec<String>,
    /// Give every master and worker a network namespace of its own, with either runtime, so that the network between
    /// them can be broken (`mainstay chaos`); wants root
    #[arg(long)]
    pub(super) isolate: bool,
    /// Run an agent beside every master, so that masters are nodes too, with the taint and the label of a control plane;
    /// with containerd every machine gets a network namespace of its own
    #[arg(long)]
    pub(super) master_agents: bool,
    /// Environment of one process, as in master-1:KEY=VALUE or worker-2:KEY=VALUE
    #[arg(long = "env", value_name = "NAME:KEY=VALUE", value_parser = parse_env)]
    pub(super) env: Vec<String>,
    /// A further argument for every agent
    #[arg(long = "agent-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub(super) agent_args: Vec<String>,
    /// This process is the supervisor, started by another `up`
    #[arg(long, hide = true)]
    pub(super) supervised: bool,
}

impl UpArgs {
    /// Whether real containers will run.
    pub(super) fn has_containers(&self) -> bool {
        self.runtime == Runtime::Containerd && (self.workers > 0 || self.master_agents)
    }

    /// Whether masters get networks of their own. One in the host's would have its service rules there.
    pub(super) fn isolates(&self) -> bool {
        self.isolate || (self.master_agents && self.has_containers())
    }
}

/// `mainstay down`
#[derive(Args)]
pub(crate) struct DownArgs {
    /// Folder of the cluster
    #[arg(long, default_value = "mainstay-cluster", value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// Stop everything, but keep data and logs for the next `up`
    #[arg(long)]
    pub(super) keep_data: bool,
}

/// What runs the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    /// A containerd per worker, in a network namespace.
    Containerd,
    /// Nothing: pods are only said to run.
    Hollow,
}

/// `NAME:KEY=VALUE`, of which nothing may be missing.
fn parse_env(text: &str) -> Result<String, String> {
    let parts = text.split_once(':').and_then(|(name, rest)| Some((name, rest.split_once('=')?.0)));
    match parts {
        Some((name, key)) if !name.is_empty() && !key.is_empty() => Ok(text.to_owned()),
        _ => Err("wanted NAME:KEY=VALUE, as in master-1:RUST_LOG=debug".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_env;

    #[test]
    fn an_environment_names_its_process() {
        assert_eq!(parse_env("master-1:A=b:c=d").unwrap(), "master-1:A=b:c=d");
        assert!(parse_env("A=b").is_err() && parse_env(":A=b").is_err() && parse_env("m:=b").is_err());
    }
}
