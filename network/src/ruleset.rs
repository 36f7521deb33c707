//! Frontends as one nftables transaction (<https://kubernetes.io/docs/reference/networking/virtual-ips/>).
//!
//! One table of our own. Verdict maps lead from an address to the chain of a frontend, which picks the chain of a backend
//! at random; that chain translates the address. What leaves a node on behalf of somebody who could not be answered
//! directly is marked and masqueraded. A frontend without backends refuses.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::plan::{Backend, Frontend};

/// The table's name, of family `ip`.
pub const TABLE: &str = "mainstay";
/// The bit of the packet mark that asks for masquerading.
const MARK: &str = "0x4000";

/// Chains and sets that a ruleset made and the next one may have to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    chains: BTreeSet<String>,
    sets: BTreeSet<String>,
}

/// A transaction for `nft -f -`, and what it leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// The transaction.
    pub text: String,
    /// What is there afterwards.
    pub names: Names,
}

/// Replaces what was there (`None`: nothing known, so everything) by these frontends. Affinities of backends that stay are
/// kept. `pod_cidr` is the node's own: connections from elsewhere to cluster addresses are masqueraded.
#[must_use]
pub fn render(frontends: &[Frontend], pod_cidr: Option<&str>, before: Option<&Names>) -> Ruleset {
    let mut rules =
        Rules { names: Names::default(), body: String::new(), addresses: vec![], ports: vec![], refused: vec![] };
    for frontend in frontends {
        rules.frontend(frontend, pod_cidr);
    }
    let mut text = String::new();
    match before {
        None => line(&mut text, &format!("add table ip {TABLE}\ndelete table ip {TABLE}\nadd table ip {TABLE}")),
        Some(before) => clear(&mut text, before),
    }
    skeleton(&mut text);
    for set in rules.names.sets.difference(&before.cloned().unwrap_or_default().sets) {
        let seconds = affinity_seconds(frontends, set);
        let definition = format!("{{ type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; }}");
        line(&mut text, &format!("add set ip {TABLE} {set} {definition}"));
    }
    for chain in &rules.names.chains {
        line(&mut text, &format!("add chain ip {TABLE} {chain}"));
    }
    text.push_str(&rules.body);
    elements(&mut text, "service-ips", &rules.addresses);
    elements(&mut text, "node-ports", &rules.ports);
    elements(&mut text, "no-endpoints", &rules.refused);
    if let Some(before) = before {
        remove_stale(&mut text, before, &rules.names);
    }
    Ruleset { text, names: rules.names }
}

fn line(text: &mut String, rule: &str) {
    text.push_str(rule);
    text.push('\n');
}

fn clear(text: &mut String, before: &Names) {
    for map in ["service-ips", "node-ports", "no-endpoints"] {
        line(text, &format!("flush map ip {TABLE} {map}"));
    }
    for chain in &before.chains {
        line(text, &format!("flush chain ip {TABLE} {chain}"));
    }
}

fn remove_stale(text: &mut String, before: &Names, now: &Names) {
    for chain in before.chains.difference(&now.chains) {
        line(text, &format!("delete chain ip {TABLE} {chain}"));
    }
    for set in before.sets.difference(&now.sets) {
        line(text, &format!("delete set ip {TABLE} {set}"));
    }
}

/// Maps and base chains; adding them again changes nothing, so their rules are flushed first.
fn skeleton(text: &mut String) {
    let address = "{ type ipv4_addr . inet_proto . inet_service : verdict; }";
    let port = "{ type inet_proto . inet_service : verdict; }";
    for (map, kind) in [("service-ips", address), ("node-ports", port), ("no-endpoints", address)] {
        line(text, &format!("add map ip {TABLE} {map} {kind}"));
    }
    let chains = [
        ("masquerade-later", "", vec![format!("meta mark set meta mark or {MARK}")]),
        ("refuse", "", vec!["meta l4proto tcp reject with tcp reset".to_owned(), "reject".to_owned()]),
        (
            "services",
            "",
            vec![
                "ip daddr . meta l4proto . th dport vmap @service-ips".to_owned(),
                "fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports".to_owned(),
            ],
        ),
        ("nat-prerouting", "{ type nat hook prerouting priority dstnat; }", vec!["jump services".to_owned()]),
        ("nat-output", "{ type nat hook output priority -100; }", vec!["jump services".to_owned()]),
        (
            "nat-postrouting",
            "{ type nat hook postrouting priority srcnat; }",
            vec![
                format!("meta mark and {MARK} != {MARK} return"),
                format!("meta mark set meta mark xor {MARK}"),
                "masquerade fully-random".to_owned(),
            ],
        ),
    ];
    let filter = vec!["ct state new ip daddr . meta l4proto . th dport vmap @no-endpoints".to_owned()];
    let hooks = ["input", "forward", "output"].map(|hook| {
        (format!("filter-{hook}"), format!("{{ type filter hook {hook} priority -110; }}"), filter.clone())
    });
    let chains = chains.into_iter().map(|(name, hook, rules)| (name.to_owned(), hook.to_owned(), rules));
    let chains: Vec<_> = chains.chain(hooks).collect();
    for (name, hook, _) in &chains {
        line(text, &format!("add chain ip {TABLE} {name} {hook}"));
        line(text, &format!("flush chain ip {TABLE} {name}"));
    }
    for (name, _, rules) in &chains {
        for rule in rules {
            line(text, &format!("add rule ip {TABLE} {name} {rule}"));
        }
    }
}

fn elements(text: &mut String, map: &str, elements: &[String]) {
    if !elements.is_empty() {
        line(text, &format!("add element ip {TABLE} {map} {{ {} }}", elements.join(", ")));
    }
}

struct Rules {
    names: Names,
    body: String,
    addresses: Vec<String>,
    ports: Vec<String>,
    refused: Vec<String>,
}

impl Rules {
    fn frontend(&mut self, frontend: &Frontend, pod_cidr: Option<&str>) {
        let inside = format!("svc-{}", frontend.name);
        self.balance(&inside, frontend, &frontend.internal, pod_cidr.map(|cidr| format!("ip saddr != {cidr}")));
        let reached_inside = !frontend.internal.is_empty();
        for address in &frontend.cluster_ips {
            self.address(&address.to_string(), frontend, reached_inside.then_some(&inside));
        }
        if frontend.external_ips.is_empty() && frontend.node_port.is_none() {
            return;
        }
        let outside = self.outside(frontend, &inside);
        for address in &frontend.external_ips {
            self.address(&address.to_string(), frontend, outside.as_ref());
        }
        if let (Some(port), Some(chain)) = (frontend.node_port, &outside) {
            self.ports.push(format!("{} . {port} : goto {chain}", frontend.protocol.as_str()));
        }
    }

    fn address(&mut self, address: &str, frontend: &Frontend, chain: Option<&String>) {
        let place = format!("{address} . {} . {}", frontend.protocol.as_str(), frontend.port);
        match chain {
            Some(chain) => self.addresses.push(format!("{place} : goto {chain}")),
            None => self.refused.push(format!("{place} : goto refuse")),
        }
    }

    /// The chain for what comes from outside; `None` if nobody answers it.
    fn outside(&mut self, frontend: &Frontend, inside: &str) -> Option<String> {
        if frontend.external.is_empty() && (!frontend.external_local || frontend.internal.is_empty()) {
            return None;
        }
        let chain = format!("ext-{}", frontend.name);
        self.chain(&chain);
        if !frontend.external_local {
            self.rule(&chain, "jump masquerade-later");
            self.rule(&chain, &format!("goto {inside}"));
            return Some(chain);
        }
        // From the node itself every backend will do; from outside only its own, with the source address kept.
        if !frontend.internal.is_empty() {
            self.rule(&chain, "fib saddr type local jump masquerade-later");
            self.rule(&chain, &format!("fib saddr type local goto {inside}"));
        }
        if !frontend.external.is_empty() {
            let local = format!("loc-{}", frontend.name);
            self.balance(&local, frontend, &frontend.external, None);
            self.rule(&chain, &format!("goto {local}"));
        }
        Some(chain)
    }

    /// A chain that picks one of the backends.
    fn balance(&mut self, chain: &str, frontend: &Frontend, backends: &[Backend], masquerade_if: Option<String>) {
        if backends.is_empty() {
            return;
        }
        self.chain(chain);
        if let Some(condition) = masquerade_if {
            self.rule(chain, &format!("{condition} jump masquerade-later"));
        }
        let targets: Vec<String> = backends.iter().map(|backend| self.backend(frontend, backend)).collect();
        if frontend.affinity_seconds.is_some() {
            for (backend, target) in backends.iter().zip(&targets) {
                self.rule(chain, &format!("ip saddr @{} goto {target}", affinity_set(frontend, backend)));
            }
        }
        let choices: Vec<String> =
            targets.iter().enumerate().map(|(i, target)| format!("{i} : goto {target}")).collect();
        self.rule(chain, &format!("numgen random mod {} vmap {{ {} }}", targets.len(), choices.join(", ")));
    }

    fn backend(&mut self, frontend: &Frontend, backend: &Backend) -> String {
        let chain = format!("ep-{}-{}.{}", frontend.name, backend.address, backend.port);
        if !self.chain(&chain) {
            return chain;
        }
        // A pod that reaches itself through its service would not know its own answer.
        self.rule(&chain, &format!("ip saddr {} jump masquerade-later", backend.address));
        if frontend.affinity_seconds.is_some() {
            let set = affinity_set(frontend, backend);
            self.rule(&chain, &format!("update @{set} {{ ip saddr }}"));
            self.names.sets.insert(set);
        }
        let protocol = frontend.protocol.as_str();
        self.rule(&chain, &format!("meta l4proto {protocol} dnat to {}:{}", backend.address, backend.port));
        chain
    }

    fn chain(&mut self, name: &str) -> bool {
        self.names.chains.insert(name.to_owned())
    }

    fn rule(&mut self, chain: &str, rule: &str) {
        // Writing to a string cannot fail.
        if writeln!(self.body, "add rule ip {TABLE} {chain} {rule}").is_err() {
            tracing::error!("a rule was not written");
        }
    }
}

fn affinity_set(frontend: &Frontend, backend: &Backend) -> String {
    format!("aff-{}-{}.{}", frontend.name, backend.address, backend.port)
}

fn affinity_seconds(frontends: &[Frontend], set: &str) -> i32 {
    let owner = frontends.iter().find(|frontend| set.starts_with(&format!("aff-{}-", frontend.name)));
    owner.and_then(|frontend| frontend.affinity_seconds).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Protocol;

    fn frontend(backends: &[&str]) -> Frontend {
        let backends: Vec<_> =
            backends.iter().map(|address| Backend { address: address.parse().unwrap(), port: 8080 }).collect();
        Frontend {
            name: "d/web/tcp/http".into(),
            protocol: Protocol::Tcp,
            port: 80,
            cluster_ips: vec!["10.96.0.9".parse().unwrap()],
            external_ips: vec![],
            node_port: Some(30080),
            internal: backends.clone(),
            external: backends,
            external_local: false,
            affinity_seconds: None,
        }
    }

    #[test]
    fn addresses_lead_to_backends() {
        let text = render(&[frontend(&["10.1.0.2", "10.1.0.3"])], Some("10.1.0.0/24"), None).text;
        for rule in [
            "service-ips { 10.96.0.9 . tcp . 80 : goto svc-d/web/tcp/http }",
            "node-ports { tcp . 30080 : goto ext-d/web/tcp/http }",
            "svc-d/web/tcp/http ip saddr != 10.1.0.0/24 jump masquerade-later",
            "numgen random mod 2 vmap",
            "meta l4proto tcp dnat to 10.1.0.3:8080",
        ] {
            assert!(text.contains(rule), "{rule} is not in\n{text}");
        }
    }

    #[test]
    fn without_backends_connections_are_refused() {
        let text = render(&[frontend(&[])], None, None).text;
        assert!(text.contains("no-endpoints { 10.96.0.9 . tcp . 80 : goto refuse }"), "{text}");
        assert!(!text.contains("dnat"));
    }

    #[test]
    fn what_is_gone_is_removed_and_affinity_of_the_rest_is_kept() {
        let sticky = |backends: &[&str]| Frontend { affinity_seconds: Some(60), ..frontend(backends) };
        let first = render(&[sticky(&["10.1.0.2", "10.1.0.3"])], None, None);
        assert!(first.text.contains("timeout 60s"));
        let second = render(&[sticky(&["10.1.0.3"])], None, Some(&first.names));
        assert!(second.text.contains("delete chain ip mainstay ep-d/web/tcp/http-10.1.0.2.8080"));
        assert!(second.text.contains("delete set ip mainstay aff-d/web/tcp/http-10.1.0.2.8080"));
        assert!(!second.text.contains("add set"), "{}", second.text);
    }
}
