//! `mainstay cluster …` and `mainstay token …`: operating the cluster itself.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Subcommand};
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{
    AddMemberRequest, BackupRequest, CreateTokenRequest, Member, RemoveMemberRequest, StatusRequest,
    TransferLeaderRequest,
};
use serde_json::json;
use tonic::transport::Channel;

use crate::connect::{self, Connection};
use crate::join;
use crate::verbs::table::align;
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
    /// Let a master in that is already running and asks to join
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
    /// Remove a master
    Remove {
        /// Its name
        name: String,
    },
    /// Make another master the leader
    TransferLeader {
        /// Which; whoever is furthest along if not given
        to: Option<String>,
    },
    /// Write a consistent copy of the whole store to a file, while serving
    Backup {
        /// The file
        file: PathBuf,
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
    /// Make a token that masters and agents may join with
    Create {
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
        Action::Status { output } => status(connection, &output).await?,
        Action::Add { name, id, peer_address, url } => {
            let request = AddMemberRequest { name: name.clone(), id, peer_address, url };
            connected(connection)?.add_member(request).await.map_err(said)?;
            print::line(&format!("master {name} is a member"))?;
        }
        Action::Remove { name } => {
            connected(connection)?.remove_member(RemoveMemberRequest { name: name.clone() }).await.map_err(said)?;
            print::line(&format!("master {name} is no member any more"))?;
        }
        Action::TransferLeader { to } => {
            let request = TransferLeaderRequest { to: to.unwrap_or_default() };
            let answer = connected(connection)?.transfer_leader(request).await.map_err(said)?.into_inner();
            print::line(&format!("{} leads", answer.leader))?;
        }
        Action::Backup { file } => backup(connection, &file).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Does what the subcommand says.
pub(crate) async fn token(args: TokenArgs) -> Result<ExitCode> {
    let TokenAction::Create { ttl, description } = args.action;
    let request = CreateTokenRequest { ttl_seconds: ttl, description };
    let answer = connected(&args.connection)?.create_token(request).await.map_err(said)?.into_inner();
    print::line(&answer.token)?;
    Ok(ExitCode::SUCCESS)
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
    let config = connection.config()?;
    let ca = config.ca_pem.as_deref().context("the kubeconfig names no certificate authority")?;
    let token = match &config.auth {
        mainstay_client::Auth::Token(token) => {
            Some(format!("Bearer {token}").parse().context("the token is not usable")?)
        }
        _ => None,
    };
    let tls = mainstay_apiserver::pki::client_config(ca, connect::identity(&config).as_ref())?;
    let channel = join::channel_to_any(&config.servers, tls)?;
    Ok(ClusterClient::with_interceptor(channel, Credentials(token)))
}

/// The server's words; it carries a whole Status, whose message is the gRPC message too.
fn said(status: tonic::Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}

async fn status(connection: &Connection, output: &str) -> Result<()> {
    let answer = connected(connection)?.status(StatusRequest {}).await.map_err(said)?.into_inner();
    if output == "json" {
        let members: Vec<serde_json::Value> = answer.members.iter().map(as_json).collect();
        let whole = json!({"members": members, "cluster_id": answer.cluster_id, "leader_id": answer.leader_id,
            "term": answer.term, "revision": answer.revision});
        return print::line(&serde_json::to_string_pretty(&whole).context("cannot print JSON")?);
    }
    if !output.is_empty() {
        bail!("unknown output {output:?}; there is: json");
    }
    let mut grid =
        vec![["NAME", "ROLE", "HEALTHY", "URL", "APPLIED", "LAG", "LOG", "STATE"].map(str::to_owned).to_vec()];
    grid.extend(answer.members.iter().map(|member| {
        let healthy = if member.healthy {
            "yes".to_owned()
        } else if member.message.is_empty() {
            "no".to_owned()
        } else {
            format!("no: {}", member.message)
        };
        vec![
            member.name.clone(),
            member.role.clone(),
            healthy,
            member.url.clone(),
            member.applied.to_string(),
            member.lag.to_string(),
            megabytes(member.log_bytes),
            megabytes(member.state_bytes),
        ]
    }));
    align(&grid).iter().try_for_each(|line| print::line(line))?;
    print::line(&format!("\nterm {}, revision {}", answer.term, answer.revision))
}

fn as_json(member: &Member) -> serde_json::Value {
    json!({
        "id": member.id,
        "name": member.name,
        "role": member.role,
        "peer_address": member.peer_address,
        "url": member.url,
        "applied": member.applied,
        "lag": member.lag,
        "log_bytes": member.log_bytes,
        "state_bytes": member.state_bytes,
        "version": member.version,
        "healthy": member.healthy,
        "message": member.message,
        "snapshot_index": member.snapshot_index,
    })
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1024.0 * 1024.0))
}

async fn backup(connection: &Connection, file: &std::path::Path) -> Result<()> {
    use std::io::Write;
    let mut stream =
        connected(connection)?.backup(BackupRequest { id: String::new(), offset: 0 }).await.map_err(said)?.into_inner();
    let beside = file.with_extension("partial");
    let mut out = std::fs::File::create(&beside).with_context(|| format!("cannot write {}", beside.display()))?;
    let (mut written, mut total, mut revision) = (0u64, 0u64, 0u64);
    while let Some(chunk) = stream.message().await.map_err(said)? {
        if chunk.offset != written {
            bail!("the backup has a gap at byte {written}; try again");
        }
        out.write_all(&chunk.data).with_context(|| format!("cannot write {}", beside.display()))?;
        written += chunk.data.len() as u64;
        (total, revision) = (chunk.total, chunk.revision);
    }
    if written != total {
        bail!("the backup broke off after {written} of {total} bytes; try again");
    }
    out.sync_all().with_context(|| format!("cannot write {}", beside.display()))?;
    std::fs::rename(&beside, file).with_context(|| format!("cannot write {}", file.display()))?;
    print::line(&format!("revision {revision} in {} ({})", file.display(), megabytes(total)))
}
