//! What is wrong is said in one line, and nothing is lost.

use std::process::Command;

use crate::support::{MAINSTAY, TestCluster, run, text};

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
}
