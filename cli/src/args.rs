//! The command line's grammar, and which function each command is.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{agent, server, up};

/// A highly available Kubernetes cluster in one binary.
#[derive(Parser)]
#[command(name = "mainstay", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start a whole cluster on this machine
    Up(up::UpArgs),
    /// Stop and remove the cluster that `up` started
    Down(up::DownArgs),
    /// Run a master
    Server(server::ServerArgs),
    /// Run a worker's agent
    Agent(agent::AgentArgs),
}

/// Does what the command says.
pub(crate) fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Down(args) => up::down(&args),
        Command::Server(args) => server::run(args),
        Command::Agent(args) => agent::run(args),
    }
}

/// A runtime for commands that talk to a server.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work)
}
