//! Decisions over a small state, without a server.

use std::collections::BTreeMap;

use http::{Method, Uri};
use serde_json::{Value, json};

use super::escalation::{Write, check};
use super::*;

#[derive(Default)]
struct State(BTreeMap<(String, String, String), Vec<Arc<Value>>>);

impl State {
    fn with(mut self, group: &str, resource: &str, object: Value) -> Self {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        self.0.entry((group.into(), resource.into(), namespace)).or_default().push(Arc::new(object));
        self
    }
}

impl Reader for State {
    fn get(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.list(group, resource, Some(namespace)).into_iter().find(|object| object["metadata"]["name"] == name)
    }

    fn list(&self, group: &str, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let fits = |key: &(String, String, String)| {
            key.0 == group && key.1 == resource && namespace.is_none_or(|ns| key.2 == ns)
        };
        self.0.iter().filter(|(key, _)| fits(key)).flat_map(|(_, objects)| objects.clone()).collect()
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn user(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { name: name.into(), groups: groups.iter().map(ToString::to_string).collect(), ..UserInfo::default() }
}

fn reader_role(state: State) -> State {
    state
        .with(
            RBAC,
            "roles",
            json!({"metadata": {"name": "r", "namespace": "ns"}, "rules": [
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": ["mine"]},
            {"apiGroups": [""], "resources": ["pods", "*/log"], "verbs": ["get", "list"]}]}),
        )
        .with(
            RBAC,
            "rolebindings",
            json!({"metadata": {"name": "b", "namespace": "ns"},
            "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "alice"}]}),
        )
}

fn decide(authorizer: &Authorizer, user: &UserInfo, method: Method, uri: &'static str) -> Verdict {
    authorizer.explain(&RequestInfo::of(&method, &Uri::from_static(uri)).attributes(user))
}

#[test]
fn a_role_allows_what_it_says_and_no_more() {
    let authorizer = Authorizer::new(Arc::new(reader_role(State::default())));
    let alice = user("alice", &["system:authenticated"]);
    let may = |method, uri| decide(&authorizer, &alice, method, uri).allowed;
    assert!(may(Method::GET, "/api/v1/namespaces/ns/pods"));
    assert!(may(Method::GET, "/api/v1/namespaces/ns/pods/p/log"));
    assert!(!may(Method::GET, "/api/v1/namespaces/ns/pods/p/exec"));
    assert!(!may(Method::GET, "/api/v1/namespaces/other/pods"));
    assert!(!may(Method::DELETE, "/api/v1/namespaces/ns/pods/p"));
    assert!(may(Method::GET, "/api/v1/namespaces/ns/configmaps/mine"));
    assert!(!may(Method::GET, "/api/v1/namespaces/ns/configmaps/other"));
    assert!(!may(Method::GET, "/api/v1/namespaces/ns/configmaps"));
    let verdict = decide(&authorizer, &alice, Method::GET, "/api/v1/namespaces/ns/pods/p");
    assert_eq!(verdict.reason, "RBAC: allowed by RoleBinding \"b/ns\" of Role \"r\" to User \"alice\"");
}

#[test]
fn refusals_are_worded_as_kubernetes_words_them() {
    let authorizer = Authorizer::new(Arc::new(State::default()));
    let alice = user("alice", &[]);
    let refusal = |method: Method, uri: &'static str| {
        let info = RequestInfo::of(&method, &Uri::from_static(uri));
        authorizer.require(&info.attributes(&alice)).unwrap_err().message.into_owned()
    };
    assert_eq!(
        refusal(Method::GET, "/api/v1/namespaces/ns/pods/p/log"),
        "pods \"p\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"ns\"",
    );
    assert_eq!(
        refusal(Method::GET, "/apis/apps/v1/deployments?watch=1"),
        "deployments.apps is forbidden: User \"alice\" cannot watch resource \"deployments\" in API group \"apps\" at the cluster scope",
    );
    assert_eq!(refusal(Method::GET, "/a%20b%22"), "forbidden: User \"alice\" cannot get path \"/a b\\\"\"");
    assert_eq!(refusal(Method::GET, "/%3Cb%3E%26"), "forbidden: User \"alice\" cannot get path \"/&lt;b&gt;&amp;\"");
    assert_eq!(refusal(Method::OPTIONS, "/metrics"), "forbidden: User \"alice\" cannot options path \"/metrics\"");
    assert_eq!(
        refusal(Method::PUT, "/api/v1/namespaces/ns/finalize"),
        "namespaces \"ns\" is forbidden: User \"alice\" cannot update resource \"namespaces/finalize\" in API group \"\" in the namespace \"ns\"",
    );
    assert_eq!(
        refusal(Method::GET, "/api/v1/namespaces/ns/configmaps?fieldSelector=metadata.name%3Dother"),
        "configmaps \"other\" is forbidden: User \"alice\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"ns\"",
    );
}

#[test]
fn a_role_that_gathers_has_what_was_written_into_it() {
    let gathering = json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]},
        "metadata": {"name": "view"}, "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["list"]}]});
    let part = json!({"metadata": {"name": "part", "labels": {"to-view": "true"}},
        "rules": [{"apiGroups": ["batch"], "resources": ["*"], "verbs": ["list"]}]});
    let binding = json!({"metadata": {"name": "v"},
        "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "devs"}]});
    let state = State::default().with(RBAC, "clusterroles", gathering).with(RBAC, "clusterroles", part).with(
        RBAC,
        "clusterrolebindings",
        binding,
    );
    let authorizer = Authorizer::new(Arc::new(state));
    let may = |uri| decide(&authorizer, &user("x", &["devs"]), Method::GET, uri).allowed;
    assert!(may("/apis/apps/v1/deployments"));
    assert!(!may("/apis/batch/v1/jobs"));
}

fn gathering(name: &str, label: &str, rules: Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"part-of": name}}, "rules": rules,
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"part-of": label}}]}})
}

#[test]
fn a_role_that_nothing_is_written_into_yet_has_what_it_gathers() {
    let leaf = json!({"metadata": {"name": "leaf", "labels": {"part-of": "edit"}},
        "rules": [{"apiGroups": ["batch"], "resources": ["*"], "verbs": ["list"]}]});
    let binding = json!({"metadata": {"name": "a"},
        "roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [{"kind": "Group", "name": "devs"}]});
    // The last two gather each other.
    let state = State::default()
        .with(RBAC, "clusterroles", gathering("admin", "edit", Value::Null))
        .with(RBAC, "clusterroles", gathering("edit", "other", json!([])))
        .with(RBAC, "clusterroles", gathering("other", "edit", Value::Null))
        .with(RBAC, "clusterroles", leaf)
        .with(RBAC, "clusterrolebindings", binding);
    let authorizer = Authorizer::new(Arc::new(state));
    let may = |group, uri| decide(&authorizer, &user("x", &[group]), Method::GET, uri).allowed;
    assert!(may("devs", "/apis/batch/v1/jobs"));
    assert!(!may("devs", "/apis/apps/v1/deployments") && !may("others", "/apis/batch/v1/jobs"));
    let bound =
        json!({"metadata": {"name": "x"}, "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "other"}});
    let bind = |user: &UserInfo| {
        let (resource, namespace) = ("rolebindings", "ns");
        check(&authorizer, &Write { user, resource, namespace, named: "", object: &bound, old: None })
    };
    assert_eq!(bind(&user("x", &["devs"])), Ok(()));
    assert_eq!(bind(&user("x", &["others"])).unwrap_err().code(), 403);
}

#[test]
fn lists_that_multiply_are_not_compared() {
    let authorizer = Authorizer::new(Arc::new(State::default()));
    let eve = user("eve", &[]);
    let many: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let object = json!({"metadata": {"name": "new"},
        "rules": [{"apiGroups": many, "resources": many, "resourceNames": many, "verbs": many}]});
    let write = Write { user: &eve, resource: "roles", namespace: "ns", named: "", object: &object, old: None };
    assert_eq!(
        check(&authorizer, &write).unwrap_err().message,
        "roles.rbac.authorization.k8s.io \"new\" is forbidden: more than 100000 permissions cannot be compared with \
         those currently held"
    );
}

#[test]
fn nobody_grants_what_he_lacks() {
    let authorizer = Authorizer::new(Arc::new(reader_role(State::default())));
    let alice = user("alice", &["system:authenticated"]);
    let grant = |rules: Value| {
        let object = json!({"metadata": {"name": "new"}, "rules": rules});
        let (user, resource, namespace) = (&alice, "roles", "ns");
        check(&authorizer, &Write { user, resource, namespace, named: "", object: &object, old: None })
    };
    assert!(grant(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])).is_ok());
    let error =
        grant(json!([{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get", "list"]}])).unwrap_err();
    assert_eq!(
        error.message,
        "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"alice\" (groups=[\"system:authenticated\"]) is attempting to grant \
         RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\"]}",
    );
    assert!(
        check(
            &authorizer,
            &Write {
                user: &user("root", &["system:masters"]),
                resource: "clusterroles",
                namespace: "",
                named: "",
                object: &json!({"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}),
                old: None,
            }
        )
        .is_ok()
    );
}

#[test]
fn what_names_objects_is_not_merged_when_it_is_told() {
    let authorizer = Authorizer::new(Arc::new(State::default()));
    let eve = user("eve", &[]);
    let rules = json!([
        {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["x"], "verbs": ["get", "list", "get"]},
        {"nonResourceURLs": ["/a"], "verbs": ["get", "put"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "get"]},
    ]);
    let object = json!({"metadata": {"name": "new"}, "rules": rules});
    let write = Write { user: &eve, resource: "clusterroles", namespace: "", named: "", object: &object, old: None };
    let told = check(&authorizer, &write).unwrap_err().message.into_owned();
    assert_eq!(
        told.lines().skip(1).collect::<Vec<_>>(),
        [
            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"get\" \"get\"]}",
            "{APIGroups:[\"apps\"], Resources:[\"deployments\"], ResourceNames:[\"x\"], Verbs:[\"get\"]}",
            "{APIGroups:[\"apps\"], Resources:[\"deployments\"], ResourceNames:[\"x\"], Verbs:[\"list\"]}",
            "{NonResourceURLs:[\"/a\"], Verbs:[\"get\"]}",
            "{NonResourceURLs:[\"/a\"], Verbs:[\"put\"]}",
        ]
    );
}

#[test]
fn a_cluster_role_is_bound_where_binding_it_is_allowed() {
    let state = State::default()
        .with(
            RBAC,
            "clusterroles",
            json!({"metadata": {"name": "edit"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]}),
        )
        .with(
            RBAC,
            "roles",
            json!({"metadata": {"name": "binder", "namespace": "ns"}, "rules": [
            {"apiGroups": [RBAC], "resources": ["clusterroles"], "verbs": ["bind"], "resourceNames": ["edit"]}]}),
        )
        .with(
            RBAC,
            "rolebindings",
            json!({"metadata": {"name": "b", "namespace": "ns"},
            "roleRef": {"kind": "Role", "name": "binder"}, "subjects": [{"kind": "User", "name": "eve"}]}),
        );
    let authorizer = Authorizer::new(Arc::new(state));
    let eve = user("eve", &[]);
    let bind = |resource, namespace, kind: &str| {
        let object = json!({"metadata": {"name": "x"}, "roleRef": {"apiGroup": RBAC, "kind": kind, "name": "edit"}});
        check(&authorizer, &Write { user: &eve, resource, namespace, named: "", object: &object, old: None })
    };
    assert_eq!(bind("rolebindings", "ns", "ClusterRole"), Ok(()));
    assert_eq!(bind("rolebindings", "other", "ClusterRole").unwrap_err().code(), 403);
    assert_eq!(bind("clusterrolebindings", "", "ClusterRole").unwrap_err().code(), 403);
    let odd = bind("rolebindings", "ns", "Roll").unwrap_err();
    assert_eq!(odd.message, "unsupported role reference kind: \"Roll\"");
}

#[test]
fn a_node_reads_the_secrets_of_its_own_pods() {
    let state = State::default().with(
        "",
        "pods",
        json!({"metadata": {"name": "p", "namespace": "ns"},
        "spec": {"nodeName": "n1", "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}),
    );
    let authorizer = Authorizer::new(Arc::new(state));
    let node = |name: &str| user(&format!("system:node:{name}"), &["system:nodes"]);
    let get = "/api/v1/namespaces/ns/secrets/s";
    assert!(decide(&authorizer, &node("n1"), Method::GET, get).allowed);
    let refused = decide(&authorizer, &node("n2"), Method::GET, get);
    assert_eq!(refused.reason, "no relationship found between node 'n2' and this object");
    assert_eq!(
        decide(&authorizer, &node("n1"), Method::GET, "/api/v1/namespaces/ns/secrets").reason,
        "No Object name found"
    );
    assert!(!decide(&authorizer, &node("n1"), Method::GET, "/api/v1/nodes").allowed);
    assert!(decide(&authorizer, &node("n1"), Method::GET, "/api/v1/nodes/n1").allowed);
    assert!(decide(&authorizer, &node("n1"), Method::PATCH, "/api/v1/nodes/n1/status").allowed);
    assert!(!decide(&authorizer, &node("n1"), Method::GET, "/api/v1/nodes/n1/proxy").allowed);
}

#[test]
fn a_node_reads_the_claims_and_writes_the_slices_that_are_its_own() {
    let pod = json!({"metadata": {"name": "p", "namespace": "ns"},
        "spec": {"nodeName": "n1", "resourceClaims": [{"name": "a", "resourceClaimName": "named"}]},
        "status": {"resourceClaimStatuses": [{"name": "b", "resourceClaimName": "made"}]}});
    let slice = json!({"metadata": {"name": "s"}, "spec": {"nodeName": "n1"}});
    let state = State::default().with("", "pods", pod).with("resource.k8s.io", "resourceslices", slice);
    let authorizer = Authorizer::new(Arc::new(state));
    let may = |node: &str, method, uri| {
        decide(&authorizer, &user(&format!("system:node:{node}"), &["system:nodes"]), method, uri).allowed
    };
    const CLAIMS: [&str; 2] = [
        "/apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/named",
        "/apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/made",
    ];
    for uri in CLAIMS {
        assert!(may("n1", Method::GET, uri) && !may("n2", Method::GET, uri) && !may("n1", Method::PUT, uri), "{uri}");
    }
    assert!(!may("n1", Method::GET, "/apis/resource.k8s.io/v1/namespaces/ns/resourceclaims/other"));
    const SLICES: &str = "/apis/resource.k8s.io/v1/resourceslices/s";
    assert!(may("n1", Method::PUT, SLICES) && !may("n2", Method::PUT, SLICES));
    assert!(may("n1", Method::GET, "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1"));
    assert!(!may("n1", Method::GET, "/apis/resource.k8s.io/v1/resourceslices"));
    const OWN: &str = "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1";
    assert!(may("n1", Method::DELETE, OWN) && !may("n2", Method::DELETE, OWN));
    // These do not narrow the list: the first is passed over for its semicolon, in the second a comma is escaped.
    const ODD: [&str; 2] = [
        "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.nodeName%3Dn1,spec.driver%3Da;",
        "/apis/resource.k8s.io/v1/resourceslices?fieldSelector=spec.driver!%3Da%5C,spec.nodeName%3Dn1",
    ];
    for uri in ODD {
        assert!(!may("n1", Method::GET, uri), "{uri}");
    }
}
