//! Faults of the network between machines, each machine (a master or a worker of `mainstay up --isolate`) in a namespace
//! of its own.
//!
//! Cutting, losing and resetting are nftables rules in the namespace of the machine that is hit: packets are really lost,
//! on connections that are there already too, in either direction on its own, and for pods as well as for agents. A
//! relay at addresses of its own would do none of that: it cannot tell who connects, and only ends connections. This
//! kernel has neither netem nor a queue for packets, so delay alone is a relay's work: the rules redirect new connections
//! to `mainstay-chaos relay` in the same namespace and reset those that are there.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;

use super::active::Active;
use super::dice::Dice;
use super::peers::{Peers, Way};
use super::process;
use super::target::Target;
use crate::cluster::Cluster;
use crate::machine::{Machine, machines};
use crate::process::Known;
use crate::relay;
use crate::tool::run;
use crate::undo::{Guard, Journal, TABLE, Undo};

/// What is done to the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Harm {
    /// None arrives.
    Cut(Way),
    /// So many of a hundred do not.
    Lose(u8),
    /// Connections are reset.
    Reset,
    /// They arrive so much later.
    Delay(Duration),
}

/// What is to be done to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub harm: Harm,
    pub target: Target,
    pub from: Peers,
}

/// A fault of the network in force.
pub(super) struct Broken {
    what: String,
    node: Option<String>,
    guards: Vec<Guard>,
    /// The relays, to be reaped.
    relays: Vec<std::process::Child>,
}

pub(super) async fn start(order: Order, cluster: &Cluster, journal: &Arc<Journal>, dice: &mut Dice) -> Result<Broken> {
    let all = machines(&cluster.file()?);
    let victims = process::victims(order.target, cluster, dice).await?;
    let (hit, others): (Vec<&Machine>, Vec<&Machine>) =
        all.iter().partition(|machine| victims.iter().any(|victim| victim.machine == machine.name));
    let others: Vec<&Machine> = others.into_iter().filter(|machine| order.from.holds(machine)).collect();
    anyhow::ensure!(!hit.is_empty() && !others.is_empty(), "nobody is left to be cut off from");
    let names: Vec<&str> = hit.iter().map(|machine| machine.name.as_str()).collect();
    let what = format!("{} {} from {}", order.harm, names.join(", "), order.from);
    let node = hit.iter().find(|machine| machine.is_worker).map(|machine| machine.name.clone());
    let mut broken = Broken { what, node, guards: Vec::new(), relays: Vec::new() };
    for machine in hit {
        broken.hit(machine, &others, order.harm, journal)?;
    }
    Ok(broken)
}

impl Peers {
    fn holds(self, machine: &Machine) -> bool {
        match self {
            Peers::Masters => !machine.is_worker,
            Peers::Workers => machine.is_worker,
            Peers::Machines => true,
        }
    }
}

impl Broken {
    fn hit(&mut self, machine: &Machine, others: &[&Machine], harm: Harm, journal: &Arc<Journal>) -> Result<()> {
        let netns = machine.netns()?;
        let mut peers = Vec::new();
        for other in others {
            peers.push(other.address()?);
        }
        peers.extend(routes_over(netns, &peers)?);
        let port = match harm {
            Harm::Delay(delay) => Some(self.relay(netns, delay, journal)?),
            _ => None,
        };
        self.guards.push(journal.before(Undo::Rules { netns: netns.to_owned() })?);
        let rules = rules(harm, &peers.join(", "), port);
        run(in_netns(netns, "nft").arg(rules)).with_context(|| format!("breaking the network of {}", machine.name))
    }

    fn relay(&mut self, netns: &str, delay: Duration, journal: &Arc<Journal>) -> Result<u16> {
        // Hardly taken in a namespace of its own when it is free here.
        let listener = TcpListener::bind("127.0.0.1:0").context("finding a port for the relay")?;
        let port = listener.local_addr().context("a listener without address")?.port();
        drop(listener);
        let own = std::env::current_exe().context("finding this executable")?;
        let mut command = in_netns(netns, own.to_str().context("a path that is no text")?);
        command.args(["relay", "--port", &port.to_string(), "--delay-ms", &delay.as_millis().to_string()]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("starting a relay")?;
        let pid = i32::try_from(child.id()).context("a process id out of range")?;
        self.relays.push(child);
        let process = Known::of(pid).context("the relay ended at once")?;
        self.guards.push(journal.before(Undo::End { process })?);
        listening(netns, port)?;
        Ok(port)
    }

    fn put_right(&mut self) -> Result<()> {
        // The rules first: without the relay they would lead to nothing.
        for guard in self.guards.iter_mut().rev() {
            guard.undo()?;
        }
        for mut child in self.relays.drain(..) {
            child.wait().context("reaping a relay")?;
        }
        Ok(())
    }
}

/// Waits until a relay takes connections.
fn listening(netns: &str, port: u16) -> Result<()> {
    for _ in 0..250 {
        let output = in_netns(netns, "ss").args(["-Hltn", &format!("sport = :{port}")]).output();
        if !output.context("running ss")?.stdout.is_empty() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the relay in {netns} does not listen")
}

/// The pods' networks to which the ways lead over these machines.
fn routes_over(netns: &str, peers: &[String]) -> Result<Vec<String>> {
    let output = in_netns(netns, "ip").args(["-4", "route"]).output().context("running ip")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(routes(&text, peers))
}

fn routes(table: &str, peers: &[String]) -> Vec<String> {
    let lines = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let over = lines.filter(|words| words.len() > 2 && words[1] == "via" && peers.iter().any(|peer| peer == words[2]));
    over.filter(|words| words[0] != "default").map(|words| words[0].to_owned()).collect()
}

fn in_netns(netns: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{netns}")).arg(program);
    command
}

/// What nft is told.
fn rules(harm: Harm, peers: &str, port: Option<u16>) -> String {
    let from = format!("ip saddr {{ {peers} }}");
    let to = format!("ip daddr {{ {peers} }}");
    let both = |verdict: &str| (vec![format!("{from} {verdict}")], vec![format!("{to} {verdict}")]);
    let (inward, outward) = match harm {
        Harm::Cut(Way::Both) => both("drop"),
        Harm::Cut(Way::In) => (vec![format!("{from} drop")], Vec::new()),
        Harm::Cut(Way::Out) => (Vec::new(), vec![format!("{to} drop")]),
        Harm::Lose(percent) => both(&format!("numgen random mod 100 < {percent} drop")),
        Harm::Reset => both("meta l4proto tcp reject with tcp reset"),
        Harm::Delay(_) => return delay_rules(&from, &to, port.unwrap_or(0)),
    };
    let chain = |name: &str, hook: &str, rules: &[String]| {
        format!("chain {name} {{ type filter hook {hook} priority -300; {}; }}\n", rules.join("; "))
    };
    let through = [inward.clone(), outward.clone()].concat();
    let chains = [("in", "input", inward), ("out", "output", outward), ("through", "forward", through)];
    let chains = chains.iter().filter(|(_, _, rules)| !rules.is_empty());
    let body: String = chains.map(|(name, hook, rules)| chain(name, hook, rules)).collect();
    format!("table inet {TABLE} {{\n{body}}}")
}

/// New connections go through the relay, old ones are reset; the relay's own, which are marked, pass.
fn delay_rules(from: &str, to: &str, port: u16) -> String {
    let mark = relay::MARK;
    let redirect = format!("meta l4proto tcp redirect to :{port}");
    let reset = "meta l4proto tcp ct status & dnat == 0 reject with tcp reset";
    format!(
        "table inet {TABLE} {{\n\
         chain away {{ type nat hook output priority -110; meta mark != {mark} {to} {redirect}; }}\n\
         chain here {{ type nat hook prerouting priority -110; {from} {redirect}; }}\n\
         chain own {{ type filter hook output priority -150; meta mark {mark} ct mark set {mark}; }}\n\
         chain out {{ type filter hook output priority 10; meta mark != {mark} ct mark != {mark} {to} {reset}; }}\n\
         chain in {{ type filter hook input priority 10; ct mark != {mark} {from} {reset}; }}\n}}"
    )
}

#[async_trait]
impl Active for Broken {
    fn what(&self) -> String {
        self.what.clone()
    }

    fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    async fn undo(&mut self, _cluster: &Cluster) -> Result<()> {
        self.put_right()
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        if let Err(error) = self.put_right() {
            tracing::error!(error = format!("{error:#}"), "the network is not as it was; try: mainstay chaos undo");
        }
    }
}

impl std::fmt::Display for Harm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Harm::Cut(Way::Both) => f.write_str("cut"),
            Harm::Cut(Way::In) => f.write_str("cut the way in of"),
            Harm::Cut(Way::Out) => f.write_str("cut the way out of"),
            Harm::Lose(percent) => write!(f, "lose {percent}% of"),
            Harm::Reset => f.write_str("reset"),
            Harm::Delay(delay) => write!(f, "delay by {} ms", delay.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_way_cut_leaves_the_other_way_open() {
        let text = rules(Harm::Cut(Way::In), "10.0.0.1", None);
        assert!(text.contains("chain in ") && !text.contains("chain out "), "{text}");
        assert!(text.contains("ip saddr { 10.0.0.1 } drop") && !text.contains("daddr"), "{text}");
        let text = rules(Harm::Cut(Way::Out), "10.0.0.1", None);
        assert!(!text.contains("chain in ") && text.contains("ip daddr { 10.0.0.1 } drop"), "{text}");
    }

    #[test]
    fn pods_of_machines_that_are_cut_off_are_cut_off_too() {
        let table = "default via 10.89.1.1 dev eth0\n10.101.2.0/24 via 10.89.1.12 dev eth0\n10.89.1.0/24 dev eth0 scope link\n\
                     10.101.3.0/24 via 10.89.1.13 dev eth0";
        assert_eq!(routes(table, &["10.89.1.12".to_owned(), "10.89.1.1".to_owned()]), ["10.101.2.0/24"]);
    }
}
