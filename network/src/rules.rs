//! The node's service rules as the text of one `nft -f -` load: a table of our own, replaced whole.
//!
//! A verdict map from address, protocol and port leads to a chain per service port, which picks an endpoint. Connections
//! that must not keep their source (from outside to another node's pod, or from a pod to itself) get a mark and are masqueraded.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::{Port, Target};

/// The table that is ours; nothing else is touched.
pub const TABLE: &str = "mainstay";
/// Marks connections whose source is to be replaced by the node's address.
const MARK: &str = "0x4d00";

/// The text that replaces whatever rules there were.
pub fn ruleset(ports: &[Port], pod_cidrs: &[String]) -> String {
    let mut text = format!("table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n");
    let mut maps = Maps::default();
    let mut chains = String::new();
    for (number, port) in ports.iter().enumerate() {
        service(number, port, pod_cidrs, &mut maps, &mut chains);
    }
    maps.write(&mut text);
    text += &chains;
    text += &base(pod_cidrs);
    text += "}\n";
    text
}

/// The text that removes everything of ours.
pub fn removal() -> String {
    format!("table ip {TABLE}\ndelete table ip {TABLE}\n")
}

#[derive(Default)]
struct Maps {
    services: Vec<String>,
    node_ports: Vec<String>,
    rejected: Vec<String>,
    rejected_node_ports: Vec<String>,
}

impl Maps {
    fn write(&self, text: &mut String) {
        map(text, "map services", "type ipv4_addr . inet_proto . inet_service : verdict", &self.services);
        map(text, "map nodeports", "type inet_proto . inet_service : verdict", &self.node_ports);
        map(text, "set rejected", "type ipv4_addr . inet_proto . inet_service", &self.rejected);
        map(text, "set rejected-nodeports", "type inet_proto . inet_service", &self.rejected_node_ports);
    }
}

fn map(text: &mut String, name: &str, kind: &str, elements: &[String]) {
    put(text, format_args!("  {name} {{\n    {kind}\n"));
    if !elements.is_empty() {
        put(text, format_args!("    elements = {{\n      {}\n    }}\n", elements.join(",\n      ")));
    }
    text.push_str("  }\n");
}

fn put(text: &mut String, line: std::fmt::Arguments) {
    text.write_fmt(line).expect("writing to a string cannot fail");
}

fn service(number: usize, port: &Port, pod_cidrs: &[String], maps: &mut Maps, chains: &mut String) {
    let (protocol, own) = (port.protocol, port.port);
    let address = format!("{} . {protocol} . {own}", port.cluster_ip);
    if port.internal.is_empty() {
        maps.rejected.push(address);
    } else {
        maps.services.push(format!("{address} : goto svc-{number}"));
        // What does not come from a pod (the node itself, or from outside) must come back through this node.
        let mark = not_from_pods(pod_cidrs);
        chain(chains, &format!("svc-{number}"), port, &port.internal, mark.as_deref());
    }
    let outside = port.external_ips.iter().map(|ip| format!("{ip} . {protocol} . {own}"));
    let node_port = port.node_port.map(|n| format!("{protocol} . {n}"));
    if port.external.is_empty() {
        maps.rejected.extend(outside);
        maps.rejected_node_ports.extend(node_port);
        return;
    }
    if node_port.is_none() && port.external_ips.is_empty() {
        return;
    }
    maps.services.extend(outside.map(|a| format!("{a} : goto ext-{number}")));
    maps.node_ports.extend(node_port.map(|n| format!("{n} : goto ext-{number}")));
    let mark = (!port.external_local).then(|| format!("meta mark set meta mark or {MARK}"));
    chain(chains, &format!("ext-{number}"), port, &port.external, mark.as_deref());
}

fn not_from_pods(pod_cidrs: &[String]) -> Option<String> {
    let mark = format!("meta mark set meta mark or {MARK}");
    match pod_cidrs {
        [] => Some(mark),
        cidrs => Some(format!("ip saddr != {{ {} }} {mark}", cidrs.join(", "))),
    }
}

/// A chain that sends a connection to one of the targets; affinity first.
fn chain(chains: &mut String, name: &str, port: &Port, targets: &BTreeSet<Target>, mark: Option<&str>) {
    let protocol = port.protocol;
    for (position, (ip, number)) in targets.iter().enumerate() {
        if let Some(seconds) = port.affinity {
            put(
                chains,
                format_args!(
                    "  set {name}-aff-{position} {{\n    type ipv4_addr\n    flags dynamic,timeout\n    timeout {seconds}s\n  }}\n"
                ),
            );
        }
        put(chains, format_args!("  chain {name}-ep-{position} {{\n"));
        put(chains, format_args!("    ip saddr {ip} meta mark set meta mark or {MARK}\n"));
        if port.affinity.is_some() {
            put(chains, format_args!("    update @{name}-aff-{position} {{ ip saddr }}\n"));
        }
        put(chains, format_args!("    meta l4proto {protocol} dnat to {ip}:{number}\n  }}\n"));
    }
    put(chains, format_args!("  chain {name} {{\n    comment \"{}\"\n", port.title));
    if let Some(mark) = mark {
        put(chains, format_args!("    {mark}\n"));
    }
    if port.affinity.is_some() {
        for position in 0..targets.len() {
            put(chains, format_args!("    ip saddr @{name}-aff-{position} goto {name}-ep-{position}\n"));
        }
    }
    let arms: Vec<_> = (0..targets.len()).map(|p| format!("{p} : goto {name}-ep-{p}")).collect();
    put(chains, format_args!("    numgen random mod {} vmap {{ {} }}\n  }}\n", targets.len(), arms.join(", ")));
}

fn base(pod_cidrs: &[String]) -> String {
    let dispatch = "    ip daddr . meta l4proto . th dport vmap @services\n    \
        fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @nodeports\n";
    let reject = "    ct state new ip daddr . meta l4proto . th dport @rejected reject\n    \
        ct state new fib daddr type local meta l4proto . th dport @rejected-nodeports reject\n";
    let mut text = String::new();
    for (name, hook, body) in [
        ("nat-pre", "type nat hook prerouting priority dstnat; policy accept;", dispatch),
        ("nat-out", "type nat hook output priority -100; policy accept;", dispatch),
        ("filter-in", "type filter hook input priority -1; policy accept;", reject),
        ("filter-forward", "type filter hook forward priority -1; policy accept;", reject),
        ("filter-out", "type filter hook output priority -1; policy accept;", reject),
    ] {
        put(&mut text, format_args!("  chain {name} {{\n    {hook}\n{body}  }}\n"));
    }
    put(
        &mut text,
        format_args!("  chain nat-post {{\n    type nat hook postrouting priority srcnat; policy accept;\n"),
    );
    put(&mut text, format_args!("    meta mark and {MARK} == {MARK} masquerade fully-random\n"));
    if !pod_cidrs.is_empty() {
        // Pods reach what is outside the cluster under their node's address.
        let all = pod_cidrs.join(", ");
        put(
            &mut text,
            format_args!(
                "    ip saddr {{ {all} }} ip daddr != {{ {all} }} fib daddr type != local oifname != \"cni*\" masquerade fully-random\n"
            ),
        );
    }
    text + "  }\n"
}
