//! Users without rights walk every resource, subresource and verb over REST: 403 with Kubernetes' words at each.

use http::{Method, Request};
use http_body_util::BodyExt;
use mainstay_api::resource::{self, Resource};
use mainstay_apiserver::InProcess;
use mainstay_apiserver::user::UserInfo;
use serde_json::Value;
use tonic::body::Body;
use tower::Service;

use crate::support::cluster;
use crate::{OWN_QUESTIONS, member};

/// A request line, and what it is in the words of a refusal.
struct Line {
    method: Method,
    path: String,
    verb: String,
    /// "pods/log"
    resource: String,
    named: bool,
    /// "in the namespace …" or "at the cluster scope"
    place: String,
}

impl Line {
    fn refusal(&self, row: &Resource, user: &str) -> String {
        let Self { verb, resource, place, .. } = self;
        let group = &row.group;
        let whole = if group.is_empty() { row.resource.clone() } else { format!("{}.{group}", row.resource) };
        let object = if self.named { " \"a\"" } else { "" };
        format!(
            "{whole}{object} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" {place}"
        )
    }
}

async fn answer(face: &mut InProcess, method: &Method, path: &str) -> (u16, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .body(Body::empty())
        .unwrap();
    let response = face.call(request).await.unwrap();
    let code = response.status().as_u16();
    // Only refusals are read: what is allowed may be a watch, which does not end.
    let body = if code == 403 { response.into_body().collect().await.unwrap().to_bytes() } else { "null".into() };
    (code, serde_json::from_slice(&body).unwrap_or_default())
}

fn method(verb: &str) -> Option<Method> {
    Some(match verb {
        "list" | "watch" | "get" => Method::GET,
        "create" => Method::POST,
        "update" => Method::PUT,
        "patch" => Method::PATCH,
        "delete" | "deletecollection" => Method::DELETE,
        _ => return None,
    })
}

/// Every request line of a resource, in a namespace and over all of them.
fn lines(row: &Resource) -> Vec<Line> {
    let root = match row.group.as_str() {
        "" => format!("/api/{}", row.version),
        group => format!("/apis/{group}/{}", row.version),
    };
    let mut all = Vec::new();
    let everywhere = (root.clone(), "at the cluster scope");
    let inside = (format!("{root}/namespaces/n"), "in the namespace \"n\"");
    let places = if row.namespaced { vec![inside, everywhere] } else { vec![everywhere] };
    for (index, (place, words)) in places.iter().enumerate() {
        let collection = format!("{place}/{}", row.resource);
        let line = |verb: &str, resource: String, path: String, named: bool| {
            // A namespace is inside itself.
            let own = named && row.resource == "namespaces";
            let place = if own { "in the namespace \"a\"" } else { words }.to_owned();
            Some(Line { method: method(verb)?, path, verb: verb.to_owned(), resource, named, place })
        };
        for verb in row.verbs.iter().filter(|verb| index == 0 || matches!(verb.as_str(), "list" | "watch")) {
            let path = match verb.as_str() {
                "watch" => format!("{collection}?watch=1"),
                "list" | "create" | "deletecollection" => collection.clone(),
                _ => format!("{collection}/a"),
            };
            let named = path.ends_with("/a");
            all.extend(line(verb, row.resource.clone(), path, named));
        }
        for sub in row.subresources.iter().filter(|_| index == 0) {
            let resource = format!("{}/{}", row.resource, sub.name);
            let path = format!("{collection}/a/{}", sub.name);
            all.extend(sub.verbs.iter().filter_map(|verb| line(verb, resource.clone(), path.clone(), true)));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rights_nothing_is_allowed() {
    let (cluster, _dir) = cluster().await;
    let nobody = UserInfo { name: "nobody".into(), ..UserInfo::default() };
    let faces = [nobody, UserInfo::anonymous(), member()];
    let mut faces = faces.map(|user| (user.name.clone(), cluster.server.in_process(user)));
    let mut walked = 0;
    for row in resource::builtin() {
        for line in lines(row) {
            for (index, (name, face)) in faces.iter_mut().enumerate() {
                let (code, said) = answer(face, &line.method, &line.path).await;
                let own = index == 2 && OWN_QUESTIONS.contains(&row.resource.as_str());
                let what = format!("{name}: {} {}", line.method, line.path);
                assert_eq!(code == 403, !own, "{what} is answered with {code}");
                if !own {
                    assert_eq!(said["message"], line.refusal(row, name), "{what}");
                    assert_eq!((&said["reason"], &said["status"]), (&"Forbidden".into(), &"Failure".into()), "{what}");
                }
            }
            walked += 1;
        }
    }
    assert!(walked > resource::builtin().len(), "only {walked} request lines were walked");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_other_paths_strangers_see_health_and_version_only() {
    let (cluster, _dir) = cluster().await;
    cluster.ready().await;
    let mut stranger = cluster.server.in_process(UserInfo::anonymous());
    for path in ["/healthz", "/livez", "/readyz", "/version", "/version/"] {
        assert_eq!(answer(&mut stranger, &Method::GET, path).await.0, 200, "{path}");
    }
    let closed = [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/apps",
        "/apis/apps/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/metrics/slis",
        "/statusz",
        "/openid/v1/jwks",
        "/.well-known/openid-configuration",
        "/logs",
        "/debug/pprof/",
        "/no/such/path",
        "/healthz2",
    ];
    for path in closed {
        let (code, said) = answer(&mut stranger, &Method::GET, path).await;
        assert_eq!(code, 403, "{path}");
        let words = format!("forbidden: User \"system:anonymous\" cannot get path \"{path}\"");
        assert_eq!(said["message"], words);
    }
    let mut member = cluster.server.in_process(member());
    for path in ["/metrics", "/metrics/slis", "/logs", "/debug/pprof/", "/no/such/path"] {
        assert_eq!(answer(&mut member, &Method::GET, path).await.0, 403, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(answer(&mut stranger, &method, "/version").await.0, 403, "{method}");
    }
    cluster.stop().await;
}

/// Paths that could be read in two ways: what is judged has to be what is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_paths_are_judged_as_what_they_are_answered_as() {
    let (cluster, _dir) = cluster().await;
    let rule = serde_json::json!({"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "watch"]});
    let role = serde_json::json!({"metadata": {"name": "looker"}, "rules": [rule]});
    let subject = serde_json::json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "nobody"});
    let role_ref = serde_json::json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "looker"});
    let binding = serde_json::json!({"metadata": {"name": "looker"}, "subjects": [subject], "roleRef": role_ref});
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    for (kind, object) in [("roles", role), ("rolebindings", binding)] {
        let made = crate::support::send(&mut cluster.admin(), Method::POST, &format!("{rbac}/{kind}"), &object).await;
        assert_eq!(made.0, 201, "{}", made.1);
    }
    let mut looker = cluster.server.in_process(member());
    let place = "/api/v1/namespaces/default";
    assert_eq!(answer(&mut looker, &Method::GET, &format!("{place}/pods/p")).await.0, 404, "the role is in force");
    let odd = [
        (Method::GET, format!("{place}/pods/p%2Flog")),
        (Method::POST, format!("{place}/pods/p%2Fexec?command=sh")),
        (Method::GET, format!("{place}%2Fsecrets%2Fs")),
        (Method::GET, "/api/v1/namespaces/default%2Fsecrets/s".to_owned()),
        (Method::GET, "/api/v1/namespaces/kube-system%2Fpods/p".to_owned()),
        (Method::POST, "/api/v1/watch/namespaces/default/configmaps".to_owned()),
        (Method::DELETE, "/api/v1/watch/namespaces/default/configmaps/kube-root-ca.crt".to_owned()),
        (Method::PUT, "/api/v1/watch/namespaces/default/configmaps/kube-root-ca.crt".to_owned()),
        (Method::PATCH, "/api/v1/watch/namespaces/default/configmaps/kube-root-ca.crt".to_owned()),
        (Method::GET, "/api/v1/watch/namespaces/default/secrets".to_owned()),
    ];
    for (method, path) in odd {
        assert_eq!(answer(&mut looker, &method, &path).await.0, 403, "{method} {path}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_paths_of_watches_are_there_only_for_what_can_be_watched() {
    let (cluster, _dir) = cluster().await;
    let mut admin = cluster.admin();
    for (path, code) in [
        ("/api/v1/watch/componentstatuses", 404),
        ("/api/v1/watch/namespaces/default/pods/p/log", 404),
        ("/apis/authorization.k8s.io/v1/watch/selfsubjectaccessreviews", 404),
        ("/api/v1/watch/namespaces/default/pods/p", 200),
    ] {
        assert_eq!(answer(&mut admin, &Method::GET, path).await.0, code, "{path}");
    }
    cluster.stop().await;
}
