//! `mainstay cluster …` and `mainstay token …`: operating the cluster itself.

mod backup;
mod members;
mod offline;
mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Args, Subcommand};
use mainstay_client::Config;
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{AddMemberRequest, CreateTokenRequest, RotateEncryptionKeyRequest, TransferLeaderRequest};
use tonic::transport::Channel;

use crate::connect::{self, Connection};
use crate::join;
use crate::verbs::{print, wait};

/// `mainstay cluster`
#[derive(Args)]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the masters
    Status {
        /// json
        #[arg(long, short = 'o', default_value = "", hide_default_value = true)]
        output: String,
    },
    /// Let a master in that is already running and asks to join, or tell a new address of a known one
    Add {
        /// Its name
        name: String,
        /// Its id, as its log says
        #[arg(long)]
        id: u64,
        /// Its peer address, host:port
        #[arg(long)]
        peer_address: String,
        /// Its API, https://host:port
        #[arg(long)]
        url: String,
    },
    /// Let a learner vote, whose joining was interrupted
    Promote {
        /// Its name
        name: String,
    },
    /// Remove a master; its process may be dead
    Remove {
        /// Its name
        name: String,
        /// Its id, as `cluster status -o json` tells it: one that came back under the name meanwhile stays
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        id: Option<u64>,
    },
    /// Make another master the leader
    TransferLeader {
        /// Which; whoever is furthest along if not given
        to: Option<String>,
    },
    /// Make a new key for secrets, and write them all anew with it
    RotateEncryptionKey {
        /// Make no new key; write anew what an interrupted rotation left
        #[arg(long)]
        rewrite_only: bool,
    },
    /// Write a consistent copy of the whole store to a file, while serving
    Backup {
        /// The file
        file: PathBuf,
    },
    /// Make an empty data folder the first master of a new cluster with a backup's data
    Restore {
        /// The backup
        file: PathBuf,
        /// Data folder of the master, as given to `mainstay server`; keys in its folder `pki` are kept
        #[arg(long, value_name = "D")]
        data_dir: PathBuf,
        /// The master's name
        #[arg(long, value_name = "N")]
        name: String,
    },
    /// Make the stopped master of a data folder the only one of its cluster, when a majority is lost for good
    Recover {
        /// Data folder of the survivor, as given to `mainstay server`
        #[arg(long, value_name = "D")]
        data_dir: PathBuf,
    },
}

/// `mainstay token`
#[derive(Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Subcommand)]
enum TokenAction {
    /// Make a token that agents may join with
    Create {
        /// Masters may join with it too; they get the cluster's keys
        #[arg(long)]
        masters: bool,
        /// How long it is good for, for example 24h; 0 for ever
        #[arg(long, default_value = "24h", value_parser = wait::seconds)]
        ttl: u64,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
}

/// Does what the subcommand says.
pub(crate) async fn run(args: ClusterArgs) -> Result<ExitCode> {
    let connection = &args.connection;
    match args.action {
        Action::Status { output } => status::show(connection, &output).await?,
        Action::Add { name, id, peer_address, url } => {
            members::add(connection, AddMemberRequest { name, id, peer_address, url }).await?;
        }
        Action::Promote { name } => members::promote(connection, &name).await?,
        Action::Remove { name, id } => members::remove(connection, &name, id).await?,
        Action::TransferLeader { to } => {
            let request = TransferLeaderRequest { to: to.unwrap_or_default() };
            let answer = connected(connection)?.transfer_leader(request).await.map_err(said)?.into_inner();
            print::line(&format!("{} leads", answer.leader))?;
        }
        Action::RotateEncryptionKey { rewrite_only } => rotate(connection, rewrite_only).await?,
        Action::Backup { file } => backup::download(connection, &file).await?,
        Action::Restore { file, data_dir, name } => offline::restore(&file, &data_dir, &name)?,
        Action::Recover { data_dir } => offline::recover(&data_dir)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate(connection: &Connection, rewrite_only: bool) -> Result<()> {
    let request = RotateEncryptionKeyRequest { rewrite_only };
    let answer = connected(connection)?.rotate_encryption_key(request).await.map_err(said)?.into_inner();
    let key = if rewrite_only { String::new() } else { format!("key {} is in use; ", answer.key) };
    print::line(&format!("{key}{} secrets were encrypted anew", answer.rewritten))
}

/// Does what the subcommand says.
pub(crate) async fn token(args: TokenArgs) -> Result<ExitCode> {
    let TokenAction::Create { masters, ttl, description } = args.action;
    let request = CreateTokenRequest { ttl_seconds: ttl, description, masters };
    let answer = connected(&args.connection)?.create_token(request).await.map_err(said)?.into_inner();
    print::line(&answer.token)?;
    Ok(ExitCode::SUCCESS)
}

/// A new token for workers that does not expire, asked for until a master gives one.
pub(crate) async fn new_token(kubeconfig: &Path, description: &str, patience: Duration) -> Result<String> {
    let config = Config::from_kubeconfig(kubeconfig)?;
    let mut client = client_of(&config)?;
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        let request = CreateTokenRequest { ttl_seconds: 0, description: description.to_owned(), masters: false };
        match client.create_token(request).await {
            Ok(answer) => return Ok(answer.into_inner().token),
            Err(status) if tokio::time::Instant::now() > deadline => {
                return Err(said(status)).context("cannot make a join token");
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

type Client = ClusterClient<tonic::service::interceptor::InterceptedService<Channel, Credentials>>;

/// Adds a bearer token, where that is who we are.
#[derive(Clone)]
struct Credentials(Option<tonic::metadata::MetadataValue<tonic::metadata::Ascii>>);

impl tonic::service::Interceptor for Credentials {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A client of the first master that takes a connection.
fn connected(connection: &Connection) -> Result<Client> {
    client_of(&connection.config()?)
}

fn client_of(config: &Config) -> Result<Client> {
    let ca = config.ca_pem.as_deref().context("the kubeconfig names no certificate authority")?;
    let token = match &config.auth {
        mainstay_client::Auth::Token(token) => {
            Some(format!("Bearer {token}").parse().context("the token is not usable")?)
        }
        _ => None,
    };
    let tls = mainstay_apiserver::pki::client_config(ca, connect::identity(config).as_ref())?;
    let channel = join::channel_to_any(&config.servers, tls)?;
    Ok(ClusterClient::with_interceptor(channel, Credentials(token)))
}

/// The server's words; it carries a whole Status, whose message is the gRPC message too.
fn said(status: tonic::Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}
