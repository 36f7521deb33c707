//! An operator made with kopf does its work, also after the leader was killed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{TestCluster, beside, eventually};

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: greetings.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: greetings, singular: greeting, kind: Greeting}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {words: {type: string}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

/// A process that ends with the test.
struct Operator(Child);

impl Drop for Operator {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            println!("the operator did not end: {error}");
        }
    }
}

fn greeting(name: &str, words: &str) -> String {
    format!("apiVersion: example.com/v1\nkind: Greeting\nmetadata: {{name: {name}}}\nspec: {{words: {words}}}\n")
}

#[test]
fn an_operator_of_kopf_outlives_the_leader() {
    let Some(bin) = std::env::var_os("MAINSTAY_CLIENTS").map(PathBuf::from) else {
        println!("skipped: MAINSTAY_CLIENTS names no folder with the clients");
        return;
    };
    let cluster = TestCluster::up(1, &[]);
    let kubectl = bin.join("kubectl");
    let feed = |input: &str| cluster.succeed(kubectl.as_os_str(), &["apply", "-f", "-"], input);
    let get = |arguments: &[&str]| -> String {
        let output = cluster.client(kubectl.as_os_str(), arguments, "");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    feed(DEFINITION);
    cluster.succeed(
        kubectl.as_os_str(),
        &["wait", "--for=condition=Established", "crd/greetings.example.com", "--timeout=30s"],
        "",
    );
    let log = std::fs::File::create(cluster.dir().join("operator.log")).unwrap();
    let _operator = Operator(
        Command::new(bin.join("../venv/bin/python"))
            .arg(beside("tests/cluster/greetings.py"))
            .env("KUBECONFIG", cluster.kubeconfig())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let said = |name: &str| get(&["get", "greeting", name, "-o", "jsonpath={.status.created.words}"]);
    let child = |name: &str| get(&["get", "configmap", name, "-o", "jsonpath={.data.words}"]);
    let long = Duration::from_secs(60);

    feed(&greeting("first", "hello"));
    eventually("the first greeting is handled", long, || said("first") == "hello" && child("first") == "hello");

    leave_the_first_master(&cluster);
    cluster.signal_master(&cluster.leader(), "KILL");
    feed(&greeting("second", "again"));
    eventually("the second greeting is handled", long, || said("second") == "again" && child("second") == "again");
    feed(&greeting("first", "changed"));
    eventually("the change is handled", long, || said("first") == "changed" && child("first") == "changed");

    cluster.succeed(kubectl.as_os_str(), &["delete", "greeting", "first", "--timeout=60s"], "");
    eventually("the child goes too", long, || child("first").is_empty());
}

/// The clients know the first master's address only, so it must not be the one that is killed.
fn leave_the_first_master(cluster: &TestCluster) {
    let first = cluster.file()["masters"][0]["name"].as_str().unwrap().to_owned();
    let other = cluster.file()["masters"][1]["name"].as_str().unwrap().to_owned();
    if cluster.leader() == first {
        cluster.mainstay(&["cluster", "transfer-leader", &other]);
    }
    eventually("another master leads", Duration::from_secs(30), || {
        cluster.try_leader().is_some_and(|leader| leader != first)
    });
}
