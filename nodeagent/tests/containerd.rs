//! The pod's life on a real containerd of the test's own. Skipped, with a word, where there is no root or no containerd.

mod node;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mainstay_nodeagent::runtime::{
    CriRuntime, LABEL_CONTAINER_NAME, LABEL_POD_NAME, LABEL_POD_NAMESPACE, LABEL_POD_UID, PodRuntime, Runtime, State,
};
use mainstay_proto::cri as wire;
use node::Node;

const UID: &str = "11111111-2222-3333-4444-555555555555";

fn labels(container: Option<&str>) -> HashMap<String, String> {
    let mut all: HashMap<_, _> = [(LABEL_POD_NAME, "p"), (LABEL_POD_NAMESPACE, "d"), (LABEL_POD_UID, UID)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    all.extend(container.map(|name| (LABEL_CONTAINER_NAME.to_owned(), name.to_owned())));
    all
}

/// In the host's network, so that the test needs no CNI.
fn sandbox(node: &Node) -> wire::PodSandboxConfig {
    let namespaces = wire::NamespaceOption {
        network: wire::NamespaceMode::Node.into(),
        pid: wire::NamespaceMode::Container.into(),
        ..Default::default()
    };
    wire::PodSandboxConfig {
        metadata: Some(wire::PodSandboxMetadata {
            name: "p".into(),
            uid: UID.into(),
            namespace: "d".into(),
            attempt: 0,
        }),
        log_directory: node.path("logs"),
        labels: labels(None),
        linux: Some(wire::LinuxPodSandboxConfig {
            cgroup_parent: format!("{}/podtest", node.cgroup()),
            security_context: Some(wire::LinuxSandboxSecurityContext {
                namespace_options: Some(namespaces),
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn container(name: &str, command: &[&str]) -> wire::ContainerConfig {
    let namespaces = wire::NamespaceOption {
        network: wire::NamespaceMode::Node.into(),
        pid: wire::NamespaceMode::Container.into(),
        ..Default::default()
    };
    wire::ContainerConfig {
        metadata: Some(wire::ContainerMetadata { name: name.into(), attempt: 0 }),
        image: Some(wire::ImageSpec { image: node::IMAGE.into(), ..Default::default() }),
        command: command.iter().map(|c| (*c).to_owned()).collect(),
        labels: labels(Some(name)),
        log_path: format!("{name}.log"),
        linux: Some(wire::LinuxContainerConfig {
            resources: Some(wire::LinuxContainerResources { memory_limit_in_bytes: 64 << 20, ..Default::default() }),
            security_context: Some(wire::LinuxContainerSecurityContext {
                namespace_options: Some(namespaces),
                ..Default::default()
            }),
        }),
        ..Default::default()
    }
}

async fn until(runtime: &CriRuntime, limit: Duration, holds: impl Fn(&PodRuntime) -> bool) -> PodRuntime {
    let began = Instant::now();
    loop {
        let seen = runtime.pod(UID).await;
        match seen {
            Ok(pod) if holds(&pod) => return pod,
            other => assert!(began.elapsed() < limit, "not within {limit:?}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn state_of(pod: &PodRuntime, name: &str) -> Option<State> {
    pod.latest(name).map(|c| c.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_lives_through_a_crash_of_containerd() {
    let Some(mut node) = Node::start().await else { return };
    let runtime = CriRuntime::connect(&node.endpoint());
    node.import(&runtime).await;
    let config = sandbox(&node);
    let id = runtime.create_sandbox(config.clone()).await.unwrap();
    let run = async |name: &str, command: &[&str]| {
        let made = runtime.create_container(&id, container(name, command), config.clone()).await.unwrap();
        runtime.start_container(&made).await.unwrap();
        made
    };
    let short = run("short", &["/bin/sh", "-c", "echo hello; exit 3"]).await;
    let long = run("long", &["/bin/sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]).await;

    let pod = until(&runtime, Duration::from_secs(5), |p| state_of(p, "short") == Some(State::Exited)).await;
    let ended = pod.latest("short").unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_str(), ended.id.as_str()), (3, "Error", short.as_str()));
    assert!(std::fs::read_to_string(node.path("logs/short.log")).unwrap().contains("stdout F hello"));
    let answer = runtime.exec_sync(&long, &["/bin/echo".into(), "in".into()], Duration::from_secs(5)).await.unwrap();
    assert_eq!((answer.exit_code, &answer.output[..]), (0, &b"in\n"[..]));

    node.kill().await;
    assert!(runtime.pod(UID).await.is_err(), "a runtime that is down must not look like an empty one");
    node.revive().await;
    let pod = until(&runtime, Duration::from_secs(20), |p| state_of(p, "long") == Some(State::Running)).await;
    assert_eq!(pod.latest("long").unwrap().id, long, "the container lived on");

    runtime.stop_container(&long, Duration::from_secs(5)).await.unwrap();
    let pod = until(&runtime, Duration::from_secs(5), |p| state_of(p, "long") == Some(State::Exited)).await;
    assert_eq!(pod.latest("long").unwrap().exit_code, 0, "it had time to end by itself");
    runtime.stop_sandbox(&id).await.unwrap();
    runtime.remove_sandbox(&id).await.unwrap();
    assert_eq!(runtime.pod(UID).await.unwrap(), PodRuntime::default());
    node.stop().await;
}
