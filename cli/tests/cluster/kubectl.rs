//! Stock kubectl and helm against a cluster of three masters with hollow workers.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::{TestCluster, eventually, text};

/// The folder of kubectl and helm; `.ci/tools` fills it and `.ci/test` names it.
fn clients() -> Option<PathBuf> {
    let folder = std::env::var_os("MAINSTAY_CLIENTS").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: MAINSTAY_CLIENTS names no folder with kubectl and helm");
    }
    folder
}

struct Kubectl<'a> {
    cluster: &'a TestCluster,
    program: PathBuf,
}

impl Kubectl<'_> {
    fn run(&self, command: &str) -> String {
        let arguments: Vec<&str> = command.split(' ').collect();
        self.cluster.succeed(self.program.as_os_str(), &arguments, "")
    }

    fn feed(&self, command: &str, input: &str) -> String {
        let arguments: Vec<&str> = command.split(' ').collect();
        self.cluster.succeed(self.program.as_os_str(), &arguments, input)
    }

    fn fails(&self, command: &str) -> String {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = self.cluster.client(self.program.as_os_str(), &arguments, "");
        assert!(!output.status.success(), "kubectl {command} should fail");
        text(&output.stderr)
    }
}

#[test]
fn kubectl_and_helm_work_as_with_kubernetes() {
    let Some(clients) = clients() else { return };
    let cluster = TestCluster::up(2, &[]);
    let kubectl = Kubectl { cluster: &cluster, program: clients.join("kubectl") };

    assert!(kubectl.run("version").contains("Server Version: v1.36"));
    assert!(kubectl.run("get nodes -o name").lines().count() == 2);
    assert!(kubectl.run("api-resources").contains("deployments"));
    assert!(kubectl.run("auth can-i create pods").starts_with("yes"));
    explanations(&kubectl);
    objects(&kubectl);
    deployments(&kubectl);
    custom(&kubectl);
    chart(&cluster, &clients);
}

/// What kubectl says, and `mainstay` as well.
fn explained(kubectl: &Kubectl<'_>, what: &str) -> String {
    let command = format!("explain {what}");
    let told = kubectl.run(&command);
    assert_eq!(kubectl.cluster.mainstay(&command.split(' ').collect::<Vec<_>>()), told, "{command}");
    told
}

fn explanations(kubectl: &Kubectl<'_>) {
    let policy = explained(kubectl, "pod.spec.restartPolicy");
    assert!(policy.contains("Restart policy for all containers within the pod."), "{policy}");
    assert!(policy.contains(" - `\"OnFailure\"`"), "{policy}");
    let fields = explained(kubectl, "deployment --recursive");
    assert!(fields.contains("  containers\t<[]Container> -required-\n"), "{fields}");
    for what in
        ["pod", "pod.spec.containers", "pod.metadata.creationTimestamp", "crd.spec.versions.schema", "secret.data"]
    {
        explained(kubectl, what);
    }
}

fn objects(kubectl: &Kubectl<'_>) {
    kubectl.run("create namespace shop");
    kubectl.run("create configmap settings -n shop --from-literal=a=1");
    kubectl.run("create secret generic keys -n shop --from-literal=k=v");
    kubectl.run("label configmap settings -n shop tier=front");
    kubectl.run("annotate configmap settings -n shop note=here");
    assert_eq!(kubectl.run("get configmap -n shop -l tier=front -o name"), "configmap/settings\n");
    assert_eq!(kubectl.run("get cm settings -n shop --template={{.data.a}}"), "1");
    kubectl.run(r#"patch cm settings -n shop --type merge -p {"data":{"a":"2"}}"#);
    kubectl.run(r#"patch cm settings -n shop --type json -p [{"op":"add","path":"/data/b","value":"3"}]"#);
    kubectl.run(r#"patch cm settings -n shop -p {"data":{"c":"4"}}"#);
    assert_eq!(kubectl.run("get cm settings -n shop --template={{.data.a}}{{.data.b}}{{.data.c}}"), "234");

    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied, namespace: shop}\ndata: {x: '1'}\n";
    assert!(kubectl.feed("apply -f -", manifest).contains("created"));
    assert!(kubectl.feed("apply -f -", manifest).contains("unchanged"));
    assert!(kubectl.feed("apply -f -", &manifest.replace("'1'", "'2'")).contains("configured"));
    let other = manifest.replace("applied", "owned");
    assert!(kubectl.feed("apply --server-side -f -", &other).contains("serverside-applied"));
    assert!(kubectl.run("describe cm settings -n shop").contains("tier=front"));
    assert!(kubectl.fails("get cm nothing -n shop").contains("configmaps \"nothing\" not found"));
    kubectl.run("delete namespace shop --timeout=60s");
    assert!(kubectl.fails("get namespace shop").contains("not found"));
}

fn deployments(kubectl: &Kubectl<'_>) {
    kubectl.run("create deployment web --image=registry.local/web:1 --replicas=3");
    kubectl.run("rollout status deployment/web --timeout=60s");
    assert_eq!(kubectl.run("get pods -l app=web -o name").lines().count(), 3);
    kubectl.run("set image deployment/web web=registry.local/web:2");
    kubectl.run("rollout status deployment/web --timeout=60s");
    let images = || kubectl.run("get deployment web -o jsonpath={.spec.template.spec.containers[0].image}");
    assert_eq!(images(), "registry.local/web:2");
    assert!(kubectl.run("rollout history deployment/web").contains('2'));
    kubectl.run("rollout undo deployment/web");
    kubectl.run("rollout status deployment/web --timeout=60s");
    assert_eq!(images(), "registry.local/web:1");
    kubectl.run("scale deployment web --replicas=5");
    kubectl.run("wait deployment/web --for=jsonpath={.status.readyReplicas}=5 --timeout=60s");
    kubectl.run("expose deployment web --port=80");
    let ready = || kubectl.run("get endpointslices -l kubernetes.io/service-name=web -o name").lines().count() == 1;
    eventually("the service has a slice", Duration::from_secs(20), ready);
    kubectl.run("delete deployment web --timeout=60s");
    let gone = || kubectl.run("get pods -l app=web -o name").is_empty();
    eventually("its pods are gone", Duration::from_secs(60), gone);
    kubectl.run("delete service web");
}

const GADGETS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget, shortNames: [gd]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Color, type: string, jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [color]
            properties:
              color: {type: string, enum: [red, blue], description: How it looks.}
              replicas: {type: integer, default: 1}
            x-kubernetes-validations: [{rule: "self.color != 'blue' || self.replicas < 3", message: too many blue ones}]
          status: {type: object, properties: {replicas: {type: integer}}}
"#;

/// A new kind, through every master.
fn custom(kubectl: &Kubectl<'_>) {
    kubectl.feed("apply -f -", GADGETS);
    kubectl.run("wait crd/gadgets.shop.example.com --for=condition=Established --timeout=30s");
    let gadget = "apiVersion: shop.example.com/v1\nkind: Gadget\nmetadata: {name: one}\nspec: {color: red}\n";
    let file = kubectl.cluster.file();
    let masters = file["masters"].as_array().unwrap();
    let servers = masters.iter().map(|master| format!("--server={}", master["url"].as_str().unwrap()));
    // What is established is served by all masters at once; only what clients discover may be a moment old.
    for server in servers.clone() {
        kubectl.run(&format!("get --raw /apis/shop.example.com/v1/gadgets {server}"));
    }
    kubectl.feed("apply -f -", gadget);
    for server in servers {
        let arguments = ["get", "gadgets", "one", "--no-headers", &server];
        let seen = || text(&kubectl.cluster.client(kubectl.program.as_os_str(), &arguments, "").stdout).contains("red");
        eventually("every master knows the kind", Duration::from_secs(10), seen);
    }
    assert!(explained(kubectl, "gadget.spec.color").contains("How it looks."));
    assert!(explained(kubectl, "gadget --recursive").contains("color\t<string> -required-\n"));
    kubectl.run("scale gadget one --replicas=5");
    assert!(kubectl.fails(r#"patch gd one --type merge -p {"spec":{"color":"blue"}}"#).contains("too many blue ones"));
    assert!(kubectl.fails(r#"patch gd one --type merge -p {"spec":{"color":"green"}}"#).contains("Unsupported value"));
    kubectl.run("delete crd gadgets.shop.example.com --timeout=60s");
    // By its short name kubectl would go by what it has discovered before.
    assert!(kubectl.fails("get gadgets.shop.example.com").contains("doesn't have a resource type"));
}

fn chart(cluster: &TestCluster, clients: &std::path::Path) {
    let program = clients.join("helm");
    let helm = |arguments: &[&str]| cluster.succeed(program.as_os_str(), arguments, "");
    let folder = tempfile::tempdir().unwrap();
    let chart = folder.path().join("site");
    let chart = chart.to_str().unwrap();
    helm(&["create", chart]);
    helm(&["install", "site", chart, "--wait", "--timeout", "90s"]);
    helm(&["upgrade", "site", chart, "--set", "replicaCount=2", "--wait", "--timeout", "90s"]);
    helm(&["rollback", "site", "1", "--wait", "--timeout", "90s"]);
    assert!(helm(&["history", "site"]).contains("superseded"));
    helm(&["uninstall", "site", "--wait", "--timeout", "90s"]);
}
