//! `bench flood`: how long one user's calls take, alone and beside another user who floods the API from a process of
//! their own. Both are users like any other, so that flow control judges them; the administrator, as whom the other benchmarks
//! run, it does not.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_client::{Client, Config, DeleteOptions, DynamicApi, Target};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::api::{self, OBJECTS};
use super::load::{self, Measured};
use super::rows::{self, Row};
use super::{FloodArgs, FloodLoadArgs};

/// Concurrent calls of the calm user.
const CALM: usize = 4;
/// Connections of each user.
const CONNECTIONS: usize = 4;
/// The flood begins before the calm user is measured, and ends after.
const LONGER: f64 = 1.4;
/// How long a flood may take to begin, and to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What both users do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Operation {
    Get,
    #[value(name = "list 100")]
    List,
    Patch,
}

impl Operation {
    const ALL: [Operation; 3] = [Operation::Get, Operation::List, Operation::Patch];

    /// As the rows and the hidden command call it.
    fn word(self) -> &'static str {
        match self {
            Operation::Get => "get",
            Operation::List => "list 100",
            Operation::Patch => "patch",
        }
    }
}

/// Makes a namespace and two users with rights in it, measures, removes the namespace, prints the rows.
pub(super) async fn run(args: &FloodArgs) -> Result<()> {
    let config = Config::from_kubeconfig(&args.kubeconfig)?;
    let namespace = format!("bench-{}", std::process::id());
    let admin = Client::connect(&config)?;
    let namespaces = DynamicApi::all(admin.clone(), Target::new("", "v1", "namespaces"));
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    namespaces.create(&object).await.context("making a namespace for the load")?;
    let outcome = prepare_and_measure(args, &config, &admin, &namespace).await;
    namespaces.delete(&namespace, &DeleteOptions::default()).await.context("removing the namespace of the load")?;
    rows::print(&outcome?, args.load.json)
}

async fn prepare_and_measure(args: &FloodArgs, config: &Config, admin: &Client, namespace: &str) -> Result<Vec<Row>> {
    let group = "rbac.authorization.k8s.io";
    let bindings = DynamicApi::namespaced(admin.clone(), Target::new(group, "v1", "rolebindings"), namespace);
    let binding = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "RoleBinding",
        "metadata": {"name": "bench"},
        "subjects": [{"kind": "Group", "apiGroup": group, "name": namespace}],
        "roleRef": {"kind": "ClusterRole", "apiGroup": group, "name": "edit"},
    });
    bindings.create(&binding).await.context("giving the users of the load their rights")?;
    let maps = DynamicApi::namespaced(admin.clone(), Target::new("", "v1", "configmaps"), namespace);
    for number in 0..OBJECTS {
        maps.create(&api::config_map(&api::known(number), args.load.value_bytes)).await.context("making objects")?;
    }
    let calm = user(config, namespace, "calm")?;
    let mut rows = Vec::new();
    for operation in Operation::ALL {
        let measured = || measure(&calm, operation, CALM, args.load.length(), args.load.value_bytes);
        rows.push(row(format!("{}, alone", operation.word()), CALM, &measured().await?));
        for clients in &args.load.clients {
            let flood = Flood::start(args, namespace, operation, *clients).await?;
            let beside = measured().await?;
            let flooding = flood.end(args.load.length()).await?;
            rows.push(row(format!("{}, beside {clients} of a flood", operation.word()), CALM, &beside));
            rows.push(row(format!("{}, the flood", operation.word()), *clients, &flooding));
        }
    }
    Ok(rows)
}

/// The process that floods; it ends with this.
struct Flood {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Flood {
    /// Returns once it has begun.
    async fn start(args: &FloodArgs, namespace: &str, operation: Operation, clients: usize) -> Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let length = args.load.length().mul_f64(LONGER).as_millis();
        let mut command = Command::new(own);
        command.args(["bench", "flood-load", "--namespace", namespace, "--op", operation.word()]);
        command.args(["--clients", &clients.to_string(), "--millis", &length.to_string()]);
        command.args(["--value-bytes", &args.load.value_bytes.to_string()]);
        command.arg("--kubeconfig").arg(&args.kubeconfig);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting the flood")?;
        let output = child.stdout.take().context("the flood has no output")?;
        let mut flood = Self { child, said: BufReader::new(output).lines() };
        flood.line(PATIENCE).await.context("the flood does not begin")?;
        Ok(flood)
    }

    /// What it has seen, once it has gone on for at most so long.
    async fn end(mut self, length: Duration) -> Result<Measured> {
        let line = self.line(PATIENCE + length).await.context("the flood does not end")?;
        self.child.wait().await.context("waiting for the flood")?;
        serde_json::from_str(&line).context("reading what the flood has seen")
    }

    async fn line(&mut self, patience: Duration) -> Result<String> {
        let line = tokio::time::timeout(patience, self.said.next_line()).await.context("it took too long")?;
        line.context("reading from it")?.context("it ended")
    }
}

/// The flood itself: says that it begins, and what it saw, a line each.
pub(super) async fn run_load(args: &FloodLoadArgs) -> Result<()> {
    let config = Config::from_kubeconfig(&args.kubeconfig)?;
    let flood = user(&config, &args.namespace, "flood")?;
    for client in &flood {
        api::call_grpc(client, args.op.word(), args.clients, 0, args.value_bytes).await.context("the first call")?;
    }
    println!("begins");
    let length = Duration::from_millis(args.millis);
    let measured = measure(&flood, args.op, args.clients, length, args.value_bytes).await?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Clients of a user who has rights in the namespace.
fn user(config: &Config, namespace: &str, name: &str) -> Result<Vec<DynamicApi>> {
    let config = Config {
        impersonate_user: Some(format!("{namespace}-{name}")),
        impersonate_groups: vec![namespace.to_owned()],
        ..config.clone()
    };
    let connect = |_| {
        let client = Client::connect(&config)?;
        Ok(DynamicApi::namespaced(client, Target::new("", "v1", "configmaps"), namespace))
    };
    (0..CONNECTIONS).map(connect).collect()
}

async fn measure(
    clients: &[DynamicApi],
    operation: Operation,
    count: usize,
    length: Duration,
    value_bytes: usize,
) -> Result<Measured> {
    let (clients, word) = (clients.to_vec(), operation.word());
    let measured = load::run(count, length, move |client, sequence| {
        let api = clients[client % clients.len()].clone();
        async move { api::call_grpc(&api, word, count, sequence, value_bytes).await }
    });
    measured.await.context(word)
}

fn row(op: String, clients: usize, measured: &Measured) -> Row {
    Row::new("gRPC", op, clients, measured)
}
