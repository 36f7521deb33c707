//! A user without rights walks every resource, subresource and verb, and is refused at each.
#![allow(clippy::unwrap_used, missing_docs)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Method, Request};
use mainstay_api::resource::{self, Resource};
use mainstay_apiserver::authn::UserInfo;
use mainstay_apiserver::pki::{self, MasterNames, MasterPki};
use mainstay_apiserver::{ApiServer, InProcess, ServerConfig, admission};
use mainstay_store::{PeerTls, Start, Store, StoreConfig, Tuning};
use tonic::body::Body;
use tower::Service;

/// What everybody who is authenticated may make: questions about oneself.
const OWN_QUESTIONS: [&str; 3] = ["selfsubjectreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"];

struct Cluster {
    server: ApiServer,
    store: Store,
    _dir: tempfile::TempDir,
}

async fn cluster() -> Cluster {
    pki::install_provider();
    let dir = tempfile::tempdir().unwrap();
    let names = MasterNames { name: "m1".into(), addresses: vec!["127.0.0.1".into()] };
    let pki = Arc::new(MasterPki::create(&dir.path().join("pki"), &names).unwrap());
    let store = Store::open(store_config(dir.path(), &pki)).await.unwrap();
    let admission = admission::Config { default_toleration_seconds: 300 };
    let server = ApiServer::new(ServerConfig { store: store.clone(), pki, admission }).await.unwrap();
    let mut leadership = store.leadership();
    leadership.wait_for(|now| now.acting).await.unwrap();
    server.bootstrap(&[]).await.unwrap();
    Cluster { server, store, _dir: dir }
}

fn store_config(dir: &Path, pki: &MasterPki) -> StoreConfig {
    StoreConfig {
        name: "m1".into(),
        id: 0,
        data_dir: dir.join("data"),
        peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        peer_address: String::new(),
        api_url: "https://127.0.0.1:6443".into(),
        tls: PeerTls {
            ca_pem: pki.ca.cert_pem().to_owned(),
            cert_pem: pki.peer().cert_pem.clone(),
            key_pem: pki.peer().key_pem.clone(),
        },
        start: Start::Bootstrap,
        tuning: Tuning::default(),
    }
}

async fn status(face: &mut InProcess, method: &Method, path: &str) -> u16 {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(Body::empty())
        .unwrap();
    face.call(request).await.unwrap().status().as_u16()
}

/// The request line of a verb; `None` for verbs that share another's.
fn line(verb: &str, collection: &str, object: &str) -> Option<(Method, String)> {
    Some(match verb {
        "list" => (Method::GET, collection.to_owned()),
        "watch" => (Method::GET, format!("{collection}?watch=1")),
        "create" => (Method::POST, collection.to_owned()),
        "deletecollection" => (Method::DELETE, collection.to_owned()),
        "get" => (Method::GET, object.to_owned()),
        "update" => (Method::PUT, object.to_owned()),
        "patch" => (Method::PATCH, object.to_owned()),
        "delete" => (Method::DELETE, object.to_owned()),
        _ => return None,
    })
}

/// Every request line of a resource, in a namespace and over all of them.
fn lines(row: &Resource) -> Vec<(Method, String)> {
    let root = match row.group.as_str() {
        "" => format!("/api/{}", row.version),
        group => format!("/apis/{group}/{}", row.version),
    };
    let mut all = Vec::new();
    let places = if row.namespaced { vec![format!("{root}/namespaces/n"), root] } else { vec![root] };
    for (index, place) in places.iter().enumerate() {
        let collection = format!("{place}/{}", row.resource);
        let object = format!("{collection}/a");
        let verbs = row.verbs.iter().filter(|verb| index == 0 || matches!(verb.as_str(), "list" | "watch"));
        all.extend(verbs.filter_map(|verb| line(verb, &collection, &object)));
        for sub in row.subresources.iter().filter(|_| index == 0) {
            let path = format!("{object}/{}", sub.name);
            all.extend(sub.verbs.iter().filter_map(|verb| line(verb, &path, &path)));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rights_nothing_is_allowed() {
    let cluster = cluster().await;
    let nobody = UserInfo { name: "nobody".into(), ..UserInfo::default() };
    let member = UserInfo { groups: vec!["system:authenticated".into()], ..nobody.clone() };
    let (mut nobody, mut member) = (cluster.server.in_process(nobody), cluster.server.in_process(member));
    let mut walked = 0;
    for row in resource::builtin() {
        for (method, path) in lines(row) {
            assert_eq!(status(&mut nobody, &method, &path).await, 403, "{method} {path}");
            let own = OWN_QUESTIONS.contains(&row.resource.as_str());
            let found = status(&mut member, &method, &path).await;
            assert_eq!(found == 403, !own, "{method} {path} answers a member with {found}");
            walked += 1;
        }
    }
    assert!(walked > resource::builtin().len(), "only {walked} requests were made");
    for path in ["/metrics", "/openid/v1/jwks"] {
        assert_eq!(status(&mut nobody, &Method::GET, path).await, 403, "{path}");
    }
    cluster.server.shutdown();
    cluster.store.shutdown().await;
}
