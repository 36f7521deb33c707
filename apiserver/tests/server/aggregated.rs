//! A group that another server serves: discovered, passed on with who asks, and told to be gone when it is.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mainstay_apiserver::InProcess;
use mainstay_apiserver::pki::{self, ClusterCa, Profile, ServingCertificate};
use mainstay_apiserver::user::UserInfo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{cluster, send, send_bytes};

const APIS: &str = "/apis/apiregistration.k8s.io/v1/apiservices";

/// A server of the group `x.example.com` that shows what it is asked; it ends when it is dropped.
struct Other {
    address: SocketAddr,
    ca: String,
    _task: AbortOnDropHandle<()>,
}

async fn other() -> Other {
    let ca = ClusterCa::create().unwrap();
    let profile = Profile::Serving { master: "other".into(), addresses: vec!["things.default.svc".into()] };
    let serving = ServingCertificate::new(&ca.issue(&profile).unwrap()).unwrap();
    let mut tls = pki::server_config(Arc::new(serving)).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
    let task = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(socket).await else { return };
                let certified = stream.get_ref().1.peer_certificates().is_some();
                let answer = service_fn(move |request| async move { Ok::<_, Infallible>(answer(&request, certified)) });
                let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                if let Err(error) = served.await {
                    println!("a connection ended: {error}");
                }
            });
        }
    });
    Other { address, ca: ca.cert_pem().to_owned(), _task: AbortOnDropHandle::new(task) }
}

fn answer(request: &Request<Incoming>, certified: bool) -> Response<Full<bytes::Bytes>> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let shown = match request.uri().path() {
        "/apis/x.example.com/v1" => json!({"kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": "x.example.com/v1", "resources": [
                {"name": "things", "singularName": "thing", "kind": "Thing", "namespaced": true, "verbs": ["get", "list"]}]}),
        path => json!({"path": path, "user": header("x-remote-user"), "group": header("x-remote-group"),
            "certified": certified, "token": header("authorization")}),
    };
    Response::new(Full::new(shown.to_string().into()))
}

fn api_service(port: u16, ca: &str) -> Value {
    json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": "v1.x.example.com"},
        "spec": {"group": "x.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10,
            "caBundle": base64::engine::general_purpose::STANDARD.encode(ca),
            "service": {"namespace": "default", "name": "things", "port": port}}})
}

/// Waits until the condition `Available` has a reason.
async fn reason(admin: &mut InProcess, wanted: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let (_, object) = send(admin, Method::GET, &format!("{APIS}/v1.x.example.com"), &Value::Null).await;
        let condition = object["status"]["conditions"][0].clone();
        if condition["reason"] == wanted {
            return condition;
        }
        assert!(Instant::now() < until, "not {wanted} but {object}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_server_serves_a_group() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    let other = other().await;
    let (code, _) = send(&mut admin, Method::POST, APIS, &api_service(other.address.port(), &other.ca)).await;
    assert_eq!(code, 201);
    let missing = reason(&mut admin, "ServiceNotFound").await;
    assert_eq!(missing["message"], "service/things in \"default\" is not present");
    let things = "/apis/x.example.com/v1/namespaces/default/things";
    let refused = send_bytes(&mut admin, Method::GET, things, "application/json", "").await;
    assert_eq!((refused.0, refused.1.as_ref()), (503, &b"service unavailable\n"[..]));

    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "things"},
        "spec": {"type": "ExternalName", "externalName": "localhost"}});
    let (code, _) = send(&mut admin, Method::POST, "/api/v1/namespaces/default/services", &service).await;
    assert_eq!(code, 201);
    let passed = reason(&mut admin, "Passed").await;
    assert_eq!((&passed["status"], &passed["message"]), (&json!("True"), &json!("all checks passed")));
    let (_, groups) = send(&mut admin, Method::GET, "/apis", &Value::Null).await;
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == "x.example.com"));

    let (code, shown) = send(&mut admin, Method::GET, things, &Value::Null).await;
    assert_eq!((code, &shown["path"]), (200, &json!(things)));
    assert_eq!(
        (&shown["user"], &shown["certified"], &shown["token"]),
        (&json!(UserInfo::admin().name), &json!(true), &json!(""))
    );
    let mut stranger = cluster.server.in_process(crate::member());
    let (code, _) = send(&mut stranger, Method::GET, things, &Value::Null).await;
    assert_eq!(code, 403, "authorization comes first");

    drop(other);
    let lost = reason(&mut admin, "FailedDiscoveryCheck").await;
    assert!(
        lost["message"].as_str().unwrap().starts_with("failing or missing response from https://things.default.svc:")
    );
    let (code, group) = send(&mut admin, Method::GET, "/apis/x.example.com", &Value::Null).await;
    assert_eq!((code, &group["versions"][0]["version"]), (200, &json!("v1")), "what is registered stays listed");
    cluster.stop().await;
}
