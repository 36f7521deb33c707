//! What is wrong is said in one line, and nothing is lost.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::support::{MAINSTAY, TestCluster, eventually, run, text};

/// A failed command's only line.
fn complaint(output: &std::process::Output, code: i32) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

#[test]
fn an_unknown_command_is_a_matter_of_usage() {
    complaint(&run(Command::new(MAINSTAY).arg("nonsense")), 2);
}

#[test]
fn an_output_that_is_wrong_is_told_before_anything_is_asked() {
    let told = |form: &str| {
        let words = ["get", "pods", "--kubeconfig", "/nonexistent/kubeconfig", "-o", form];
        complaint(&run(Command::new(MAINSTAY).args(words)), 1)
    };
    let unclosed = told("go-template={{.a");
    assert!(unclosed.starts_with("error: error parsing template {{.a, template: output:1:"), "{unclosed}");
    assert!(told("yam").starts_with("error: unknown output \"yam\""));
}

#[test]
fn a_missing_kubeconfig_is_named() {
    let mut command = Command::new(MAINSTAY);
    let said = complaint(&run(command.args(["get", "pods", "--kubeconfig", "/nonexistent/kubeconfig"])), 1);
    assert!(said.contains("/nonexistent/kubeconfig") && said.trim().lines().count() == 1, "{said}");
}

#[test]
fn a_cluster_is_not_started_twice_and_bad_manifests_change_nothing() {
    let cluster = TestCluster::up(0, &[]);
    let again = cluster.in_dir(&["up", "--runtime", "hollow", "--detach"]);
    assert!(complaint(&again, 1).contains("down"), "it says how to go on");
    assert_eq!(cluster.file()["masters"].as_array().unwrap().len(), 3);

    for (manifest, word) in [
        ("kind: ConfigMap\nmetadata: {name: a}\n", "apiVersion"),
        ("apiVersion: v1\nkind: Nonsense\nmetadata: {name: a}\n", "Nonsense"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: A_B}\n", "A_B"),
        ("{", ""),
    ] {
        let output = cluster.client(MAINSTAY.as_ref(), &["apply", "-f", "-"], manifest);
        let said = complaint(&output, 1);
        assert!(said.contains(word), "{manifest} → {said}");
    }
    assert!(!cluster.mainstay(&["get", "configmaps", "-o", "name"]).contains("/a"));
    let missing = cluster.client(MAINSTAY.as_ref(), &["get", "configmap", "a"], "");
    assert_eq!(complaint(&missing, 1).trim(), "Error from server (NotFound): configmaps \"a\" not found");
}

/// A master of a cluster whose processes are stopped, started alone until it gives up.
fn start_alone(cluster: &TestCluster, index: usize) -> Output {
    let master = &cluster.file()["masters"][index];
    let option = |name: &str| master[name].as_str().unwrap().to_owned();
    run(Command::new("timeout").args(["20", MAINSTAY, "server"]).args([
        "--name",
        &option("name"),
        "--data-dir",
        &option("data_dir"),
        "--listen",
        &option("listen"),
        "--peer-listen",
        &option("peer_listen"),
    ]))
}

fn kubeconfig_with(cluster: &TestCluster, name: &str, user: Value) -> std::path::PathBuf {
    let file = cluster.file();
    let ca = std::fs::read(cluster.dir().join("ca.crt")).unwrap();
    let document = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {
            "server": file["masters"][0]["url"], "certificate-authority-data": STANDARD.encode(ca),
        }}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    let path = cluster.dir().join(name);
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

/// A client certificate of `system:masters`, as a user entry of a kubeconfig.
fn certificate(issuer: &Issuer<'_, KeyPair>, expired: bool) -> Value {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, "kubernetes-admin");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(if expired { 2021 } else { 2090 }, 1, 1);
    let key = KeyPair::generate().unwrap();
    let issued = params.signed_by(&key, issuer).unwrap();
    json!({
        "client-certificate-data": STANDARD.encode(issued.pem()),
        "client-key-data": STANDARD.encode(key.serialize_pem()),
    })
}

fn foreign_authority() -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Issuer::new(params, KeyPair::generate().unwrap())
}

fn own_authority(cluster: &TestCluster) -> Issuer<'static, KeyPair> {
    let file = cluster.file();
    let pki = Path::new(file["masters"][0]["data_dir"].as_str().unwrap()).join("pki");
    let key = KeyPair::from_pem(&std::fs::read_to_string(pki.join("ca.key")).unwrap()).unwrap();
    Issuer::from_ca_cert_pem(&std::fs::read_to_string(pki.join("ca.crt")).unwrap(), key).unwrap()
}

#[test]
fn who_is_not_known_is_told_so() {
    let cluster = TestCluster::up(0, &[]);
    let own = own_authority(&cluster);
    let good = kubeconfig_with(&cluster, "good", certificate(&own, false));
    let ask = |path: &Path| run(Command::new(MAINSTAY).args(["get", "namespaces", "--kubeconfig"]).arg(path));
    assert!(ask(&good).status.success(), "{}", text(&ask(&good).stderr));
    for (name, user) in [
        ("token", json!({"token": "nonsense"})),
        ("foreign", certificate(&foreign_authority(), false)),
        ("expired", certificate(&own, true)),
    ] {
        let said = complaint(&ask(&kubeconfig_with(&cluster, name, user)), 1);
        assert!(said.contains("You must be logged in to the server"), "{name}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "{name}: {said}");
    }
    let url = cluster.file()["masters"][0]["url"].as_str().unwrap().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let joining = run(Command::new(MAINSTAY)
        .args(["server", "--name", "x", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0"])
        .args(["--join", &url, "--token", "abcdef.0123456789abcdef", "--data-dir"])
        .arg(folder.path().join("x")));
    assert!(complaint(&joining, 1).contains("join token is not known"));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new(MAINSTAY)
        .args(["server", "--name", "x", "--bootstrap", "--listen", &address, "--peer-listen", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(folder.path().join("x")));
    let said = complaint(&output, 1);
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_missing_containerd_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(Command::new(MAINSTAY)
        .args(["up", "--runtime", "containerd", "--detach", "--dir"])
        .arg(folder.path().join("cluster"))
        .env("PATH", folder.path()));
    let said = complaint(&output, 1);
    let root = nix::unistd::geteuid().is_root();
    assert!(said.contains(if root { "apt-get install containerd" } else { "root" }), "{said}");
    assert!(!folder.path().join("cluster/cluster.json").exists());
}

/// Turns over a bit in every block but the last, which says how to read the others.
fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let blocks = bytes.len() * 9 / 10;
    bytes[..blocks].iter_mut().step_by(512).for_each(|byte| *byte ^= 1);
    std::fs::write(path, bytes).unwrap();
}

/// The first of the files in `folder` whose names end so.
fn first(folder: &Path, ending: &str) -> std::path::PathBuf {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().ends_with(ending)).min().unwrap()
}

#[test]
fn damaged_data_is_refused_by_name_and_the_rest_of_the_cluster_goes_on() {
    let cluster = TestCluster::up(0, &[]);
    cluster.mainstay(&["create", "configmap", "kept", "--from-literal=a=1"]);
    let stopped = cluster.in_dir(&["down", "--keep-data"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));

    let data = cluster.file()["masters"][2]["data_dir"].as_str().unwrap().to_owned();
    let store = Path::new(&data).join("store");
    damage(&first(&store.join("log"), ".segment"));
    let said = complaint(&start_alone(&cluster, 2), 1);
    let last = said.trim().lines().last().unwrap();
    assert!(last.contains("is damaged") && last.contains("rejoin"), "{last}");

    std::fs::remove_dir_all(&store).unwrap();
    let again = cluster.in_dir(&["up", "--runtime", "hollow", "--workers", "0", "--detach"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(cluster.mainstay(&["get", "configmap", "kept", "-o", "yaml"]).contains("a: \"1\""));
    eventually("the wiped master has caught up", Duration::from_secs(60), || cluster.healthy() == 3);
}

/// A small file system in memory, unmounted again.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
        mount.status.success().then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let gone = run(Command::new("umount").arg("--lazy").arg(self.0.path()));
        assert!(gone.status.success() || std::thread::panicking(), "{}", text(&gone.stderr));
    }
}

#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(1200) else {
        println!("skipped: mounting a file system of its own wants root");
        return;
    };
    let cluster = TestCluster::up_in(disk.0.path(), 0, &[]);
    cluster.mainstay(&["create", "configmap", "before"]);
    let filler = disk.0.path().join("filler");
    let space = nix::sys::statvfs::statvfs(disk.0.path()).unwrap();
    let left = space.blocks_available() * space.fragment_size() - (100 << 20);
    let filled = run(Command::new("fallocate").args(["-l", &left.to_string()]).arg(&filler));
    assert!(filled.status.success(), "{}", text(&filled.stderr));

    let create = |name: &str| cluster.client(MAINSTAY.as_ref(), &["create", "configmap", name], "");
    let mut said = String::new();
    let mut number = 0;
    eventually("writes are refused", Duration::from_secs(60), || {
        number += 1;
        let output = create(&format!("probe-{number}"));
        said = text(&output.stderr);
        !output.status.success()
    });
    assert!(said.contains("nearly full") && said.trim().lines().count() == 1, "{said}");
    cluster.mainstay(&["get", "configmap", "before"]);

    std::fs::remove_file(&filler).unwrap();
    eventually("writes go on", Duration::from_secs(60), || create("after").status.success());
    cluster.mainstay(&["get", "configmap", "before", "after"]);
}
