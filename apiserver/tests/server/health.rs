//! The health paths, from a server that begins to one that stops.

use http::Method;
use serde_json::Value;

use crate::https::Client;
use crate::support::{Cluster, cluster};

/// The lines of an answer, each without what it says of the check that it is about.
fn names(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("[+]")?.strip_suffix(" ok")).collect()
}

async fn text(client: &Client, path: &str) -> (u16, String) {
    let answer = client.get(path).await;
    (answer.code, String::from_utf8(answer.body.to_vec()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_are_told_one_by_one_and_together() {
    let (cluster, _dir) = cluster().await;
    cluster.ready().await;
    let client = cluster.listen().await.token(&cluster.admin_token);

    let (code, all) = text(&client, "/readyz?verbose").await;
    assert!(code == 200 && all.ends_with("\nreadyz check passed\n"), "{all}");
    let found = names(&all);
    assert_eq!(found[..5], ["ping", "log", "etcd", "etcd-readiness", "informer-sync"]);
    assert_eq!(found[found.len() - 2..], ["autoregister-completion", "shutdown"]);
    for name in ["rbac/bootstrap-roles", "crd-informer-synced", "priority-and-fairness-config-producer"] {
        assert!(found.contains(&format!("poststarthook/{name}").as_str()), "{name} of {all}");
    }
    for name in &found {
        assert_eq!(text(&client, &format!("/readyz/{name}")).await, (200, "ok".to_owned()), "{name}");
    }
    let (_, figures) = text(&client, "/metrics/slis").await;
    let counted = "kubernetes_healthchecks_total{name=\"shutdown\",status=\"success\",type=\"readyz\"}";
    assert!(figures.contains(counted), "{figures}");
    let (_, alive) = text(&client, "/livez?verbose").await;
    let readiness = ["etcd-readiness", "informer-sync", "shutdown"];
    assert_eq!(names(&alive), found.into_iter().filter(|name| !readiness.contains(name)).collect::<Vec<_>>());

    let (_, some) = text(&client, "/livez?verbose&exclude=etcd&exclude=none").await;
    assert!(some.contains("[+]etcd excluded: ok\n"), "{some}");
    assert!(some.contains("warn: some health checks cannot be excluded: no matches for \"none\"\nlivez"), "{some}");
    for path in ["/livez/none", "/livez/", "/livez/poststarthook", "/livez/shutdown"] {
        let answer = client.send(Method::GET, path, &Value::Null).await;
        assert_eq!(
            (answer.code, &answer.headers["x-content-type-options"]),
            (404, &"nosniff".parse().unwrap()),
            "{path}"
        );
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_clusters_own_objects_a_leader_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(dir.path()).await.unwrap();
    // Who is in system:masters needs no role.
    let client = cluster.listen().await.token(&cluster.admin_token);
    let (code, all) = text(&client, "/livez").await;
    let line = "[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n";
    assert!(code == 500 && all.contains(line) && all.ends_with("\nlivez check failed\n"), "{all}");
    let one = text(&client, "/livez/poststarthook/rbac/bootstrap-roles").await;
    assert_eq!(one, (500, "internal server error: not finished\n".to_owned()));
    cluster.server.bootstrap(&[]).await.unwrap();
    cluster.ready().await;
    assert_eq!(text(&client, "/livez").await, (200, "ok".to_owned()));
    cluster.stop().await;
}
