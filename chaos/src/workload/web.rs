//! A web service of real containers, reached at a port of every node, for the load of the client in `curl`.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use mainstay_client::{Api, Client};
use serde_json::json;

use super::namespace::NAMESPACE;
use super::steady;
use crate::cluster::Cluster;
use crate::tool::run;

const NAME: &str = "web";
const IMAGE: &str = "chaos/busybox:1";
/// Static, so that it is all that an image needs; Debian's package busybox-static.
const BUSYBOX: &str = "/bin/busybox";
const REPLICAS: i32 = 3;
const START_LIMIT: Duration = Duration::from_secs(120);
/// A page that ends before the server is told to stop would be cut off; so long pods go on serving when they leave.
const LEAVING_SECONDS: u32 = 2;

/// Makes it, waits until it is ready, and gives its addresses, one a node.
pub(super) async fn start(cluster: &Cluster, client: &Client) -> Result<Vec<String>> {
    let file = cluster.file()?;
    let registry = file.registry.clone().context("a web service wants real containers; use --runtime containerd")?;
    tokio::task::spawn_blocking(move || push(&registry)).await.context("making an image")??;
    let script = "mkdir -p /www && echo fine > /www/index.html && exec httpd -f -p 8080 -h /www";
    let container = json!({"name": "httpd", "image": format!("registry.local/{IMAGE}"),
        "command": ["/bin/busybox", "sh", "-c", script],
        "env": [{"name": "PATH", "value": "/bin"}],
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/busybox", "sleep", LEAVING_SECONDS.to_string()]}}},
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}});
    let mut spec = steady::spec();
    spec["containers"] = json!([container]);
    spec["terminationGracePeriodSeconds"] = json!(LEAVING_SECONDS + 2);
    let deployment: Deployment = serde_json::from_value(json!({"metadata": {"name": NAME},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": NAME}},
            "template": {"metadata": {"labels": {"app": NAME}}, "spec": spec}}}))?;
    let service: Service = serde_json::from_value(json!({"metadata": {"name": NAME},
        "spec": {"type": "NodePort", "selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]}}))?;
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    deployments.create(&deployment).await.context("making the web deployment")?;
    let service = Api::<Service>::namespaced(client.clone(), NAMESPACE).create(&service).await?;
    let port = service.spec.and_then(|spec| spec.ports?.first()?.node_port).context("a service without node port")?;
    ready(&deployments).await?;
    let nodes = cluster.node_addresses()?;
    Ok(nodes.into_iter().map(|address| format!("http://{address}:{port}/")).collect())
}

async fn ready(deployments: &Api<Deployment>) -> Result<()> {
    let until = Instant::now() + START_LIMIT;
    loop {
        let ready = deployments.get(NAME).await?.status.and_then(|status| status.ready_replicas).unwrap_or(0);
        if ready == REPLICAS {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("only {ready} of {REPLICAS} pods of the web service became ready");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Makes an image of busybox alone and puts it into the cluster's registry.
fn push(registry: &str) -> Result<()> {
    anyhow::ensure!(Path::new(BUSYBOX).exists(), "there is no {BUSYBOX}; install: apt-get install busybox-static");
    let folder = tempfile::tempdir().context("making a folder for an image")?;
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("layer/bin")).context("making a layer")?;
    std::fs::copy(BUSYBOX, path("layer/bin/busybox")).context("copying busybox")?;
    for name in ["sh", "httpd", "mkdir", "echo", "sleep"] {
        std::os::unix::fs::symlink("busybox", path("layer/bin").join(name)).context("filling a layer")?;
    }
    run(Command::new("tar").arg("-C").arg(path("layer")).arg("-cf").arg(path("layer.tar")).arg("."))?;
    let sum = Command::new("sha256sum").arg(path("layer.tar")).output().context("running sha256sum")?;
    let sum = String::from_utf8_lossy(&sum.stdout).split_whitespace().next().unwrap_or_default().to_owned();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]}});
    let manifest = json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    std::fs::write(path("config.json"), config.to_string()).context("writing an image")?;
    std::fs::write(path("manifest.json"), manifest.to_string()).context("writing an image")?;
    let parts = ["manifest.json", "config.json", "layer.tar"];
    run(Command::new("tar").arg("-C").arg(folder.path()).arg("-cf").arg(path("image.tar")).args(parts))?;
    let source = format!("docker-archive:{}", path("image.tar").display());
    let target = format!("docker://{registry}/{IMAGE}");
    run(Command::new("skopeo").args(["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", &source, &target]))
}
