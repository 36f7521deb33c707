//! Writes in the name of a leadership end with it.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use mainstay_client::{Api, Client, Config, Error, Term};

use crate::support::{TestCluster, eventually, eventually_async};

fn configmap(name: &str) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.name = Some(name.into());
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_has_no_say_when_it_wakes_up() {
    let cluster = TestCluster::up(0, &[]);
    let client = Client::connect(&Config::from_kubeconfig(&cluster.kubeconfig()).unwrap()).unwrap();
    let term = cluster.term();
    let fenced = Api::<ConfigMap>::namespaced(client.with_term(Term(term)), "default");
    fenced.create(&configmap("in-time")).await.unwrap();

    let leader = cluster.leader();
    cluster.signal_master(&leader, "STOP");
    eventually("another master leads", Duration::from_secs(20), || {
        cluster.try_leader().is_some_and(|name| name != leader)
    });
    let unfenced = Api::<ConfigMap>::namespaced(client.clone(), "default");
    // The connection may still lead to the paused master.
    eventually_async("the new leader takes writes", Duration::from_secs(20), async || {
        let created = unfenced.create(&configmap("meanwhile")).await;
        created.is_ok() || created.is_err_and(|error| error.is_already_exists())
    })
    .await;
    cluster.signal_master(&leader, "CONT");

    let refused = fenced.create(&configmap("too-late")).await.unwrap_err();
    assert!(matches!(&refused, Error::Api(_)), "{refused:?}");
    assert!(unfenced.get("too-late").await.is_err(), "a write of a former leadership happened");
    unfenced.get("in-time").await.unwrap();
    eventually("all masters are well again", Duration::from_secs(30), || cluster.healthy() == 3);
}
