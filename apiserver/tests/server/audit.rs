//! The audit log, as it is on the disk.

use std::path::Path;

use http::Method;
use mainstay_apiserver::audit::{AuditConfig, LogConfig, Policy};
use mainstay_apiserver::user::UserInfo;
use mainstay_proto::v1::objects_client::ObjectsClient;
use mainstay_proto::v1::{CreateRequest, ListRequest, ResourceRef};
use serde_json::{Value, json};

use crate::support::{Cluster, eventually, pod, send, with_account};

const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: ['system:mainstay:master:apiserver', noise]}
- {level: None, nonResourceURLs: ['/healthz*']}
- {level: RequestResponse, resources: [{group: '', resources: [configmaps]}], omitManagedFields: true}
- {level: Request, verbs: [patch], resources: [{group: '', resources: [secrets]}], omitStages: [RequestReceived]}
- {level: Metadata, omitStages: [RequestReceived]}
";

async fn audited(dir: &Path) -> Cluster {
    let policy = dir.join("policy.yaml");
    std::fs::write(&policy, POLICY).unwrap();
    let log = LogConfig { path: dir.join("audit.log"), max_bytes: 1 << 30, max_backups: 0, max_age_days: 0 };
    let audit = AuditConfig { policy: Policy::read(&policy).unwrap(), log };
    let cluster = Cluster::with(dir, |server| server.security.audit = Some(audit)).await.unwrap();
    cluster.server.bootstrap(&[]).await.unwrap();
    cluster
}

fn events(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("audit.log")).unwrap();
    // The last line may be half written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The events of a request, once there are as many.
async fn of(dir: &Path, id: &str, count: usize) -> Vec<Value> {
    let found = || -> Vec<Value> { events(dir).into_iter().filter(|event| event["auditID"] == id).collect() };
    eventually(&format!("{count} events of {id}"), async || found().len() >= count).await;
    found()
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_leaves_what_the_policy_says() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = audited(dir.path()).await;
    let admin = cluster.listen().await.token(&cluster.admin_token).with("user-agent", "test/1");
    let map = json!({"metadata": {"name": "m"}, "data": {"k": "v"}});
    let answer = admin.clone().with("audit-id", "a1").send(Method::POST, CONFIG_MAPS, &map).await;
    assert_eq!((answer.code, answer.headers["audit-id"].to_str().unwrap()), (201, "a1"));
    let seen = of(dir.path(), "a1", 2).await;
    assert_eq!(seen[0]["stage"], "RequestReceived");
    let done = &seen[1];
    assert_eq!((&done["kind"], &done["apiVersion"]), (&json!("Event"), &json!("audit.k8s.io/v1")));
    assert_eq!((&done["stage"], &done["level"]), (&json!("ResponseComplete"), &json!("RequestResponse")));
    assert_eq!((&done["verb"], &done["requestURI"]), (&json!("create"), &json!(CONFIG_MAPS)));
    assert_eq!(done["user"]["username"], "admin");
    assert_eq!(done["sourceIPs"], json!(["127.0.0.1"]));
    assert_eq!(done["userAgent"], "test/1");
    let object = json!({"resource": "configmaps", "namespace": "default", "name": "m", "apiVersion": "v1"});
    assert_eq!(done["objectRef"], object);
    assert_eq!(done["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(done["requestObject"], map);
    assert_eq!(done["responseObject"]["data"], map["data"]);
    assert!(done["responseObject"]["metadata"].get("managedFields").is_none());
    assert_eq!(done["annotations"]["authorization.k8s.io/decision"], "allow");

    // A secret's value is in no event of this policy.
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"k": "hush-9"}});
    let secrets = "/api/v1/namespaces/default/secrets";
    admin.clone().with("audit-id", "a2").send(Method::POST, secrets, &secret).await;
    let seen = of(dir.path(), "a2", 1).await;
    assert_eq!((seen.len(), &seen[0]["level"]), (1, &json!("Metadata")));
    assert_eq!(seen[0]["objectRef"]["name"], "s");
    assert!(!seen[0].to_string().contains("hush-9") && seen[0].get("requestObject").is_none());

    // A watch is told when it begins and when it ends.
    let watch = format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1");
    admin.clone().with("audit-id", "a3").get(&watch).await;
    let stages: Vec<Value> = of(dir.path(), "a3", 3).await.iter().map(|event| event["stage"].clone()).collect();
    assert_eq!(stages, ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_and_impersonation_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = audited(dir.path()).await;
    let client = cluster.listen().await;
    let admin = client.clone().token(&cluster.admin_token);
    let nodes = "/api/v1/nodes";
    let jane = admin.clone().with("impersonate-user", "jane").with("audit-id", "b1");
    let refused = jane.get(nodes).await;
    assert_eq!((refused.code, refused.headers["x-content-type-options"].to_str().unwrap()), (403, "nosniff"));
    let event = of(dir.path(), "b1", 1).await.remove(0);
    assert_eq!((&event["user"]["username"], &event["impersonatedUser"]["username"]), (&json!("admin"), &json!("jane")));
    assert_eq!(
        (&event["responseStatus"]["code"], &event["responseStatus"]["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    assert_eq!(event["annotations"]["authorization.k8s.io/decision"], "forbid");

    assert_eq!(client.clone().token("wrong").with("audit-id", "b2").get(nodes).await.code, 401);
    let event = of(dir.path(), "b2", 1).await.remove(0);
    assert_eq!((&event["stage"], &event["responseStatus"]["code"]), (&json!("ResponseStarted"), &json!(401)));

    // How long a request may take is looked at before who asks.
    let odd = format!("{nodes}?timeout=x");
    assert_eq!(client.clone().token("wrong").with("audit-id", "b6").get(&odd).await.code, 400);
    let event = of(dir.path(), "b6", 1).await.remove(0);
    assert_eq!((&event["stage"], &event["responseStatus"]["code"]), (&json!("ResponseStarted"), &json!(400)));

    let noise = admin.clone().with("impersonate-user", "noise").with("audit-id", "b3");
    noise.get(nodes).await;
    admin.clone().with("audit-id", "b4").get("/healthz").await;
    admin.with("audit-id", "b5").get(nodes).await;
    of(dir.path(), "b5", 1).await;
    // The policy looks at who authenticated, as Kubernetes' does.
    assert_eq!(of(dir.path(), "b3", 1).await.len(), 1);
    assert!(events(dir.path()).iter().all(|event| event["auditID"] != "b4"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_grpc_are_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = audited(dir.path()).await;
    let place = ResourceRef {
        version: "v1".into(),
        resource: "configmaps".into(),
        namespace: "default".into(),
        ..ResourceRef::default()
    };
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "g"}, "data": {"k": "v"}});
    let create = CreateRequest { r#ref: Some(place.clone()), object: map.to_string().into(), options: None };
    let mut admin = ObjectsClient::new(cluster.admin());
    admin.create(create.clone()).await.unwrap();
    let nobody = UserInfo { name: "nobody".into(), ..UserInfo::default() };
    let mut nobody = ObjectsClient::new(cluster.server.in_process(nobody));
    assert!(nobody.list(ListRequest { r#ref: Some(place), ..ListRequest::default() }).await.is_err());
    let found = |user: &str| -> Vec<Value> {
        let all = events(dir.path()).into_iter();
        all.filter(|e| e["user"]["username"] == user && e["requestURI"].as_str().unwrap().contains("Objects")).collect()
    };
    eventually("four events", async || found("admin").len() == 2 && found("nobody").len() == 2).await;
    let (made, refused) = (&found("admin")[1], &found("nobody")[1]);
    assert_eq!((&made["verb"], &made["requestURI"]), (&json!("create"), &json!("/mainstay.v1.Objects/Create")));
    assert_eq!((&made["requestObject"], &made["responseObject"]["data"]), (&map, &map["data"]));
    assert_eq!(made["objectRef"]["name"], "g");
    assert_eq!((&refused["verb"], &refused["responseStatus"]["code"]), (&json!("list"), &json!(403)));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_admission_says_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = audited(dir.path()).await;
    let mut face = cluster.admin();
    with_account(&mut face).await;
    assert_eq!(send(&mut face, Method::POST, "/api/v1/namespaces/default/pods", &pod("p")).await.0, 201);
    let (version, resource, namespace) = ("v1".into(), "pods".into(), "default".into());
    let place = ResourceRef { version, resource, namespace, ..ResourceRef::default() };
    let mut object = pod("q");
    (object["apiVersion"], object["kind"]) = ("v1".into(), "Pod".into());
    let create = CreateRequest { r#ref: Some(place), object: object.to_string().into(), options: None };
    ObjectsClient::new(cluster.admin()).create(create).await.unwrap();
    let told = |name: &str| {
        let mut all = events(dir.path()).into_iter();
        all.find(|event| event["objectRef"]["resource"] == "pods" && event["objectRef"]["name"] == name)
    };
    for name in ["p", "q"] {
        eventually(&format!("an event of {name}"), async || told(name).is_some()).await;
        let annotations = told(name).unwrap()["annotations"].clone();
        assert_eq!(annotations["pod-security.kubernetes.io/enforce-policy"], "privileged:latest", "{name}");
    }
    cluster.stop().await;
}
