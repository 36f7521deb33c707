//! Members of the store as processes, killed at random points while clients write: nothing that was acknowledged is lost.
//! `make crash` runs hundreds of rounds; MAINSTAY_CRASH_ROUNDS says how many, MAINSTAY_CRASH_SEED repeats a choice.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mainstay_apiserver::pki::{ClusterCa, Profile};
use mainstay_proto::etcd::kv_client::KvClient;
use mainstay_proto::etcd::{PutRequest, RangeRequest};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tonic::transport::{Channel, Endpoint};

use crate::support::MAINSTAY;

const MEMBERS: usize = 3;
const WRITERS: usize = 6;
const KEYS: usize = 20;
/// After a write that failed.
const AGAIN: Duration = Duration::from_millis(20);
/// A killed cluster answers again within this, on a machine that builds at the same time.
const BACK: Duration = Duration::from_secs(60);

#[test]
fn nothing_acknowledged_is_lost_when_members_are_killed() {
    let rounds = number("MAINSTAY_CRASH_ROUNDS").unwrap_or(5);
    let seed = number("MAINSTAY_CRASH_SEED").unwrap_or_else(rand::random);
    println!("seed {seed}, {rounds} rounds");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let acknowledged: usize = runtime.block_on(async {
        let mut members = Members::start(folder.path());
        let mut random = StdRng::seed_from_u64(seed);
        let writers: Vec<_> = (0..WRITERS).map(|number| Writer::new(number, &members.clients)).collect();
        members.answering().await;
        let mut acknowledged = 0;
        for round in 0..rounds {
            acknowledged += one_round(&mut members, &writers, &mut random, round).await;
        }
        acknowledged
    });
    println!("{rounds} rounds, {acknowledged} acknowledged writes, none lost");
    assert!(acknowledged > 0, "nothing was written");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Writes, kills at some point, starts again, checks. Returns how many writes were acknowledged.
async fn one_round(members: &mut Members, writers: &[Arc<Writer>], random: &mut StdRng, round: u64) -> usize {
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = writers.iter().map(|writer| tokio::spawn(writer.clone().write_until(stop.clone()))).collect();
    tokio::time::sleep(Duration::from_millis(random.random_range(20..600))).await;
    // One, two or all of them at once.
    let count = random.random_range(1..=MEMBERS);
    let first = random.random_range(0..MEMBERS);
    let killed: Vec<usize> = (0..count).map(|i| (first + i) % MEMBERS).collect();
    killed.iter().for_each(|&member| members.kill(member));
    tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
    killed.iter().for_each(|&member| members.spawn(member));
    tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += task.await.unwrap();
    }
    members.answering().await;
    for (number, writer) in writers.iter().enumerate() {
        // Each member must know, not only the leader.
        writer.check(&members.clients[(number + usize::try_from(round).unwrap()) % MEMBERS]).await;
    }
    acknowledged
}

/// Three processes, killed when dropped.
struct Members {
    specs: Vec<PathBuf>,
    logs: Vec<PathBuf>,
    running: Vec<Option<Child>>,
    clients: Vec<KvClient<Channel>>,
}

impl Members {
    fn start(folder: &Path) -> Self {
        let ca = ClusterCa::create().unwrap();
        let held: Vec<TcpListener> = (0..MEMBERS * 2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<SocketAddr> = held.iter().map(|listener| listener.local_addr().unwrap()).collect();
        drop(held);
        let mut members = Self { specs: vec![], logs: vec![], running: vec![], clients: vec![] };
        for i in 0..MEMBERS {
            let name = format!("m{i}");
            let profile = Profile::Peer { master: name.clone(), addresses: vec!["127.0.0.1".to_owned()] };
            let issued = ca.issue(&profile).unwrap();
            let join: Vec<String> = if i == 0 { vec![] } else { vec![ports[MEMBERS].to_string()] };
            let spec = json!({
                "name": name, "data_dir": folder.join(&name), "kv_listen": ports[i], "peer_listen": ports[MEMBERS + i],
                "join": join, "ca_pem": ca.cert_pem(), "cert_pem": issued.cert_pem, "key_pem": issued.key_pem,
            });
            let path = folder.join(format!("{name}.json"));
            std::fs::write(&path, spec.to_string()).unwrap();
            members.specs.push(path);
            members.logs.push(folder.join(format!("{name}.log")));
            members.running.push(None);
            let endpoint = Endpoint::from_shared(format!("http://{}", ports[i])).unwrap();
            members.clients.push(KvClient::new(endpoint.timeout(Duration::from_secs(2)).connect_lazy()));
            members.spawn(i);
        }
        members
    }

    fn spawn(&mut self, member: usize) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.logs[member]).unwrap();
        let child = Command::new(MAINSTAY)
            .args(["bench", "member"])
            .arg(&self.specs[member])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running[member] = Some(child);
    }

    fn kill(&mut self, member: usize) {
        if let Some(mut child) = self.running[member].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Waits until each member takes a write; starts again one that gave up because it was alone for too long.
    async fn answering(&mut self) {
        let until = Instant::now() + BACK;
        for member in 0..MEMBERS {
            while let Err(status) = self.clients[member].put(put("ready", 0)).await {
                let ended = self.running[member].as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
                let said = std::fs::read_to_string(&self.logs[member]).unwrap_or_default();
                assert!(!ended, "member {member} ended: {said}");
                assert!(Instant::now() < until, "member {member}: {}; {said}", status.message());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        (0..MEMBERS).for_each(|member| self.kill(member));
    }
}

fn put(key: &str, value: u64) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: value.to_string().into(), lease: 0 }
}

/// Counts its own keys up; nobody else writes them. After a write whose fate is unknown its key is left alone: that
/// write may still come late, which is allowed, and must not be taken for the loss of a newer one.
struct Writer {
    number: usize,
    clients: Vec<KvClient<Channel>>,
    keys: Mutex<HashMap<String, Counter>>,
    generations: Mutex<[u32; KEYS]>,
}

#[derive(Clone, Copy, Default)]
struct Counter {
    acknowledged: u64,
    attempted: u64,
}

impl Writer {
    fn new(number: usize, clients: &[KvClient<Channel>]) -> Arc<Self> {
        let generations = Mutex::new([0; KEYS]);
        Arc::new(Self { number, clients: clients.to_vec(), keys: Mutex::default(), generations })
    }

    async fn write_until(self: Arc<Self>, stop: Arc<AtomicBool>) -> usize {
        let mut acknowledged = 0;
        let mut turn = self.number;
        while !stop.load(Ordering::Relaxed) {
            turn += 1;
            let slot = turn % KEYS;
            let key = format!("crash/{}/{slot}/{}", self.number, self.generations.lock()[slot]);
            let value = {
                let mut keys = self.keys.lock();
                let counter = keys.entry(key.clone()).or_default();
                counter.attempted += 1;
                counter.attempted
            };
            let mut client = self.clients[turn % self.clients.len()].clone();
            if client.put(put(&key, value)).await.is_ok() {
                self.keys.lock().entry(key).or_default().acknowledged = value;
                acknowledged += 1;
            } else {
                self.generations.lock()[slot] += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
        acknowledged
    }

    /// What is there is what was acknowledged last, or a later try whose answer was lost.
    async fn check(&self, client: &KvClient<Channel>) {
        let found = self.read(client).await;
        for (key, Counter { acknowledged, attempted }) in &*self.keys.lock() {
            let (found, allowed) = (found.get(key).copied().unwrap_or(0), *acknowledged..=*attempted);
            assert!(allowed.contains(&found), "{key} is {found}, and {acknowledged} of {attempted} were acknowledged");
        }
    }

    /// All of its keys at once: there are more with each round.
    async fn read(&self, client: &KvClient<Channel>) -> HashMap<String, u64> {
        // What follows the slash in ASCII ends the range.
        let (key, range_end) = (format!("crash/{}/", self.number).into(), format!("crash/{}0", self.number).into());
        let mut client = client.clone().max_decoding_message_size(usize::MAX);
        let answer = client.range(RangeRequest { key, range_end, ..RangeRequest::default() }).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer.into_inner().kvs.iter().map(|kv| (text(&kv.key), text(&kv.value).parse().unwrap())).collect()
    }
}
