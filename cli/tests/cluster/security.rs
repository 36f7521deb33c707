//! Keys and certificates over the life of a cluster.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use mainstay_apiserver::pki;

use crate::support::{MAINSTAY, TestCluster, eventually, text};

const SOON: Duration = Duration::from_secs(60);

/// The data folders of masters or workers.
fn folders(cluster: &TestCluster, of: &str) -> Vec<PathBuf> {
    let file = cluster.file();
    let all = file[of].as_array().unwrap().iter();
    all.map(|one| PathBuf::from(one["data_dir"].as_str().unwrap())).collect()
}

/// The certificates of masters and agents that live as long as the flag says.
fn certificates(cluster: &TestCluster) -> Vec<PathBuf> {
    let masters = folders(cluster, "masters");
    let stems = ["serving.crt", "peer.crt"];
    let mut all: Vec<PathBuf> = masters.iter().flat_map(|dir| stems.map(|stem| dir.join("pki").join(stem))).collect();
    all.extend(folders(cluster, "workers").iter().map(|dir| dir.join("agent/pki/agent.pem")));
    all
}

fn expiry(path: &Path) -> Timestamp {
    pki::expiry(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn runs(cluster: &TestCluster, name: &str) {
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: c, image: busybox}}]}}\n"
    );
    eventually(&format!("pod {name} is accepted"), SOON, || {
        cluster.client(MAINSTAY.as_ref(), &["apply", "-f", "-"], &pod).status.success()
    });
    eventually(&format!("pod {name} runs"), SOON, || {
        let output = cluster.client(MAINSTAY.as_ref(), &["get", "pod", name, "-o", "jsonpath={.status.phase}"], "");
        text(&output.stdout).contains("Running")
    });
}

#[test]
fn certificates_are_renewed_while_everything_runs() {
    let short = "--certificate-lifetime=24";
    let cluster = TestCluster::up(1, &["--server-arg", short]);
    runs(&cluster, "before");
    let all = certificates(&cluster);
    assert_eq!(all.len(), 7);
    // Twice over: what was renewed is renewed again, and nothing lives on the first certificates.
    for _ in 0..2 {
        let last = all.iter().map(|path| expiry(path)).max().unwrap();
        eventually("the certificates' end", SOON, || Timestamp::now() > last);
        assert!(all.iter().all(|path| expiry(path) > last), "not all were renewed");
    }
    eventually("all masters are well", SOON, || cluster.healthy() == 3);
    runs(&cluster, "after");
    // New connections between masters and from the agent, with nothing but renewed certificates.
    let leader = cluster.leader();
    cluster.signal_master(&leader, "KILL");
    eventually("another master leads", SOON, || cluster.try_leader().is_some_and(|now| now != leader));
    runs(&cluster, "after-a-failover");
    eventually("the killed master is back", SOON, || cluster.healthy() == 3);
}

fn holds(dir: &Path, texts: &[&str]) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, texts);
        }
        // Files of a running store come and go.
        let content = std::fs::read(&path).unwrap_or_default();
        texts.iter().any(|text| content.windows(text.len()).any(|part| part == text.as_bytes()))
    })
}

#[test]
fn secrets_are_encrypted_on_every_master_and_rotated_from_any() {
    use base64::Engine;
    let cluster = TestCluster::up(0, &[]);
    let (value, control) = ("hush-0815-value", "loud-0815-value");
    let encoded = base64::engine::general_purpose::STANDARD.encode(value);
    let manifests = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{k: {value}}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{k: {control}}}\n"
    );
    cluster.succeed(MAINSTAY.as_ref(), &["apply", "-f", "-"], &manifests);
    let masters = folders(&cluster, "masters");
    eventually("every master has the data", SOON, || masters.iter().all(|dir| holds(dir, &[control])));
    assert!(!masters.iter().any(|dir| holds(dir, &[value, &encoded])), "a secret is on a disk in the clear");

    let read = || cluster.mainstay(&["get", "secret", "s", "-o", "jsonpath={.data.k}"]);
    let said = cluster.mainstay(&["cluster", "rotate-encryption-key"]);
    assert!(said.starts_with("key 2 is in use; "), "{said}");
    assert_eq!(read().trim(), encoded);
    // Every master reads what another one rotated: each leads in turn.
    for name in ["master-1", "master-2", "master-3"] {
        eventually("leadership moves", SOON, || {
            cluster.leader() == name
                || cluster.client(MAINSTAY.as_ref(), &["cluster", "transfer-leader", name], "").status.success()
        });
        assert_eq!(read().trim(), encoded);
    }
    assert!(!masters.iter().any(|dir| holds(dir, &[value, &encoded])));
}
