//! The command line's grammar, and which function each command is.

use std::os::unix::process::CommandExt;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::runtime::block_on;
use crate::verbs::changes::Field;
use crate::verbs::{
    api_resources, api_versions, apply, auth, create, delete, describe, edit, events, exec, explain, expose, get,
    image, logs, nodes, patch, port_forward, replace, rollout, run, scale, set, taint, version, wait,
};
use crate::{agent, bench, cluster, logging, server, up};

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
    Server(Box<server::ServerArgs>),
    /// Run a worker's agent
    Agent(Box<agent::AgentArgs>),
    /// Operate the masters
    Cluster(cluster::ClusterArgs),
    /// Make tokens for joining
    Token(cluster::TokenArgs),
    /// Show objects
    Get(Box<get::GetArgs>),
    /// Show objects with everything about them, and their events
    Describe(describe::DescribeArgs),
    /// Create objects
    Create(Box<create::CreateArgs>),
    /// Create or change objects to be as files say
    Apply(Box<apply::ApplyArgs>),
    /// Make objects anew to be as files say
    Replace(replace::ReplaceArgs),
    /// Run an image in a pod
    Run(Box<run::RunArgs>),
    /// Change an object in an editor
    Edit(edit::EditArgs),
    /// Change fields of objects
    Patch(patch::PatchArgs),
    /// Set images of workloads
    Set(image::SetArgs),
    /// Make a service for the pods of a workload
    Expose(Box<expose::ExposeArgs>),
    /// Delete objects
    Delete(Box<delete::DeleteArgs>),
    /// Set the number of pods
    Scale(scale::ScaleArgs),
    /// Follow, repeat or take back changes of deployments
    Rollout(rollout::RolloutArgs),
    /// Print containers' logs
    Logs(Box<logs::LogsArgs>),
    /// Run a command in a container
    Exec(exec::ExecArgs),
    /// Join the main process of a container
    Attach(exec::AttachArgs),
    /// Lead ports of this machine to ports of a pod
    PortForward(port_forward::PortForwardArgs),
    /// Set labels
    Label(Box<set::SetArgs>),
    /// Set annotations
    Annotate(Box<set::SetArgs>),
    /// Let no new pods onto nodes
    Cordon(nodes::CordonArgs),
    /// Let pods onto nodes again
    Uncordon(nodes::CordonArgs),
    /// Keep pods off nodes that do not tolerate it
    Taint(taint::TaintArgs),
    /// Move all pods off nodes
    Drain(nodes::DrainArgs),
    /// List events
    Events(events::EventsArgs),
    /// Wait until objects are as wanted
    Wait(wait::WaitArgs),
    /// What the caller may do, and who the caller is
    Auth(auth::AuthArgs),
    /// List the fields of a kind
    Explain(explain::ExplainArgs),
    /// List the kinds that are served
    ApiResources(api_resources::ApiResourcesArgs),
    /// List the groups and versions that are served
    ApiVersions(api_versions::ApiVersionsArgs),
    /// Versions of this program and of the server
    Version(version::VersionArgs),
    /// Measure how fast things are
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Break things on purpose and check what they do to users
    #[command(disable_help_flag = true)]
    Chaos {
        /// What mainstay-chaos is told
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

/// Does what the command says.
pub(crate) fn dispatch(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Down(args) => up::down(&args),
        Command::Server(args) => server::run(*args),
        Command::Agent(args) => agent::run(*args),
        Command::Chaos { arguments } => chaos(&arguments),
        Command::Bench(command) => {
            if command.is_member() {
                logging::daemon()
            } else {
                logging::client()
            }
            bench::run(command).map(|()| ExitCode::SUCCESS)
        }
        other => {
            logging::client();
            block_on(client(other))
        }
    }
}

/// Commands that talk to a server.
async fn client(command: Command) -> Result<ExitCode> {
    match command {
        Command::Cluster(args) => cluster::run(args).await,
        Command::Token(args) => cluster::token(args).await,
        Command::Get(args) => get::run(*args).await,
        Command::Describe(args) => describe::run(args).await,
        Command::Create(args) => create::run(*args).await,
        Command::Apply(args) => apply::run(*args).await,
        Command::Replace(args) => replace::run(args).await,
        Command::Run(args) => run::run(*args).await,
        Command::Edit(args) => edit::run(args).await,
        Command::Patch(args) => patch::run(args).await,
        Command::Set(args) => image::run(args).await,
        Command::Expose(args) => expose::run(*args).await,
        Command::Delete(args) => delete::run(*args).await,
        Command::Scale(args) => scale::run(args).await,
        Command::Rollout(args) => rollout::run(args).await,
        Command::Logs(args) => logs::run(*args).await,
        Command::Exec(args) => exec::run(args).await,
        Command::Attach(args) => exec::attach(args).await,
        Command::PortForward(args) => port_forward::run(args).await,
        Command::Label(args) => set::run(*args, Field::Labels).await,
        Command::Annotate(args) => set::run(*args, Field::Annotations).await,
        Command::Cordon(args) => nodes::cordon(args, true).await,
        Command::Uncordon(args) => nodes::cordon(args, false).await,
        Command::Taint(args) => taint::run(args).await,
        Command::Drain(args) => nodes::drain(args).await,
        Command::Events(args) => events::run(args).await,
        Command::Wait(args) => wait::run(args).await,
        Command::Auth(args) => auth::run(args).await,
        Command::Explain(args) => explain::explain(args).await,
        Command::ApiResources(args) => api_resources::api_resources(args).await,
        Command::ApiVersions(args) => api_versions::run(args).await,
        Command::Version(args) => version::run(args).await,
        Command::Up(_)
        | Command::Down(_)
        | Command::Server(_)
        | Command::Agent(_)
        | Command::Bench(_)
        | Command::Chaos { .. } => unreachable!("these are dispatched before"),
    }
}

/// The chaos harness is a program of its own beside this one.
fn chaos(arguments: &[std::ffi::OsString]) -> Result<ExitCode> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let program = own.with_file_name("mainstay-chaos");
    let error = std::process::Command::new(&program).args(arguments).exec();
    Err(error)
        .with_context(|| format!("cannot run {}; build it with: cargo build -p mainstay-chaos", program.display()))
}
