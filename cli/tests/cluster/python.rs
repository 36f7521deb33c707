//! Programs in Python: the client `kubernetes`, and one that is generated from our .proto.

use std::path::PathBuf;

use crate::support::{TestCluster, beside};

/// Python with the packages that `.ci/tools` installs.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("MAINSTAY_CLIENTS").map(|bin| PathBuf::from(bin).join("../venv/bin/python"));
    if python.is_none() {
        println!("skipped: MAINSTAY_CLIENTS names no folder with the clients");
    }
    python
}

#[test]
fn the_python_client_lists_and_watches() {
    let Some(python) = python() else { return };
    let cluster = TestCluster::up(2, &[]);
    let said = cluster.succeed(python.as_os_str(), &[&beside("tests/cluster/client.py")], "");
    assert_eq!(said.lines().last(), Some("seen: ADDED MODIFIED DELETED"), "{said}");
}

#[test]
fn a_generated_grpc_client_writes_reads_and_watches() {
    let Some(python) = python() else { return };
    let cluster = TestCluster::up(0, &[]);
    let (script, proto) = (beside("tests/cluster/grpc_client.py"), beside("../proto/proto/objects.proto"));
    let said = cluster.succeed(python.as_os_str(), &[&script, &proto], "");
    assert_eq!(said.lines().last(), Some("seen: MODIFIED a, DELETED b"), "{said}");
}
