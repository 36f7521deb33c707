//! A containerd of one test's own, in a temporary directory, with one image of a static busybox.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use mainstay_nodeagent::runtime::{CriRuntime, Runtime};
use tokio::process::{Child, Command};

/// The only image.
pub const IMAGE: &str = "localhost/busybox:1";

pub struct Node {
    dir: tempfile::TempDir,
    child: Child,
}

impl Node {
    /// None, with a word why, where containerd cannot run.
    pub async fn start() -> Option<Node> {
        let root = nix::unistd::Uid::effective().is_root();
        if !root || !Path::new("/usr/bin/containerd").exists() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root, containerd and busybox-static");
            return None;
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("config.toml"), config(dir.path())).expect("a writable directory");
        let child = spawn(dir.path());
        let node = Node { dir, child };
        node.answers().await;
        Some(node)
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.path("c.sock"))
    }

    /// Of this node only.
    pub fn cgroup(&self) -> String {
        format!(
            "/mainstay-test-{}",
            self.dir.path().file_name().expect("a temporary directory has a name").to_string_lossy().replace('.', "")
        )
    }

    async fn answers(&self) {
        let began = Instant::now();
        let runtime = CriRuntime::connect(&self.endpoint());
        while let Err(error) = runtime.info().await {
            assert!(began.elapsed() < Duration::from_secs(30), "containerd does not answer: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes the image and gives it to containerd.
    pub async fn import(&self, runtime: &CriRuntime) {
        let tar = image(self.dir.path()).await;
        run("ctr", &["-a", &self.path("c.sock"), "-n", "k8s.io", "images", "import", &tar.to_string_lossy()]).await;
        let began = Instant::now();
        while runtime.image(IMAGE).await.expect("an answer").is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "the image does not appear");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.expect("containerd was running");
    }

    pub async fn revive(&mut self) {
        self.child = spawn(self.dir.path());
        self.answers().await;
    }

    pub async fn stop(mut self) {
        self.kill().await;
        for controller in std::fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
            remove_cgroup(&controller.path().join(self.cgroup().trim_start_matches('/')));
        }
    }
}

fn remove_cgroup(path: &Path) {
    for child in std::fs::read_dir(path).into_iter().flatten().flatten().filter(|e| e.path().is_dir()) {
        remove_cgroup(&child.path());
    }
    if path.exists() {
        std::fs::remove_dir(path).expect("an empty cgroup can be removed");
    }
}

fn spawn(dir: &Path) -> Child {
    let log = std::fs::File::create(dir.join("containerd.log")).expect("a writable directory");
    let mut command = Command::new("containerd");
    command.arg("-c").arg(dir.join("config.toml")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.kill_on_drop(true).spawn().expect("containerd can be started")
}

fn config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        r#"version = 2
root = "{dir}/root"
state = "{dir}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{dir}/c.sock"
[ttrpc]
  address = "{dir}/c.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{dir}/runc"
      SystemdCgroup = false
"#
    )
}

async fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().await.expect("the program is installed");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An image archive as `docker save` writes it: a layer with busybox and its names, which sleeps when run.
async fn image(dir: &Path) -> PathBuf {
    let root = dir.join("image");
    let bin = root.join("layer/bin");
    std::fs::create_dir_all(&bin).expect("a writable directory");
    std::fs::copy("/bin/busybox", bin.join("busybox")).expect("busybox can be copied");
    for name in ["sh", "sleep", "echo"] {
        std::os::unix::fs::symlink("busybox", bin.join(name)).expect("a writable directory");
    }
    let path = |name: &str| root.join(name).to_string_lossy().into_owned();
    run("tar", &["-C", &path("layer"), "-cf", &path("layer.tar"), "."]).await;
    let sum = Command::new("sha256sum").arg(path("layer.tar")).output().await.expect("sha256sum is installed");
    let sum = String::from_utf8_lossy(&sum.stdout).split_whitespace().next().expect("a sum").to_owned();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "config": {"Entrypoint": ["/bin/sleep", "1000000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    std::fs::write(root.join("config.json"), config.to_string()).expect("a writable directory");
    std::fs::write(root.join("manifest.json"), manifest.to_string()).expect("a writable directory");
    run("tar", &["-C", &path(""), "-cf", &path("image.tar"), "manifest.json", "config.json", "layer.tar"]).await;
    root.join("image.tar")
}
