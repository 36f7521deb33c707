//! Workers on real containerd: streams into pods, and what becomes of pods when containerd, the agent or a container dies.
//! Skipped, with a word, where there is no root or a program is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{MAINSTAY, TestCluster, eventually, run, text};

const PROGRAMS: [&str; 6] = [
    "/usr/bin/containerd",
    "/bin/busybox",
    "/usr/bin/skopeo",
    "/usr/bin/docker-registry",
    "/usr/sbin/nft",
    "/usr/bin/ctr",
];
const LONG: Duration = Duration::from_secs(60);

fn able() -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    let able = root && PROGRAMS.iter().all(|program| Path::new(program).exists());
    if !able {
        println!("skipped: needs root and {PROGRAMS:?}");
    }
    able
}

fn must(program: &str, arguments: &[&str]) -> String {
    let output = run(Command::new(program).args(arguments));
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// An image archive as `docker save` writes it: a layer with busybox and its names.
fn image(dir: &Path) -> PathBuf {
    let bin = dir.join("layer/bin");
    std::fs::create_dir_all(&bin).unwrap();
    std::fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
    for name in ["sh", "sleep", "echo", "cat", "wc", "httpd", "kill"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
    }
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    must("tar", &["-C", &path("layer"), "-cf", &path("layer.tar"), "."]);
    let sum = must("sha256sum", &[&path("layer.tar")]);
    let sum = sum.split_whitespace().next().unwrap();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({"architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]}});
    let manifest = json!([{"Config": "config.json", "RepoTags": ["test/busybox:1"], "Layers": ["layer.tar"]}]);
    std::fs::write(dir.join("config.json"), config.to_string()).unwrap();
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    must("tar", &["-C", &path(""), "-cf", &path("image.tar"), "manifest.json", "config.json", "layer.tar"]);
    dir.join("image.tar")
}

struct Site {
    cluster: TestCluster,
}

impl Site {
    fn start() -> Site {
        let cluster = TestCluster::on_containerd(1);
        let folder = tempfile::tempdir().unwrap();
        let source = format!("docker-archive:{}", image(folder.path()).display());
        let registry = cluster.file()["registry"].as_str().unwrap().to_owned();
        let target = format!("docker://{registry}/test/busybox:1");
        must("skopeo", &["copy", "-q", "--insecure-policy", "--dest-tls-verify=false", &source, &target]);
        Site { cluster }
    }

    /// Runs a pod with one container, `c`.
    fn run(&self, name: &str, script: &str) {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "image": "registry.local/test/busybox:1", "command": ["sh", "-c", script]}]}});
        self.cluster.succeed(MAINSTAY.as_ref(), &["apply", "-f", "-"], &pod.to_string());
        eventually(&format!("pod {name} is ready"), LONG, || self.is_ready(name));
    }

    fn pod(&self, name: &str) -> Value {
        let text = self.cluster.mainstay(&["get", "pod", name, "-o", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    fn condition(object: &Value, kind: &str) -> String {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|condition| condition["type"] == kind).map(|c| c["status"].clone());
        found.and_then(|status| status.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn is_ready(&self, name: &str) -> bool {
        Self::condition(&self.pod(name), "Ready") == "True"
    }

    fn node_is_ready(&self) -> bool {
        let text = self.cluster.mainstay(&["get", "node", "worker-1", "-o", "json"]);
        Self::condition(&serde_json::from_str(&text).unwrap(), "Ready") == "True"
    }

    /// The container's id and how often it was restarted.
    fn life(&self, name: &str) -> (String, u64) {
        let status = self.pod(name)["status"]["containerStatuses"][0].clone();
        (status["containerID"].as_str().unwrap().to_owned(), status["restartCount"].as_u64().unwrap())
    }

    /// The process that the cluster's file names for the worker.
    fn pid(&self, field: &str) -> Option<String> {
        self.cluster.file()["workers"][0][field].as_u64().map(|pid| pid.to_string())
    }

    fn kill_worker(&self, field: &str) -> String {
        let pid = self.pid(field).unwrap();
        must("kill", &["-9", &pid]);
        pid
    }

    /// containerd's own client, past the cluster.
    fn ctr(&self, arguments: &[&str]) -> String {
        let netns = self.cluster.file()["workers"][0]["netns"].as_str().unwrap().to_owned();
        let socket = format!("/run/mainstay/{netns}/containerd.sock");
        must("ctr", &[&["-a", &socket, "-n", "k8s.io"], arguments].concat())
    }
}

#[test]
fn pods_on_containerd_are_reached_and_outlive_what_looks_after_them() {
    if !able() {
        return;
    }
    let site = Site::start();
    site.run("one", "echo begun; trap 'exit 3' TERM; while true; do sleep 0.1; done");
    streams(&site);
    a_container_that_ends_is_started_again(&site);
    containerd_may_die(&site);
    the_agent_may_die(&site);
    a_new_agent_restarts_a_container_without_any_master(&site);
}

fn streams(site: &Site) {
    let client = |arguments: &[&str], input: &str| site.cluster.client(MAINSTAY.as_ref(), arguments, input);
    assert_eq!(site.cluster.mainstay(&["logs", "one"]), "begun\n");
    let echoed = client(&["exec", "-i", "one", "--", "cat"], "the end of the input ends the command");
    assert_eq!(text(&echoed.stdout), "the end of the input ends the command");
    let failed = client(&["exec", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 7"], "");
    assert_eq!((text(&failed.stdout).as_str(), failed.status.code()), ("out\n", Some(7)));
    assert!(text(&failed.stderr).starts_with("err\n"));
    let much = "x".repeat(1 << 20);
    assert_eq!(text(&client(&["exec", "-i", "one", "--", "wc", "-c"], &much).stdout).trim(), "1048576");
}

fn a_container_that_ends_is_started_again(site: &Site) {
    let (before, _) = site.life("one");
    let began = Instant::now();
    site.cluster.mainstay(&["exec", "one", "--", "kill", "1"]);
    eventually("the container was started again", LONG, || {
        let (now, restarts) = site.life("one");
        now != before && restarts == 1 && site.is_ready("one")
    });
    assert!(began.elapsed() < Duration::from_secs(8), "the first restart waits for nothing");
    let ended = site.pod("one")["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"].clone();
    assert_eq!(ended, 3);
    assert_eq!(site.cluster.mainstay(&["logs", "--previous", "one"]), "begun\n");
}

fn containerd_may_die(site: &Site) {
    let life = site.life("one");
    let began = Instant::now();
    let old = site.kill_worker("runtime_pid");
    // A supervisor starts it again, perhaps before anybody has noticed; nothing may have happened to the pod either way.
    eventually("containerd is back", LONG, || site.pid("runtime_pid").is_some_and(|pid| pid != old));
    eventually("the node is ready", LONG, || site.node_is_ready() && site.is_ready("one"));
    println!("containerd was replaced and all ready after {:?}", began.elapsed());
    assert_eq!(site.life("one"), life, "the same container, not restarted");
    assert!(site.ctr(&["tasks", "ls"]).contains(life.0.trim_start_matches("containerd://")));
    assert_eq!(site.cluster.mainstay(&["exec", "one", "--", "echo", "still here"]), "still here\n");
}

fn the_agent_may_die(site: &Site) {
    let life = site.life("one");
    let old = site.kill_worker("pid");
    eventually("the agent is back", LONG, || site.pid("pid").is_some_and(|pid| pid != old));
    let answers = || site.cluster.client(MAINSTAY.as_ref(), &["exec", "one", "--", "echo", "x"], "").status.success();
    eventually("the agent serves streams", LONG, answers);
    eventually("the pod is ready", LONG, || site.is_ready("one"));
    assert_eq!(site.life("one"), life, "the same container, not restarted");
}

/// What the pod is, and what its volumes hold, is noted on the node.
fn a_new_agent_restarts_a_container_without_any_master(site: &Site) {
    let (id, restarts) = site.life("one");
    let id = id.trim_start_matches("containerd://").to_owned();
    for number in 1..=3 {
        site.cluster.signal_master(&format!("master-{number}"), "STOP");
    }
    let old = site.kill_worker("pid");
    eventually("the agent is back", LONG, || site.pid("pid").is_some_and(|pid| pid != old));
    let tasks = |wanted: &str| {
        let list = site.ctr(&["tasks", "ls"]);
        let rows = list.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        rows.filter(|row| row.last().is_some_and(|status| status == wanted)).collect::<Vec<_>>()
    };
    let before = tasks("RUNNING");
    let task = before.iter().find(|task| task[0] == id).expect("the container runs");
    must("kill", &["-9", &task[1]]);
    let began = Instant::now();
    eventually("another container of the pod runs", LONG, || {
        let now = tasks("RUNNING");
        now.len() == before.len() && now.iter().all(|task| task[0] != id)
    });
    println!("the container was restarted without masters after {:?}", began.elapsed());
    for number in 1..=3 {
        site.cluster.signal_master(&format!("master-{number}"), "CONT");
    }
    eventually("the masters know of the restart", LONG, || site.life("one").1 == restarts + 1 && site.is_ready("one"));
}
