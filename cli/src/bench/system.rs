//! Three members under load: of the store, and of etcd beside it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use mainstay_apiserver::pki::{ClusterCa, Profile};
use mainstay_proto::etcd::kv_client::KvClient;
use mainstay_proto::etcd::maintenance_client::MaintenanceClient;
use mainstay_proto::etcd::{PutRequest, RangeRequest, StatusRequest};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;

use super::connection::Connection;
use super::member::MemberSpec;
use super::rows::Row;
use super::{ServersArgs, etcd};
use crate::ports;

const MEMBERS: usize = 3;
/// Connections to a member; more clients share them, as programs do.
const CONNECTIONS: usize = 8;
/// How long members may take until they answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Bound of a call that asks who leads.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// Puts under way while keys are put before a measurement.
const FILLING: usize = 256;

/// A client of one member.
pub(super) type Client = KvClient<Connection>;

/// Members under load, ended when dropped.
pub(super) struct System {
    pub(super) name: &'static str,
    members: Vec<Child>,
    /// Clients of each member; the first one leads.
    pub(super) clients: Vec<Vec<Client>>,
    /// Where each member serves.
    pub(super) addresses: Vec<SocketAddr>,
}

impl System {
    /// Clients of all members in turns.
    pub(super) fn interleaved(&self) -> Vec<Client> {
        (0..CONNECTIONS).flat_map(|i| self.clients.iter().map(move |of_member| of_member[i].clone())).collect()
    }

    async fn end(mut self) -> Result<()> {
        for member in &mut self.members {
            member.kill().await.with_context(|| format!("ending a member of {}", self.name))?;
        }
        Ok(())
    }

    /// The largest resident memory of a member.
    pub(super) fn resident_mib(&self) -> u64 {
        self.members.iter().filter_map(Child::id).filter_map(resident_mib).max().unwrap_or(0)
    }
}

/// Measures the store, and etcd where that is asked for. Each has the machine to itself meanwhile, or what the other still
/// does in the background would count; the rows of the same load come side by side.
pub(super) async fn each(args: &ServersArgs, measure: impl AsyncFn(&System) -> Result<Vec<Row>>) -> Result<Vec<Row>> {
    let temporary = tempfile::tempdir().context("making a folder for the members")?;
    let dir = args.dir.as_deref().unwrap_or(temporary.path());
    std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let mut rows = measure_one(mainstay(dir).await?, args, &measure).await?;
    if args.vs_etcd {
        let others = measure_one(etcd_system(&args.etcd, dir).await?, args, &measure).await?;
        rows = rows.into_iter().zip(others).flat_map(<[Row; 2]>::from).collect();
    }
    Ok(rows)
}

async fn measure_one(
    system: System,
    args: &ServersArgs,
    measure: &impl AsyncFn(&System) -> Result<Vec<Row>>,
) -> Result<Vec<Row>> {
    fill(&system, args.keys).await.with_context(|| format!("filling {}", system.name))?;
    let rows = measure(&system).await?;
    system.end().await?;
    Ok(rows)
}

/// What all keys begin with.
pub(super) fn prefix() -> Bytes {
    Bytes::from_static(b"bench/")
}

/// The first key after all of them.
pub(super) fn after_prefix() -> Bytes {
    Bytes::from_static(b"bench0")
}

/// The key number `sequence`.
pub(super) fn key(sequence: u64) -> Bytes {
    Bytes::from(format!("bench/key\0\0{sequence:012}"))
}

/// A put of that key.
pub(super) fn put_request(sequence: u64, value: Bytes) -> PutRequest {
    PutRequest { key: key(sequence), value, lease: 0 }
}

/// A read of that key.
pub(super) fn range_request(sequence: u64) -> RangeRequest {
    RangeRequest { key: key(sequence), ..RangeRequest::default() }
}

async fn mainstay(dir: &Path) -> Result<System> {
    let ca = ClusterCa::create().context("making a CA")?;
    let peers = free_addresses(MEMBERS)?;
    let listen = free_addresses(MEMBERS)?;
    let mut members = Vec::new();
    let mut clients = Vec::new();
    for i in 0..MEMBERS {
        let name = format!("m{i}");
        let profile = Profile::Peer { master: name.clone(), addresses: vec!["127.0.0.1".to_owned()] };
        let issued = ca.issue(&profile).context("issuing a certificate")?;
        let join = if i == 0 { Vec::new() } else { vec![peers[0].to_string()] };
        let spec = MemberSpec {
            data_dir: dir.join(&name),
            name,
            kv_listen: listen[i],
            peer_listen: peers[i],
            join,
            ca_pem: ca.cert_pem().to_owned(),
            cert_pem: issued.cert_pem,
            key_pem: issued.key_pem,
        };
        members.push(start_member(dir, &spec)?);
    }
    for address in &listen {
        clients.push(connect(*address).await?);
    }
    let system = System { name: "mainstay", members, clients, addresses: listen };
    answering(&system).await?;
    Ok(system)
}

fn start_member(dir: &Path, spec: &MemberSpec) -> Result<Child> {
    let path = dir.join(format!("{}.json", spec.name));
    std::fs::write(&path, serde_json::to_vec(spec)?).with_context(|| format!("writing {}", path.display()))?;
    let log = dir.join(format!("{}.log", spec.name));
    let log = std::fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
    Command::new(std::env::current_exe().context("finding this executable")?)
        .args(["bench", "member"])
        .arg(&path)
        .stdin(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting a member")
}

async fn etcd_system(program: &Path, dir: &Path) -> Result<System> {
    let listen = free_addresses(MEMBERS)?;
    let members = etcd::start(program, dir, &listen, &free_addresses(MEMBERS)?)?;
    let addresses = leader_first(&listen).await?;
    let mut clients = Vec::new();
    for address in &addresses {
        clients.push(connect(*address).await?);
    }
    let system = System { name: "etcd", members, clients, addresses };
    answering(&system).await?;
    Ok(system)
}

/// Asks the members who leads, so that writes go there without being forwarded, as they do in the store.
async fn leader_first(members: &[SocketAddr]) -> Result<Vec<SocketAddr>> {
    let until = tokio::time::Instant::now() + START_LIMIT;
    loop {
        for (i, address) in members.iter().enumerate() {
            if leads(*address).await.unwrap_or(false) {
                let mut ordered = members.to_vec();
                ordered.swap(0, i);
                return Ok(ordered);
            }
        }
        anyhow::ensure!(tokio::time::Instant::now() < until, "etcd elects no leader");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn leads(address: SocketAddr) -> Result<bool> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.timeout(CALL_LIMIT);
    let mut client = MaintenanceClient::new(endpoint.connect().await?);
    let status = client.status(StatusRequest {}).await?.into_inner();
    Ok(status.header.is_some_and(|header| header.member_id == status.leader))
}

/// Connects once the member listens.
async fn connect(address: SocketAddr) -> Result<Vec<Client>> {
    let until = tokio::time::Instant::now() + START_LIMIT;
    loop {
        match futures::future::try_join_all((0..CONNECTIONS).map(|_| connect_one(address))).await {
            Ok(clients) => return Ok(clients),
            Err(error) if tokio::time::Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connect_one(address: SocketAddr) -> Result<Client> {
    let origin = format!("http://{address}").parse().context("the member's address")?;
    Ok(KvClient::with_origin(connection(address).await?, origin))
}

/// A connection to a member that listens.
pub(super) async fn connection(address: SocketAddr) -> Result<Connection> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true).context("setting TCP_NODELAY")?;
    Connection::over(stream).await
}

/// Waits until every member takes a write.
async fn answering(system: &System) -> Result<()> {
    let until = tokio::time::Instant::now() + START_LIMIT;
    for of_member in &system.clients {
        let mut client = of_member[0].clone();
        while let Err(status) = client.put(put_request(0, Bytes::from_static(b"ready"))).await {
            let late = tokio::time::Instant::now() > until;
            anyhow::ensure!(!late, "{} does not answer: {}", system.name, status.message());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Puts the keys that reads choose from, 1 KiB each.
async fn fill(system: &System, keys: u64) -> Result<()> {
    let value = Bytes::from(vec![b'v'; 1024]);
    let clients = system.clients[0].iter().cycle();
    let puts = futures::stream::iter((0..keys).zip(clients)).map(|(sequence, client)| {
        let (mut client, value) = (client.clone(), value.clone());
        async move { client.put(put_request(sequence, value)).await.map(drop) }
    });
    puts.buffer_unordered(FILLING).try_collect().await.context("put")
}

/// Addresses on loopback that are free now.
fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let host = IpAddr::from([127, 0, 0, 1]);
    Ok(ports::free(host, count)?.into_iter().map(|port| SocketAddr::from((host, port))).collect())
}

/// Resident memory of a process from `/proc`.
fn resident_mib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}
