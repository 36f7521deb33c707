//! Certificate requests: approved by people or for nodes by themselves, signed, and good for what they say.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::support::{MAINSTAY, TestCluster, eventually};

const SOON: Duration = Duration::from_secs(30);
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// Asks for a certificate, as whom the further arguments say; gives the key.
fn ask(cluster: &TestCluster, name: &str, signer: &str, subject: [&str; 2], more: &[&str]) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, subject[1]);
    params.distinguished_name.push(DnType::CommonName, subject[0]);
    let request = STANDARD.encode(params.serialize_request(&key).unwrap().pem().unwrap());
    let manifest = format!(
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {name}}}\nspec:\n  signerName: {signer}\n  request: {request}\n  expirationSeconds: 3600\n  usages: [digital signature, client auth]\n"
    );
    let arguments = [&["create", "-f", "-"], more].concat();
    cluster.succeed(MAINSTAY.as_ref(), &arguments, &manifest);
    key.serialize_pem()
}

fn field(cluster: &TestCluster, name: &str, path: &str) -> String {
    cluster.mainstay(&["get", "csr", name, "-o", &format!("jsonpath={{{path}}}")]).trim().to_owned()
}

/// Waits for the certificate (PEM).
fn issued(cluster: &TestCluster, name: &str) -> String {
    let certificate = || field(cluster, name, ".status.certificate");
    eventually(&format!("{name} is signed"), SOON, || !certificate().is_empty());
    String::from_utf8(STANDARD.decode(certificate()).unwrap()).unwrap()
}

/// A kubeconfig like `own`, of a user with this certificate.
fn kubeconfig(cluster: &TestCluster, own: &str, certificate: &str, key: &str) -> PathBuf {
    let mut config: serde_json::Value = serde_json::from_str(own).unwrap();
    let user = serde_json::json!({
        "client-certificate-data": STANDARD.encode(certificate),
        "client-key-data": STANDARD.encode(key),
    });
    config["users"][0]["user"] = user;
    let path = cluster.dir().join("signed.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

#[test]
fn requests_are_approved_and_signed() {
    let Some(kubectl) = std::env::var_os("MAINSTAY_CLIENTS").map(|dir| PathBuf::from(dir).join("kubectl")) else {
        println!("skipped: MAINSTAY_CLIENTS names no folder with kubectl");
        return;
    };
    let cluster = TestCluster::up(0, &[]);
    let run = |arguments: &[&str]| cluster.succeed(kubectl.as_os_str(), arguments, "");

    let key = ask(&cluster, "jane", CLIENT, ["jane", "devs"], &[]);
    run(&["certificate", "approve", "jane"]);
    let certificate = issued(&cluster, "jane");
    let own = run(&["config", "view", "--raw", "-o", "json"]);
    let config = kubeconfig(&cluster, &own, &certificate, &key);
    let config = format!("--kubeconfig={}", config.display());
    let who = cluster.succeed(OsStr::new(&kubectl), &[&config, "auth", "whoami"], "");
    assert!(who.contains("jane") && who.contains("devs"), "{who}");

    // What its signer does not take fails, approved or not.
    ask(&cluster, "odd", NODE_CLIENT, ["system:node:n1", "devs"], &[]);
    run(&["certificate", "approve", "odd"]);
    eventually("the odd one fails", SOON, || field(&cluster, "odd", ".status.conditions[*].type").contains("Failed"));
    let why = field(&cluster, "odd", ".status.conditions[?(@.type==\"Failed\")].message");
    assert_eq!(why, "subject organization is not system:nodes");

    // Who may bring nodes in needs no person; who may not waits for one.
    let role = "system:certificates.k8s.io:certificatesigningrequests:nodeclient";
    for (name, role) in [("join", "system:node-bootstrapper"), ("approved", role)] {
        run(&["create", "clusterrolebinding", name, &format!("--clusterrole={role}"), "--group=joiners"]);
    }
    run(&["create", "clusterrolebinding", "ask", "--clusterrole=system:node-bootstrapper", "--group=askers"]);
    let node = ["system:node:n2", "system:nodes"];
    ask(&cluster, "waits", NODE_CLIENT, node, &["--as=asker", "--as-group=askers"]);
    ask(&cluster, "node", NODE_CLIENT, node, &["--as=joiner", "--as-group=joiners"]);
    assert!(issued(&cluster, "node").contains("BEGIN CERTIFICATE"));
    assert_eq!(field(&cluster, "node", ".status.conditions[0].reason"), "AutoApproved");
    assert_eq!(field(&cluster, "waits", ".status"), "{}");
    run(&["certificate", "deny", "waits"]);
}
