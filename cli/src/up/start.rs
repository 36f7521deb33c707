//! The order in which a cluster starts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node;
use mainstay_apiserver::pki::{MasterPki, Profile};
use mainstay_client::{Api, Client, Config, Patch};
use serde_json::json;

use super::file::ClusterFile;
use super::keeper::{Keeper, Slot};
use super::progress::Progress;
use super::{containers, layout, network, ready, registry};
use crate::cluster;
use crate::kubeconfig::{Kubeconfig, write_private};

/// The namespace of tokens comes a moment after the first master answers.
const TOKEN_PATIENCE: Duration = Duration::from_secs(30);

/// Starts everything and returns when it is ready.
pub(super) async fn cluster(keeper: &Arc<Keeper>, progress: &Progress) -> Result<()> {
    let file = keeper.file();
    prepare_folders(keeper.dir(), &file)?;
    if file.bridge.is_some() {
        progress.step("Laying the network between the machines");
        network::set_up(keeper).await?;
    }
    if file.has_containers() {
        registry::start(keeper).await?;
    }
    masters(keeper, &file, progress).await?;
    credentials(keeper)?;
    join_token(keeper).await?;
    nodes(keeper, progress).await?;
    roles(&file, &keeper.dir().join("kubeconfig")).await
}

fn prepare_folders(dir: &Path, file: &ClusterFile) -> Result<()> {
    let folders = file.masters.iter().map(|m| m.data_dir.clone()).chain(file.nodes().map(|node| node.data_dir.clone()));
    for folder in folders.chain([dir.join("logs")]) {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    write_private(&dir.join("master-token"), file.master_token.as_bytes())
}

async fn masters(keeper: &Arc<Keeper>, file: &ClusterFile, progress: &Progress) -> Result<()> {
    // Any of them: a founder that lost its data must not found a second cluster beside the others.
    let resumed = file.masters.iter().any(|master| MasterPki::exists(&master.data_dir.join("pki")));
    for (index, master) in file.masters.iter().enumerate() {
        progress.step(&format!("Starting {} at {}", master.name, master.url));
        keeper.keep(Slot::Master(index), layout::master_command(file, index, keeper.dir(), !resumed)?)?;
        // One alone of a cluster that was stopped has no majority: they must all be started before any is ready.
        if !resumed {
            ready::master(keeper, &master.url, &master.data_dir).await?;
        }
    }
    if resumed {
        for master in &file.masters {
            ready::master(keeper, &master.url, &master.data_dir).await?;
        }
    }
    Ok(())
}

/// The kubeconfig and the rest that clients want, from the first master's keys.
fn credentials(keeper: &Arc<Keeper>) -> Result<()> {
    let file = keeper.file();
    let first = &file.masters[0];
    let ca = MasterPki::authority(&first.data_dir.join("pki"))?;
    let identity = ca.issue(&Profile::Admin)?;
    write_private(&file.ca, ca.cert_pem().as_bytes())?;
    let kubeconfig = Kubeconfig { servers: &file.urls(), ca_pem: ca.cert_pem(), identity: &identity };
    kubeconfig.write(&keeper.dir().join("kubeconfig"))?;
    keeper.change(|file| file.token = ca.admin_token())
}

/// The agents' token, which does not admit masters; made once.
async fn join_token(keeper: &Arc<Keeper>) -> Result<()> {
    if keeper.file().join_token.is_empty() {
        let description = "for the workers of `mainstay up`";
        let token = cluster::new_token(&keeper.dir().join("kubeconfig"), description, TOKEN_PATIENCE).await?;
        keeper.change(|file| file.join_token = token)?;
    }
    write_private(&keeper.dir().join("join-token"), keeper.file().join_token.as_bytes())
}

async fn nodes(keeper: &Arc<Keeper>, progress: &Progress) -> Result<()> {
    let file = keeper.file();
    let count = file.nodes().count();
    if count == 0 {
        return Ok(());
    }
    if file.has_containers() {
        for (index, node) in file.nodes().enumerate() {
            progress.step(&format!("Starting containerd of {}", node.node_name()));
            containers::start(keeper, index).await?;
        }
    }
    progress.step(&format!("Starting {count} agents"));
    for index in 0..count {
        keeper.keep(Slot::Agent(index), layout::agent_command(&keeper.file(), index, keeper.dir())?)?;
    }
    progress.step(&format!("Waiting for {count} nodes to be ready"));
    ready::nodes(keeper, &keeper.dir().join("kubeconfig"), count).await
}

/// Says which nodes are masters. An agent may not say so itself.
async fn roles(file: &ClusterFile, kubeconfig: &Path) -> Result<()> {
    let client = Client::connect(&Config::from_kubeconfig(kubeconfig)?)?;
    let api = Api::<Node>::all(client);
    let label = Patch::Merge(json!({"metadata": {"labels": {(layout::CONTROL_PLANE): ""}}}));
    for agent in &file.master_agents {
        let name = agent.node_name();
        api.patch(name, &label).await.with_context(|| format!("cannot label the node {name}"))?;
    }
    Ok(())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What to type next.
pub(super) fn farewell(dir: &Path, file: &ClusterFile, detached: bool) -> String {
    let dir = dir.display();
    let mut text = format!(
        "{} and {} are ready.\n\n  export KUBECONFIG={dir}/kubeconfig\n  mainstay get nodes\n  mainstay cluster status\n",
        counted(file.masters.len(), "master"),
        counted(file.workers.len(), "worker"),
    );
    if let Some(registry) = &file.registry {
        text.push_str(&format!("\nImages come from the registry at {registry}; push with: skopeo copy --dest-tls-verify=false SOURCE docker://{registry}/NAME:TAG\n"));
    }
    text.push_str(&if detached {
        format!("\nRemove it all with: mainstay down --dir {dir}")
    } else {
        format!("\nCtrl-C stops the cluster and keeps its data; mainstay down --dir {dir} removes it.")
    });
    text
}
