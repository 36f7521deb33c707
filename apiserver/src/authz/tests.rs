//! Decisions over a small state, without a server.

use super::escalation::{Write, check};
use super::*;
use http::{Method, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
fn aggregated_roles_hold_the_rules_of_what_they_select() {
    let state = State::default()
        .with(
            RBAC,
            "clusterroles",
            json!({"metadata": {"name": "view"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to-view": "true"}}]}}),
        )
        .with(
            RBAC,
            "clusterroles",
            json!({"metadata": {"name": "part", "labels": {"to-view": "true"}},
            "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["list"]}]}),
        )
        .with(
            RBAC,
            "clusterrolebindings",
            json!({"metadata": {"name": "v"},
            "roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": [{"kind": "Group", "name": "devs"}]}),
        );
    let authorizer = Authorizer::new(Arc::new(state));
    assert!(decide(&authorizer, &user("x", &["devs"]), Method::GET, "/apis/apps/v1/deployments").allowed);
    assert!(!decide(&authorizer, &user("x", &[]), Method::GET, "/apis/apps/v1/deployments").allowed);
}

#[test]
fn nobody_grants_what_he_lacks() {
    let authorizer = Authorizer::new(Arc::new(reader_role(State::default())));
    let alice = user("alice", &["system:authenticated"]);
    let grant = |rules: Value| {
        let object = json!({"metadata": {"name": "new"}, "rules": rules});
        check(&authorizer, &Write { user: &alice, resource: "roles", namespace: "ns", object: &object, old: None })
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
                object: &json!({"rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}),
                old: None,
            }
        )
        .is_ok()
    );
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
