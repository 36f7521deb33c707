//! Cluster addresses and node ports. What is free is read from the cache; that nobody else takes it at the same time is
//! the store's guard on a marker object: an IPAddress for each address, a row of `nodeports` for each port. Ports of one
//! service may share a number over different protocols, those of different services may not.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use mainstay_api::field::Error;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use rand::Rng as _;
use serde_json::{Value, json};

use super::{has_cluster_ip, has_health_check, has_node_ports, is_headless, rehearsal};
use crate::strategy::base;
use crate::strategy::validate::{At, Errors};
use crate::strategy::{Context, SideWrite};

/// The addresses of services, and the one that a dry run shows.
const NETWORK: (&str, &str) = ("10.96.0.0/16", "10.96.0.0");
/// First and last address that services get: the network without its ends.
const FIRST_IP: u32 = u32::from_be_bytes([10, 96, 0, 1]);
const LAST_IP: u32 = u32::from_be_bytes([10, 96, 255, 254]);
/// Addresses below this are left to those who ask for one.
const DYNAMIC_IP: u32 = FIRST_IP + 256;
/// First and last node port.
const FIRST_PORT: i64 = 30_000;
const LAST_PORT: i64 = 32_767;
/// Ports below this are left to those who ask for one.
const DYNAMIC_PORT: i64 = FIRST_PORT + 86;
const TRIES: usize = 64;
const NOT_IN_RANGE: &str = "provided port is not in the valid range. The range of valid ports is 30000-32767";
/// Why a port that was asked for cannot be had.
pub(super) const TAKEN: &str = "provided port is already allocated";

/// 422 with these errors, if there are any.
pub(crate) fn refuse(obj: &Value, errors: Errors) -> ApiResult<()> {
    if errors.0.is_empty() { Ok(()) } else { Err(Status::invalid("", "Service", meta::name(obj), errors.0)) }
}

/// Gives the service what it needs and says what goes with it into the transaction.
pub(crate) fn allocate(cx: &Context<'_>, obj: &mut Value, old: Option<&Value>) -> ApiResult<Vec<SideWrite>> {
    let mut writes = Vec::new();
    addresses(cx, obj, old, &mut writes)?;
    ports(cx, obj, old, &mut writes)?;
    if let Some(old) = old {
        writes.extend(release(old, Some(obj)));
    }
    Ok(writes)
}

/// Frees what `obj` has and `keep` has not.
pub(crate) fn release(obj: &Value, keep: Option<&Value>) -> Vec<SideWrite> {
    let kept_ips: HashSet<String> = keep.map(ips).unwrap_or_default();
    let kept_ports: HashSet<i64> = keep.map(|keep| numbers(&node_ports(keep))).unwrap_or_default();
    let delete = |group, resource, name| SideWrite::Delete { group, resource, namespace: String::new(), name };
    let ips = ips(obj)
        .into_iter()
        .filter(|ip| !kept_ips.contains(ip))
        .map(|ip| delete("networking.k8s.io", "ipaddresses", ip));
    let ports = numbers(&node_ports(obj)).into_iter().filter(|port| !kept_ports.contains(port));
    ips.chain(ports.map(|port| delete(PORTS.0, PORTS.1, port.to_string()))).collect()
}

/// Where node ports are marked; no resource of the API shows them.
const PORTS: (&str, &str) = ("mainstay.internal", "nodeports");

fn numbers(ports: &HashSet<(String, i64)>) -> HashSet<i64> {
    ports.iter().map(|(_, number)| *number).collect()
}

fn ips(obj: &Value) -> HashSet<String> {
    At::spec(obj).get("clusterIPs").strings().filter(|ip| !matches!(*ip, "None" | "")).map(str::to_owned).collect()
}

fn node_ports(obj: &Value) -> HashSet<(String, i64)> {
    let spec = At::spec(obj);
    let ports = spec.get("ports");
    let mut all: HashSet<(String, i64)> =
        ports.items().map(|at| (at.get("protocol").str().to_owned(), at.get("nodePort").int())).collect();
    all.insert(("TCP".to_owned(), spec.get("healthCheckNodePort").int()));
    all.retain(|(_, port)| *port != 0);
    all
}

fn addresses(cx: &Context<'_>, obj: &mut Value, old: Option<&Value>, writes: &mut Vec<SideWrite>) -> ApiResult<()> {
    // Who has an address keeps it; whoever asks for another is refused by the rules.
    if !has_cluster_ip(obj) || is_headless(obj) || old.is_some_and(has_cluster_ip) {
        return Ok(());
    }
    let asked: Vec<String> = At::spec(obj).get("clusterIPs").strings().map(str::to_owned).collect();
    for ip in &asked {
        explicit(cx, obj, ip)?;
        writes.push(ip_address(cx, ip));
    }
    if asked.is_empty() {
        let found = if cx.dry_run { Some(NETWORK.1.to_owned()) } else { free_ip(cx) };
        let ip = found.ok_or_else(|| Status::internal("failed to allocate a serviceIP: range is full"))?;
        base::set(obj, "/spec/clusterIPs", json!([ip]));
        base::set(obj, "/spec/clusterIP", ip.clone().into());
        writes.push(ip_address(cx, &ip));
    } else {
        base::set(obj, "/spec/clusterIP", asked[0].clone().into());
    }
    Ok(())
}

fn explicit(cx: &Context<'_>, obj: &Value, ip: &str) -> ApiResult<()> {
    let list = At::spec(obj).get("clusterIPs");
    let within = ip.parse::<Ipv4Addr>().is_ok_and(|ip| (FIRST_IP..=LAST_IP).contains(&u32::from(ip)));
    // A dry run asks the one range there is, and nobody whether the address is free.
    let outside = format!("the provided IP ({ip}) is not in the valid range. The range of valid IPs is {}", NETWORK.0);
    let why = if within && cx.dry_run {
        return Ok(());
    } else if cx.dry_run {
        outside.as_str()
    } else if !within {
        "the provided network does not match the current range"
    } else if cx.reader.get("networking.k8s.io", "ipaddresses", "", ip).is_some() {
        "provided IP is already allocated"
    } else {
        return Ok(());
    };
    let detail = format!("failed to allocate IP {ip}: {why}");
    let error = Error::invalid(&list.path, list.value.clone(), detail);
    Err(Status::invalid("", "Service", meta::name(obj), vec![error]))
}

fn free_ip(cx: &Context<'_>) -> Option<String> {
    let free = |number: u32| {
        let ip = Ipv4Addr::from(number).to_string();
        cx.reader.get("networking.k8s.io", "ipaddresses", "", &ip).is_none().then_some(ip)
    };
    let mut random = rand::rng();
    let drawn = (0..TRIES).find_map(|_| free(random.random_range(DYNAMIC_IP..=LAST_IP)));
    drawn.or_else(|| (DYNAMIC_IP..=LAST_IP).chain(FIRST_IP..DYNAMIC_IP).find_map(free))
}

fn ip_address(cx: &Context<'_>, ip: &str) -> SideWrite {
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {
            "name": ip,
            "labels": {
                "ipaddress.kubernetes.io/ip-family": if ip.contains(':') { "IPv6" } else { "IPv4" },
                "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
            },
        },
        "spec": {"parentRef": {"resource": "services", "namespace": cx.namespace, "name": cx.name}},
    });
    SideWrite::Create {
        group: "networking.k8s.io",
        resource: "ipaddresses",
        namespace: String::new(),
        name: ip.to_owned(),
        object,
    }
}

/// The node ports that other services have.
fn taken_ports(cx: &Context<'_>) -> HashSet<i64> {
    let services = cx.reader.list("", "services", None);
    let others =
        services.iter().filter(|service| meta::name(service) != cx.name || meta::namespace(service) != cx.namespace);
    others.flat_map(|service| numbers(&node_ports(service))).collect()
}

fn ports(cx: &Context<'_>, obj: &mut Value, old: Option<&Value>, writes: &mut Vec<SideWrite>) -> ApiResult<()> {
    let wants_health = has_health_check(obj);
    let explicit = !node_ports(obj).is_empty();
    if !has_node_ports(obj) && !wants_health && !explicit {
        return Ok(());
    }
    let taken = taken_ports(cx);
    if cx.dry_run {
        rehearsal::ports(obj, old, &taken)?;
        return if old.is_some() { once_each(obj) } else { Ok(()) };
    }
    let mut mine = HashSet::new();
    let before = old.map(node_ports).unwrap_or_default();
    if matches!(super::kind(obj), "NodePort" | "LoadBalancer") {
        claim_explicit(obj, &taken, old.map(|_| numbers(&before)), &mut mine)?;
    }
    if old.is_some() {
        once_each(obj)?;
    }
    if has_node_ports(obj) {
        fill_ports(obj, &taken, &mut mine)?;
    }
    if wants_health {
        if old.is_some_and(has_health_check) {
            mine.insert(("TCP".to_owned(), At::spec(obj).get("healthCheckNodePort").int()));
        } else {
            health_check(obj, &taken, &mut mine)?;
        }
    }
    let before = numbers(&before);
    let new = numbers(&mine).into_iter().filter(|port| !before.contains(port));
    writes.extend(new.map(|port| port_marker(cx, port)));
    Ok(())
}

/// A service that there was before is refused before it is judged if it has a node port twice for one protocol.
fn once_each(obj: &Value) -> ApiResult<()> {
    if !matches!(super::kind(obj), "NodePort" | "LoadBalancer") {
        return Ok(());
    }
    let mut seen = HashSet::new();
    for at in At::spec(obj).get("ports").items() {
        let (protocol, number) = (at.get("protocol").str(), at.get("nodePort").int());
        if number != 0 && !seen.insert((protocol, number)) {
            return Err(Status::plain(format!("duplicate nodePort: {{{protocol} {number}}}")));
        }
    }
    Ok(())
}

fn port_marker(cx: &Context<'_>, port: i64) -> SideWrite {
    let name = port.to_string();
    let object = json!({
        "apiVersion": "mainstay.internal/v1",
        "kind": "NodePort",
        "metadata": {"name": name},
        "spec": {"namespace": cx.namespace, "service": cx.name},
    });
    SideWrite::Create { group: PORTS.0, resource: PORTS.1, namespace: String::new(), name, object }
}

/// Numbers of others.
type Taken = HashSet<i64>;
/// Ports of this service, by protocol.
type Mine = HashSet<(String, i64)>;

/// Takes the numbers that were asked for. A new service may have one number for a port in several protocols; one that
/// there was before keeps what it had.
fn claim_explicit(obj: &Value, taken: &Taken, before: Option<HashSet<i64>>, mine: &mut Mine) -> ApiResult<()> {
    let mut of_port: HashMap<i64, i64> = HashMap::new();
    for at in At::spec(obj).get("ports").items().filter(|at| at.get("nodePort").int() != 0) {
        let (node, port) = (at.get("nodePort"), at.get("port").int());
        let number = node.int();
        let again = mine.iter().any(|(_, own)| *own == number);
        let known = match &before {
            Some(before) => before.contains(&number) || again,
            None => of_port.get(&port) == Some(&number),
        };
        let why = if !known && !(FIRST_PORT..=LAST_PORT).contains(&number) {
            NOT_IN_RANGE
        } else if !known && (taken.contains(&number) || again) {
            TAKEN
        } else {
            of_port.entry(port).or_insert(number);
            mine.insert((at.get("protocol").str().to_owned(), number));
            continue;
        };
        let error = Error::invalid(&node.path, number, why);
        return Err(Status::invalid("", "Service", meta::name(obj), vec![error]));
    }
    Ok(())
}

/// Ports of the same number get the same node port for all protocols where that is free.
fn fill_ports(obj: &mut Value, taken: &Taken, mine: &mut Mine) -> ApiResult<()> {
    let Some(ports) = obj.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return Ok(()) };
    let known: Vec<(Value, i64)> = ports
        .iter()
        .filter_map(|port| Some((port["port"].clone(), port["nodePort"].as_i64().filter(|port| *port != 0)?)))
        .collect();
    let mut shared: Vec<(Value, i64)> = known;
    for port in ports.iter_mut().filter(|port| port["nodePort"].as_i64().unwrap_or_default() == 0) {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_owned();
        let free = |number: i64, mine: &Mine| !taken.contains(&number) && !mine.contains(&(protocol.clone(), number));
        let same =
            shared.iter().find(|(number, node)| *number == port["port"] && free(*node, mine)).map(|(_, node)| *node);
        let drawn = match same {
            Some(number) => number,
            None => draw(|number| !taken.contains(&number) && mine.iter().all(|(_, own)| *own != number))
                .ok_or_else(|| Status::internal("failed to allocate a nodePort: range is full"))?,
        };
        mine.insert((protocol, drawn));
        shared.push((port["port"].clone(), drawn));
        port["nodePort"] = drawn.into();
    }
    Ok(())
}

fn draw(free: impl Fn(i64) -> bool) -> Option<i64> {
    let mut random = rand::rng();
    let drawn = (0..TRIES).map(|_| random.random_range(DYNAMIC_PORT..=LAST_PORT)).find(|port| free(*port));
    drawn.or_else(|| (DYNAMIC_PORT..=LAST_PORT).chain(FIRST_PORT..DYNAMIC_PORT).find(|port| free(*port)))
}

fn health_check(obj: &mut Value, taken: &Taken, mine: &mut Mine) -> ApiResult<()> {
    let asked = At::spec(obj).get("healthCheckNodePort").int();
    let free = |number: i64| !taken.contains(&number) && mine.iter().all(|(_, own)| *own != number);
    if asked != 0 {
        let why = if !(FIRST_PORT..=LAST_PORT).contains(&asked) {
            NOT_IN_RANGE
        } else if !free(asked) {
            TAKEN
        } else {
            mine.insert(("TCP".to_owned(), asked));
            return Ok(());
        };
        return Err(Status::internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {why}")));
    }
    let drawn =
        draw(free).ok_or_else(|| Status::internal("failed to allocate a HealthCheck NodePort: range is full"))?;
    mine.insert(("TCP".to_owned(), drawn));
    base::set(obj, "/spec/healthCheckNodePort", drawn.into());
    Ok(())
}
