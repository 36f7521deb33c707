//! kube-rs against three masters: a watcher and a controller go on while the leading master dies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::Action;
use kube::runtime::watcher::Event;
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{TestCluster, eventually_async};

const SOURCES: &str = "role=source";

async fn connect(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

fn source(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object.metadata.labels = Some(BTreeMap::from([("role".into(), "source".into())]));
    object
}

/// Creates it however often the connection breaks; "already exists" then means that an earlier try was taken.
async fn create(api: &Api<ConfigMap>, name: &str) {
    for _ in 0..200 {
        match api.create(&PostParams::default(), &source(name)).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if status.code == 409 => return,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("{name} could not be created");
}

/// Notes the name of every object that the watcher tells of.
fn watch(api: Api<ConfigMap>) -> (Arc<Mutex<BTreeSet<String>>>, JoinHandle<()>) {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let noted = seen.clone();
    let stream = watcher(api, watcher::Config::default().labels(SOURCES)).default_backoff();
    let task = tokio::spawn(stream.for_each(move |event| {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            noted.lock().insert(object.name_any());
        }
        std::future::ready(())
    }));
    (seen, task)
}

/// Keeps a copy of each source, applied on the server and owned by its source.
async fn reconcile(object: Arc<ConfigMap>, api: Arc<Api<ConfigMap>>) -> Result<Action, kube::Error> {
    let name = format!("copy-of-{}", object.name_any());
    let copy = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"role": "copy"}, "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": object.name_any(),
            "uid": object.uid(), "controller": true,
        }]},
    });
    api.patch(&name, &PatchParams::apply("copier").force(), &Patch::Apply(&copy)).await?;
    Ok(Action::await_change())
}

fn control(api: Api<ConfigMap>) -> JoinHandle<()> {
    let context = Arc::new(api.clone());
    let retry =
        |_: Arc<ConfigMap>, _: &kube::Error, _: Arc<Api<ConfigMap>>| Action::requeue(Duration::from_millis(200));
    let controller = Controller::new(api.clone(), watcher::Config::default().labels(SOURCES))
        .owns(api, watcher::Config::default().labels("role=copy"))
        .run(reconcile, retry, context);
    tokio::spawn(controller.for_each(|_| std::future::ready(())))
}

async fn copies(api: &Api<ConfigMap>) -> usize {
    let list = api.list(&kube::api::ListParams::default().labels("role=copy")).await;
    list.map_or(0, |list| list.items.len())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_and_a_controller_go_on_when_the_leader_dies() {
    // Another test of this process may have chosen the same provider before.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let cluster = TestCluster::up(0, &[]);
    let api = Api::<ConfigMap>::namespaced(connect(&cluster.kubeconfig()).await, "default");
    let (seen, watching) = watch(api.clone());
    let controlling = control(api.clone());
    for number in 0..10 {
        create(&api, &format!("before-{number}")).await;
    }
    let leader = cluster.leader();
    cluster.signal_master(&leader, "KILL");
    for number in 0..10 {
        create(&api, &format!("after-{number}")).await;
    }
    eventually_async("every source is seen", Duration::from_secs(60), async || seen.lock().len() == 20).await;
    eventually_async("every source has its copy", Duration::from_secs(60), async || copies(&api).await == 20).await;

    api.delete("copy-of-after-0", &kube::api::DeleteParams::default()).await.unwrap();
    eventually_async("a lost copy is made again", Duration::from_secs(60), async || copies(&api).await == 20).await;
    controlling.abort();
    watching.abort();
}
