//! `mainstay agent`: what runs a node's pods, and its service rules.

mod credentials;
mod taint;

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use k8s_openapi::api::core::v1::Taint;
use mainstay_client::{Client, Config};
use mainstay_network::NetworkConfig;
use mainstay_nodeagent::{AgentConfig, RuntimeKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::join::TokenOption;
use crate::logging;

/// `mainstay agent`
#[derive(Args, Clone)]
pub(crate) struct AgentArgs {
    /// API addresses of the masters
    #[arg(long, required = true, value_delimiter = ',', value_name = "URL,…")]
    server: Vec<String>,
    #[command(flatten)]
    token: TokenOption,
    /// What runs the containers; hollow only pretends
    #[arg(long, value_enum, default_value_t = RuntimeChoice::Containerd)]
    runtime: RuntimeChoice,
    /// Socket of the container runtime
    #[arg(long, default_value = "unix:///run/containerd/containerd.sock", value_name = "URL")]
    runtime_endpoint: String,
    /// The node's name; the host's name if not given
    #[arg(long, value_name = "N")]
    node_name: Option<String>,
    /// Folder for certificates, volumes and logs
    #[arg(long, default_value = "/var/lib/mainstay/agent", value_name = "D")]
    data_dir: PathBuf,
    /// The node's address
    #[arg(long, value_name = "ADDRESS")]
    node_ip: Option<IpAddr>,
    /// Network of the node's pods
    #[arg(long, value_name = "CIDR")]
    pod_cidr: Option<String>,
    /// Control group above the pods'
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Most pods on the node
    #[arg(long, default_value_t = 110)]
    max_pods: u32,
    /// Taints of a node that is not registered yet, as in dedicated=web:NoSchedule
    #[arg(long, value_delimiter = ',', value_name = "KEY[=VALUE]:EFFECT,…", value_parser = taint::parse)]
    register_with_taints: Vec<Taint>,
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuntimeChoice {
    /// containerd, over CRI.
    Containerd,
    /// Nothing.
    Hollow,
}

/// Runs the agent until it is told to stop; its pods go on.
pub(crate) fn run(args: AgentArgs) -> Result<ExitCode> {
    logging::daemon();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(serve(args))?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: AgentArgs) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let stop = CancellationToken::new();
    let work = async {
        let config = credentials::obtain(&args).await?;
        work(&args, config, stop.clone()).await
    };
    tokio::pin!(work);
    tokio::select! {
        outcome = &mut work => return outcome,
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    stop.cancel();
    match tokio::time::timeout(Duration::from_secs(5), work).await {
        Ok(outcome) => outcome,
        Err(_) => Ok(()),
    }
}

async fn work(args: &AgentArgs, config: Config, stop: CancellationToken) -> Result<()> {
    let client = Client::connect(&config)?;
    let node = node_name(args)?;
    let runtime = match args.runtime {
        RuntimeChoice::Hollow => RuntimeKind::Hollow,
        RuntimeChoice::Containerd => RuntimeKind::Containerd(args.runtime_endpoint.clone()),
    };
    let proxied = args.runtime == RuntimeChoice::Containerd;
    let network = NetworkConfig { node_name: node.clone(), pod_cidr: args.pod_cidr.clone() };
    let mut agent = AgentConfig::new(&node, client.clone(), runtime, args.data_dir.clone());
    agent.node_ip = args.node_ip.map(|ip| ip.to_string());
    agent.pod_cidr.clone_from(&args.pod_cidr);
    agent.max_pods = args.max_pods;
    agent.taints.clone_from(&args.register_with_taints);
    if let Some(parent) = &args.cgroup_parent {
        agent.cgroup_root = format!("{}/kubepods", parent.trim_end_matches('/'));
    }
    let proxy = async {
        if proxied {
            mainstay_network::run(client.clone(), network, stop.clone()).await;
        }
    };
    let renewal = credentials::renew_forever(args.clone(), client.clone(), stop.clone());
    let (outcome, (), ()) = tokio::join!(ended(agent, &stop), proxy, renewal);
    outcome.context("the agent failed")
}

/// Runs the node's pods; when that fails, the rest of the agent ends too.
async fn ended(config: AgentConfig, stop: &CancellationToken) -> Result<(), mainstay_nodeagent::AgentError> {
    let outcome = mainstay_nodeagent::run(config, stop.clone()).await;
    stop.cancel();
    outcome
}

fn node_name(args: &AgentArgs) -> Result<String> {
    if let Some(name) = &args.node_name {
        return Ok(name.clone());
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot tell the host's name")?;
    Ok(name.trim().to_lowercase())
}
