//! The npm client `@kubernetes/client-node` lists, writes and watches.

use std::path::PathBuf;

use crate::support::{TestCluster, beside};

#[test]
fn the_npm_client_lists_and_watches() {
    let modules = std::env::var_os("MAINSTAY_CLIENTS").map(|bin| PathBuf::from(bin).join("../node"));
    let Some(modules) = modules.filter(|folder| folder.join("node_modules/@kubernetes/client-node").exists()) else {
        println!("skipped: MAINSTAY_CLIENTS names no folder beside which the npm client is");
        return;
    };
    let cluster = TestCluster::up(2, &[]);
    let folder = format!("MAINSTAY_NODE_CLIENT={}", modules.display());
    let said = cluster.succeed("env".as_ref(), &[&folder, "node", &beside("tests/cluster/client.mjs")], "");
    assert_eq!(said.lines().last(), Some("seen: ADDED MODIFIED DELETED"), "{said}");
}
