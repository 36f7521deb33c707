//! `bench flood`: how long one client's calls take, alone and beside another client that floods the API. Both are users
//! like any other, so that flow control judges them; the administrator, as whom the other benchmarks run, it does not.

use anyhow::{Context, Result};
use mainstay_client::{Client, Config, DeleteOptions, DynamicApi, Target};
use serde_json::json;

use super::FloodArgs;
use super::api::{self, OBJECTS};
use super::load::{self, Measured};
use super::rows::{self, Row};

const OPERATIONS: [&str; 3] = ["get", "list 100", "patch"];
/// Concurrent calls of the calm client.
const CALM: usize = 4;
/// Connections of each client.
const CONNECTIONS: usize = 4;

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
    let (calm, flood) = (user(config, namespace, "calm")?, user(config, namespace, "flood")?);
    let mut rows = Vec::new();
    for operation in OPERATIONS {
        let alone = measure(args, &calm, operation, CALM).await?;
        rows.push(row(format!("{operation}, alone"), CALM, &alone));
        for clients in &args.load.clients {
            let (beside, flooding) =
                tokio::join!(measure(args, &calm, operation, CALM), measure(args, &flood, operation, *clients));
            rows.push(row(format!("{operation}, beside {clients} of a flood"), CALM, &beside?));
            rows.push(row(format!("{operation}, the flood"), *clients, &flooding?));
        }
    }
    Ok(rows)
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

async fn measure(args: &FloodArgs, clients: &[DynamicApi], operation: &'static str, count: usize) -> Result<Measured> {
    let (clients, bytes) = (clients.to_vec(), args.load.value_bytes);
    let measured = load::run(count, args.load.length(), move |client, sequence| {
        let api = clients[client % clients.len()].clone();
        async move { api::call_grpc(&api, operation, count, sequence, bytes).await }
    });
    measured.await.with_context(|| operation.to_owned())
}

fn row(op: String, clients: usize, measured: &Measured) -> Row {
    Row::new("gRPC", op, clients, measured)
}
