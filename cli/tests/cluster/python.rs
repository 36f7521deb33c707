//! The Python client `kubernetes` lists and watches.

use std::path::PathBuf;

use crate::support::TestCluster;

#[test]
fn the_python_client_lists_and_watches() {
    let python = std::env::var_os("MAINSTAY_CLIENTS").map(|bin| PathBuf::from(bin).join("../venv/bin/python"));
    let Some(python) = python else {
        println!("skipped: MAINSTAY_CLIENTS names no folder with the clients");
        return;
    };
    let cluster = TestCluster::up(2, &[]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/client.py");
    let said = cluster.succeed(python.as_os_str(), &[script], "");
    assert_eq!(said.lines().last(), Some("seen: ADDED MODIFIED DELETED"), "{said}");
}
