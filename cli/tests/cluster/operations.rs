//! What an operator does to the masters, with the real binary.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{MAINSTAY, TestCluster, eventually, run, text};

const SOON: Duration = Duration::from_secs(60);

fn try_status(cluster: &TestCluster) -> Option<Value> {
    let output = cluster.client(MAINSTAY.as_ref(), &["cluster", "status", "-o", "json"], "");
    serde_json::from_slice(&output.stdout).ok()
}

fn status(cluster: &TestCluster) -> Value {
    let mut found = None;
    eventually("a status", SOON, || {
        found = try_status(cluster);
        found.is_some()
    });
    found.unwrap()
}

fn members(status: &Value) -> &Vec<Value> {
    status["members"].as_array().unwrap()
}

fn named(status: &Value, role: &str) -> Vec<String> {
    let of_role = members(status).iter().filter(|member| member["role"] == role);
    of_role.map(|member| member["name"].as_str().unwrap().to_owned()).collect()
}

/// Three masters that answer, one of them leading, all of them voting.
fn whole(cluster: &TestCluster) -> bool {
    let Some(now) = try_status(cluster) else { return false };
    let well = members(&now).iter().filter(|m| m["healthy"] == true && m["votes"] == true).count();
    well == 3 && members(&now).len() == 3 && named(&now, "leader").len() == 1
}

fn config_map(cluster: &TestCluster, name: &str) {
    let manifest = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{k: v}}\n");
    eventually(&format!("{name} is written"), SOON, || {
        cluster.client(MAINSTAY.as_ref(), &["apply", "-f", "-"], &manifest).status.success()
    });
}

fn has_config_map(cluster: &TestCluster, name: &str) -> bool {
    cluster.client(MAINSTAY.as_ref(), &["get", "configmap", name, "-o", "name"], "").status.success()
}

fn master(cluster: &TestCluster, name: &str) -> Value {
    let file = cluster.file();
    file["masters"].as_array().unwrap().iter().find(|master| master["name"] == name).unwrap().clone()
}

fn kill(pid: i64) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), nix::sys::signal::Signal::SIGKILL)
        .unwrap();
}

#[test]
fn status_is_complete_and_leadership_moves_on_demand() {
    let cluster = TestCluster::up(0, &[]);
    eventually("all are well", SOON, || whole(&cluster));
    let now = status(&cluster);
    for member in members(&now) {
        assert!(member["applied"].as_u64().unwrap() > 0, "{member}");
        assert!(member["state_bytes"].as_u64().unwrap() > 0 && member["disk_free_bytes"].as_u64().unwrap() > 0);
        assert_eq!(member["version"], env!("CARGO_PKG_VERSION"));
        assert!(member["started_ms"].as_u64().unwrap() > 0);
    }
    let table = cluster.mainstay(&["cluster", "status"]);
    assert!(table.contains("SNAPSHOT") && table.contains("healthy; one master may fail"), "{table}");

    let to = named(&now, "follower").remove(0);
    assert_eq!(cluster.mainstay(&["cluster", "transfer-leader", &to]).trim(), format!("{to} leads"));
    let after = status(&cluster);
    assert_eq!(named(&after, "leader"), [to]);
    assert!(after["term"].as_u64() > now["term"].as_u64());
    let nobody = cluster.client(MAINSTAY.as_ref(), &["cluster", "transfer-leader", "nobody"], "");
    assert!(!nobody.status.success() && text(&nobody.stderr).contains("nobody"));
}

#[test]
fn a_stopped_cluster_goes_on_where_it_was() {
    let cluster = TestCluster::up(1, &[]);
    config_map(&cluster, "kept");
    let before = status(&cluster);
    let down = cluster.in_dir(&["down", "--keep-data"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    let up = cluster.in_dir(&["up", "--runtime", "hollow", "--detach"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert!(has_config_map(&cluster, "kept"));
    eventually("all are well", SOON, || whole(&cluster));
    let after = status(&cluster);
    assert_eq!(after["cluster_id"], before["cluster_id"]);
    assert!(after["revision"].as_u64() >= before["revision"].as_u64());
    config_map(&cluster, "later");
}

#[test]
fn a_master_that_lost_everything_comes_back() {
    let cluster = TestCluster::up(0, &[]);
    eventually("all are well", SOON, || whole(&cluster));
    // The founder: it must join the others, not found another cluster.
    let lost = master(&cluster, "master-1");
    let old = members(&status(&cluster)).iter().find(|m| m["name"] == "master-1").unwrap()["id"].clone();
    kill(lost["pid"].as_i64().unwrap());
    let folder = PathBuf::from(lost["data_dir"].as_str().unwrap());
    eventually("its data is gone", SOON, || std::fs::remove_dir_all(&folder).is_ok());
    config_map(&cluster, "meanwhile");
    eventually("it votes under a new id", SOON, || {
        whole(&cluster) && members(&status(&cluster)).iter().all(|member| member["id"] != old)
    });
    assert!(has_config_map(&cluster, "meanwhile"));
}

#[test]
fn masters_are_removed_and_join_again_with_a_token_for_masters_only() {
    let cluster = TestCluster::up(0, &[]);
    eventually("all are well", SOON, || whole(&cluster));
    // The leader, whose removal has to hand over first.
    let leader = named(&status(&cluster), "leader").remove(0);
    cluster.mainstay(&["cluster", "remove", &leader]);
    config_map(&cluster, "with-two");
    // The removed one finds out and ends; until then it may answer with what it knew.
    eventually("two are left", SOON, || members(&status(&cluster)).len() == 2);
    eventually("it stays away", SOON, || {
        let told = std::fs::read_to_string(cluster.dir().join("up.log")).unwrap();
        told.lines().any(|line| line.contains(&leader) && line.contains("not started again"))
    });

    let server = cluster.file()["masters"].as_array().unwrap().iter().find(|m| m["name"] != *leader).unwrap()["url"]
        .as_str()
        .unwrap()
        .to_owned();
    let worker_token = cluster.mainstay(&["token", "create"]);
    let extra = Extra::new(&cluster, "extra");
    let refused = extra.join(&server, worker_token.trim(), Stdio::piped()).wait_with_output().unwrap();
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("admits workers only"), "{}", text(&refused.stderr));

    let master_token = cluster.mainstay(&["token", "create", "--masters"]);
    let _running = Ended(extra.join(&server, master_token.trim(), Stdio::null()));
    eventually("the new master votes", SOON, || {
        members(&status(&cluster)).iter().any(|m| m["name"] == "extra" && m["votes"] == true && m["healthy"] == true)
    });
    let again = cluster.client(MAINSTAY.as_ref(), &["cluster", "promote", "extra"], "");
    assert!(text(&again.stderr).contains("votes already"));
    let id = members(&status(&cluster)).iter().find(|m| m["name"] == "extra").unwrap()["id"].as_u64().unwrap();
    let remove =
        |id: u64| cluster.client(MAINSTAY.as_ref(), &["cluster", "remove", "extra", "--id", &id.to_string()], "");
    let refused = remove(id + 1);
    assert!(
        text(&refused.stderr).contains(&format!("with id {id} there is, and it stays")),
        "{}",
        text(&refused.stderr)
    );
    assert!(remove(id).status.success());
}

#[test]
fn a_backup_made_under_load_becomes_a_new_cluster() {
    let cluster = TestCluster::up(0, &[]);
    config_map(&cluster, "saved");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    cluster.mainstay(&["cluster", "backup", file.to_str().unwrap()]);
    config_map(&cluster, "later");

    let mut damaged = std::fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let bad = folder.path().join("damaged");
    std::fs::write(&bad, damaged).unwrap();
    let output = restore(&bad, &folder.path().join("bad"), "bad");
    assert!(!output.status.success() && text(&output.stderr).contains("damaged"), "{}", text(&output.stderr));

    let extra = Extra { data_dir: folder.path().join("restored"), ..Extra::new(&cluster, "restored") };
    let output = restore(&file, &extra.data_dir, "restored");
    assert!(output.status.success(), "{}", text(&output.stderr));
    // The old cluster's keys, so that its kubeconfig works here.
    let keys = PathBuf::from(master(&cluster, "master-1")["data_dir"].as_str().unwrap()).join("pki");
    copy_files(&keys, &extra.data_dir.join("pki"));
    let _running = Ended(extra.spawn(&["--bootstrap"], Stdio::null()));
    let get = |name: &str| {
        let server = extra.url();
        let arguments = ["get", "configmap", name, "-o", "name", "--server", &server];
        cluster.client(MAINSTAY.as_ref(), &arguments, "")
    };
    eventually("the restored cluster answers", SOON, || get("saved").status.success());
    assert!(!get("later").status.success());
}

#[test]
fn a_survivor_of_a_lost_majority_becomes_the_cluster() {
    let cluster = TestCluster::up(0, &[]);
    config_map(&cluster, "kept");
    eventually("all are well", SOON, || whole(&cluster));
    let down = cluster.in_dir(&["down", "--keep-data"]);
    assert!(down.status.success(), "{}", text(&down.stderr));
    let folder = |name: &str| PathBuf::from(master(&cluster, name)["data_dir"].as_str().unwrap());
    for lost in ["master-1", "master-3"] {
        std::fs::remove_dir_all(folder(lost)).unwrap();
    }
    let survivor = folder("master-2");
    let recovered = run(Command::new(MAINSTAY).args(["cluster", "recover", "--data-dir"]).arg(&survivor));
    assert!(recovered.status.success(), "{}", text(&recovered.stderr));
    let up = cluster.in_dir(&["up", "--runtime", "hollow", "--detach"]);
    assert!(up.status.success(), "{}", text(&up.stderr));
    assert!(has_config_map(&cluster, "kept"));
    eventually("the others have joined again", SOON, || whole(&cluster));
    config_map(&cluster, "later");
}

fn restore(file: &Path, data_dir: &Path, name: &str) -> std::process::Output {
    let mut command = Command::new(MAINSTAY);
    command.args(["cluster", "restore", "--name", name, "--data-dir"]).arg(data_dir).arg(file);
    run(&mut command)
}

fn copy_files(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A master beside those of `mainstay up`.
struct Extra {
    name: &'static str,
    data_dir: PathBuf,
    listen: String,
    peer_listen: String,
}

impl Extra {
    fn new(cluster: &TestCluster, name: &'static str) -> Self {
        let ports = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [listen, peer_listen] = ports.map(|port| port.local_addr().unwrap().to_string());
        Self { name, data_dir: cluster.dir().with_file_name(name), listen, peer_listen }
    }

    fn url(&self) -> String {
        format!("https://{}", self.listen)
    }

    fn spawn(&self, more: &[&str], stderr: Stdio) -> Child {
        Command::new(MAINSTAY)
            .args(["server", "--name", self.name, "--listen", &self.listen, "--peer-listen", &self.peer_listen])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap()
    }

    fn join(&self, server: &str, token: &str, stderr: Stdio) -> Child {
        self.spawn(&["--join", server, "--token", token], stderr)
    }
}

/// Killed when dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
