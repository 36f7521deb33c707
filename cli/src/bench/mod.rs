//! `mainstay bench`: closed-loop load on a cluster of its own, beside etcd where asked for.

mod api;
mod connection;
mod etcd;
mod flood;
mod load;
mod member;
mod messages;
mod pods;
mod rest;
mod rows;
mod store;
mod system;
mod watch;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// The replicated store alone: puts and reads over gRPC, three members, fsync on
    Store(StoreArgs),
    /// Watchers of one prefix over gRPC while clients write, three members
    Watch(WatchArgs),
    /// A running cluster's API: create, get, list, patch and watch of ConfigMaps over REST and gRPC, lists of many pods
    Api(ApiArgs),
    /// A running cluster's API: one user's calls, alone and beside another user's flood
    Flood(FloodArgs),
    /// The flood of `bench flood`, in a process of its own
    #[command(hide = true)]
    FloodLoad(FloodLoadArgs),
    /// One member of a store under test (started by `bench store`)
    #[command(hide = true)]
    Member {
        /// What to be, as a JSON file
        spec: std::path::PathBuf,
    },
}

impl BenchCommand {
    /// Whether this is a member under test, whose log goes to a file.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self, Self::Member { .. })
    }
}

/// How much load, and how results are printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct LoadArgs {
    /// Concurrent clients, one measurement each
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256", value_parser = parse_clients)]
    clients: Vec<usize>,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5)]
    secs: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 1024)]
    value_bytes: usize,
    /// Print {"rows":[…]} instead of a table
    #[arg(long)]
    json: bool,
}

/// Arguments of `bench store`.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    servers: ServersArgs,
}

/// Arguments of `bench watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    load: LoadArgs,
    #[command(flatten)]
    servers: ServersArgs,
    /// Watchers of one prefix, spread over the members
    #[arg(long, default_value_t = 1000)]
    watchers: usize,
}

/// The members under load.
#[derive(Debug, Args)]
pub(crate) struct ServersArgs {
    /// Measure three members of etcd 3.5 too, afterwards; its executable is found as `etcd` in PATH or by --etcd
    #[arg(long)]
    vs_etcd: bool,
    /// The etcd executable
    #[arg(long, value_name = "FILE", default_value = "etcd")]
    etcd: std::path::PathBuf,
    /// Keys of 1 KiB that are there before anything is measured; reads choose from them
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    keys: u64,
    /// Where the members keep their data; a temporary folder if absent
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}

/// Arguments of `bench api`.
#[derive(Debug, Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Pods that are made (no node runs them), listed and patched; 0: none
    #[arg(long, default_value_t = 10_000)]
    pods: u64,
    /// The cluster to load
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: std::path::PathBuf,
}

/// Arguments of `bench flood`; the clients are those of the flood.
#[derive(Debug, Args)]
pub(crate) struct FloodArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// The cluster to load
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: std::path::PathBuf,
}

/// Arguments of the flood itself.
#[derive(Debug, Args)]
pub(crate) struct FloodLoadArgs {
    /// The cluster to load
    #[arg(long)]
    kubeconfig: std::path::PathBuf,
    /// Where the objects are, and the group of the users who may use them
    #[arg(long)]
    namespace: String,
    /// What to do
    #[arg(long)]
    op: flood::Operation,
    /// Concurrent calls
    #[arg(long, value_parser = parse_clients)]
    clients: usize,
    /// How long, in milliseconds
    #[arg(long)]
    millis: u64,
    /// Bytes of each value
    #[arg(long)]
    value_bytes: usize,
}

impl LoadArgs {
    fn length(&self) -> Duration {
        Duration::from_secs(self.secs.max(1))
    }
}

fn parse_clients(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) | Err(_) => Err("a number of clients, at least 1".to_owned()),
        Ok(clients) => Ok(clients),
    }
}

/// Runs a benchmark and prints its rows.
///
/// # Errors
/// When members do not start or no call succeeds.
pub(crate) fn run(command: BenchCommand) -> Result<()> {
    // A member takes turns on one thread; the load generator has two.
    let mut runtime = match command {
        BenchCommand::Member { .. } => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build().context("cannot start the runtime")?;
    let outcome = runtime.block_on(chosen(command));
    runtime.shutdown_background();
    outcome
}

async fn chosen(command: BenchCommand) -> Result<()> {
    match command {
        BenchCommand::Store(args) => store::run(&args).await,
        BenchCommand::Watch(args) => watch::run(&args).await,
        BenchCommand::Api(args) => api::run(&args).await,
        BenchCommand::Flood(args) => flood::run(&args).await,
        BenchCommand::FloodLoad(args) => flood::run_load(&args).await,
        BenchCommand::Member { spec } => member::run(&spec).await,
    }
}
