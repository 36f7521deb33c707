//! kubectl's words in our own command line, over gRPC.

use std::time::Duration;

use crate::support::{MAINSTAY, TestCluster, eventually, text};

struct Words<'a>(&'a TestCluster);

impl Words<'_> {
    fn run(&self, command: &str) -> String {
        self.0.mainstay(&command.split(' ').collect::<Vec<_>>())
    }

    fn fails(&self, command: &str) -> String {
        self.chokes(command, "")
    }

    /// What it says when it fails on this input.
    fn chokes(&self, command: &str, input: &str) -> String {
        let arguments: Vec<&str> = command.split(' ').collect();
        let output = self.0.client(MAINSTAY.as_ref(), &arguments, input);
        assert!(!output.status.success(), "mainstay {command} should fail");
        text(&output.stderr)
    }

    fn feed(&self, command: &str, input: &str) -> String {
        self.0.succeed(MAINSTAY.as_ref(), &command.split(' ').collect::<Vec<_>>(), input)
    }
}

#[test]
fn the_command_line_does_what_kubectl_does() {
    let cluster = TestCluster::up(2, &[]);
    let mainstay = Words(&cluster);
    objects(&mainstay);
    workloads(&mainstay);
    nodes(&mainstay);
    rights(&mainstay);
}

fn objects(mainstay: &Words<'_>) {
    assert_eq!(mainstay.run("create namespace shop"), "namespace/shop created\n");
    assert_eq!(mainstay.run("create configmap c -n shop --from-literal=a=1"), "configmap/c created\n");
    assert!(mainstay.run("create secret generic s -n shop --from-literal=k=v").contains("secret/s created"));
    assert_eq!(mainstay.run("label configmap c -n shop tier=front"), "configmap/c labeled\n");
    assert_eq!(mainstay.run("annotate configmap c -n shop note=here"), "configmap/c annotated\n");
    assert_eq!(mainstay.run("get configmaps -n shop -l tier=front -o name"), "configmap/c\n");
    assert_eq!(mainstay.run(r#"patch cm c -n shop --type merge -p {"data":{"a":"2"}}"#), "configmap/c patched\n");
    let again = mainstay.run(r#"patch cm c -n shop -p {"data":{"a":"2"}}"#);
    assert_eq!(again, "configmap/c patched (no change)\n");
    assert_eq!(mainstay.run("get cm c -n shop -o jsonpath={.data.a}"), "2");
    let names = "--template={{range .items}}{{.metadata.name}}{{end}}";
    assert_eq!(mainstay.0.mainstay(&["get", "cm", "-l", "tier=front", "-n", "shop", names]), "c");
    assert_eq!(mainstay.run("get secret s -n shop -o go-template={{.data.k|base64decode}}"), "v");
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: d, namespace: shop}\ndata: {x: '1'}\n";
    assert_eq!(mainstay.feed("apply -f -", manifest), "configmap/d created\n");
    assert_eq!(mainstay.feed("apply -f -", manifest), "configmap/d unchanged\n");
    let other = manifest.replace("name: d", "name: e");
    assert_eq!(mainstay.feed("apply --dry-run=client -f -", &other), "configmap/e created (dry run)\n");
    assert!(mainstay.fails("create configmap e -n shop --dry-run=perhaps").contains("Invalid dry-run value (perhaps)"));
    let names = mainstay.run("get cm -n shop --sort-by=.metadata.name -o name");
    assert!(names.starts_with("configmap/c\nconfigmap/d\n") && !names.contains("configmap/e\n"), "{names}");
    assert_eq!(mainstay.run("label configmap c -n shop tier-"), "configmap/c unlabeled\n");
    let whole = mainstay.run("get cm d -n shop -o json");
    let anew = "configmap \"d\" deleted from shop namespace\nconfigmap/d replaced\n";
    assert_eq!(mainstay.feed("replace --force -f -", &whole), anew);
    let refused = mainstay.chokes("replace --force -f -", &manifest.replace("x:", "'x y':"));
    assert!(refused.contains("data[x y]: Invalid value"), "{refused}");
    assert_eq!(mainstay.run("get cm d -n shop -o jsonpath={.data.x}"), "1");
    assert!(mainstay.fails("delete cm d -A").contains("by name across all namespaces"));
    assert!(mainstay.run("describe cm d -n shop").contains("Name:"));
    assert!(mainstay.run("explain configmap").contains("FIELDS"));
    assert!(mainstay.run("api-resources").contains("deployments"));
    assert_eq!(mainstay.feed("delete -f -", manifest), "configmap \"d\" deleted from shop namespace\n");
    let missing = mainstay.fails("get cm d -n shop");
    assert_eq!(missing, "Error from server (NotFound): configmaps \"d\" not found\n");
    assert!(mainstay.run("delete namespace shop").contains("namespace \"shop\" deleted"));
}

fn workloads(mainstay: &Words<'_>) {
    mainstay.run("create deployment web --image=registry.local/web:1 --replicas=2 --port=80");
    assert!(mainstay.run("rollout status deployment/web --timeout=60s").contains("successfully rolled out"));
    assert_eq!(mainstay.run("set image deployment/web *=registry.local/web:2"), "deployment.apps/web image updated\n");
    mainstay.run("rollout status deployment/web --timeout=60s");
    assert!(mainstay.run("rollout history deployment/web").contains('2'));
    assert_eq!(mainstay.run("rollout undo deployment/web"), "deployment.apps/web rolled back\n");
    mainstay.run("rollout restart deployment/web");
    mainstay.run("rollout status deployment/web --timeout=60s");
    let image = "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}";
    assert_eq!(mainstay.run(image), "registry.local/web:1");
    assert_eq!(mainstay.run("scale deployment web --replicas=3"), "deployment.apps/web scaled\n");
    assert!(mainstay.fails("scale deployment web --replicas=9 --current-replicas=5").contains("was 3"));
    mainstay.run("wait deployment/web --for=condition=Available --timeout=60s");
    assert_eq!(mainstay.run("expose deployment web --type=NodePort"), "service/web exposed\n");
    let port = mainstay.run("get service web -o jsonpath={.spec.ports[0].targetPort}");
    assert_eq!(port, "80");
    assert!(mainstay.run("get events").contains("ScalingReplicaSet"));
    assert!(mainstay.run("get pods -l app=web -o wide").contains("worker"));
    mainstay.run("delete service web");
    mainstay.run("delete deployment web");
    let gone = || mainstay.run("get pods -l app=web -o name").is_empty();
    eventually("its pods are gone", Duration::from_secs(60), gone);
}

fn nodes(mainstay: &Words<'_>) {
    let name = mainstay.run("get nodes -o name").lines().next().unwrap().trim_start_matches("node/").to_owned();
    assert!(mainstay.run(&format!("cordon {name}")).contains("cordoned"));
    assert!(mainstay.run(&format!("get node {name}")).contains("SchedulingDisabled"));
    mainstay.run(&format!("drain {name} --ignore-daemonsets"));
    assert!(mainstay.run(&format!("uncordon {name}")).contains("uncordoned"));
    assert_eq!(mainstay.run(&format!("taint node {name} a=b:NoSchedule")), format!("node/{name} tainted\n"));
    assert_eq!(mainstay.run(&format!("taint node {name} a-")), format!("node/{name} untainted\n"));
}

fn rights(mainstay: &Words<'_>) {
    assert_eq!(mainstay.run("auth can-i create pods"), "yes\n");
    assert!(mainstay.fails("auth can-i create pods --as nobody").is_empty());
    let allowed = mainstay.run("auth can-i --list");
    let all = allowed.lines().nth(1).unwrap_or_default().split_whitespace();
    assert!(allowed.starts_with("Resources ") && all.eq(["*.*", "[]", "[]", "[*]"]), "{allowed}");
    assert!(mainstay.run("auth whoami").contains("kubernetes-admin"));
    let refused = mainstay.fails("get pods --as nobody");
    assert!(refused.starts_with("Error from server (Forbidden): pods is forbidden: User \"nobody\""), "{refused}");
}
