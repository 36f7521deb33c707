//! Node ports of a dry run. Nothing is looked for that is free, as Kubernetes does not then: a port that was not asked for
//! gets the number after the highest so far, which lies beyond the range of all if none was asked for, and one that was
//! asked for may lie anywhere.

use std::collections::{HashMap, HashSet};

use mainstay_api::field::{Error, Path};
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::allocate::TAKEN;
use super::{has_health_check, has_node_ports, kind};
use crate::strategy::base;
use crate::strategy::validate::At;

/// The first number that is drawn; Kubernetes begins at two after its range.
const BEYOND: i64 = 32_769;

/// Gives the service the ports that it would need; `taken` are those of others.
pub(super) fn ports(obj: &mut Value, old: Option<&Value>, taken: &HashSet<i64>) -> ApiResult<()> {
    let mut numbers = Numbers { taken, own: HashSet::new(), highest: None };
    if matches!(kind(obj), "NodePort" | "LoadBalancer") {
        match old {
            None => of_new(obj, &mut numbers)?,
            Some(old) => of_changed(obj, old, &mut numbers)?,
        }
    }
    if has_health_check(obj) && !old.is_some_and(has_health_check) {
        health_check(obj, &mut numbers)?;
    }
    Ok(())
}

/// The numbers that the service has got so far.
struct Numbers<'a> {
    taken: &'a HashSet<i64>,
    own: HashSet<i64>,
    highest: Option<i64>,
}

impl Numbers<'_> {
    fn claim(&mut self, number: i64) -> Result<(), &'static str> {
        if self.taken.contains(&number) || self.own.contains(&number) {
            return Err(TAKEN);
        }
        self.keep(number);
        Ok(())
    }

    fn draw(&mut self) -> i64 {
        let number = self.highest.map_or(BEYOND, |highest| highest.max(0) + 1);
        self.keep(number);
        number
    }

    fn keep(&mut self, number: i64) {
        self.own.insert(number);
        self.highest = self.highest.max(Some(number));
    }
}

/// The list of ports to be filled, with what an error about one of them says.
struct Ports<'a> {
    name: String,
    path: Path,
    list: &'a mut Vec<Value>,
}

impl<'a> Ports<'a> {
    fn of(obj: &'a mut Value) -> Option<Self> {
        let name = meta::name(obj).to_owned();
        let path = At::spec(obj).get("ports").path;
        let list = obj.pointer_mut("/spec/ports").and_then(Value::as_array_mut)?;
        Some(Self { name, path, list })
    }

    fn claim(&self, index: usize, number: i64, numbers: &mut Numbers<'_>) -> ApiResult<i64> {
        numbers.claim(number).map(|()| number).map_err(|why| {
            let error = Error::invalid(&self.path.index(index).child("nodePort"), number, why);
            Status::invalid("", "Service", &self.name, vec![error])
        })
    }
}

/// Ports of one number share a node port.
fn of_new(obj: &mut Value, numbers: &mut Numbers<'_>) -> ApiResult<()> {
    let wanted = has_node_ports(obj);
    let Some(ports) = Ports::of(obj) else { return Ok(()) };
    let asked: Vec<(i64, i64)> = ports.list.iter().map(|port| (field(port, "port"), field(port, "nodePort"))).collect();
    let mut requested: HashMap<i64, i64> = HashMap::new();
    for (port, node) in asked.iter().filter(|(_, node)| *node != 0) {
        requested.entry(*port).or_insert(*node);
    }
    let mut given: HashMap<i64, i64> = HashMap::new();
    for (index, (port, node)) in asked.iter().copied().enumerate().filter(|(_, (_, node))| wanted || *node != 0) {
        let number = match given.get(&port).copied() {
            Some(shared) if node == 0 || node == shared => shared,
            Some(_) => ports.claim(index, node, numbers)?,
            None => {
                let number = match requested.get(&port) {
                    Some(requested) => ports.claim(index, *requested, numbers)?,
                    None => numbers.draw(),
                };
                given.insert(port, number);
                number
            }
        };
        ports.list[index]["nodePort"] = number.into();
    }
    Ok(())
}

/// What the service had before it keeps.
fn of_changed(obj: &mut Value, old: &Value, numbers: &mut Numbers<'_>) -> ApiResult<()> {
    let wanted = has_node_ports(obj);
    let mut known: HashSet<i64> = At::spec(old).get("ports").items().map(|at| at.get("nodePort").int()).collect();
    let Some(ports) = Ports::of(obj) else { return Ok(()) };
    for index in 0..ports.list.len() {
        let node = field(&ports.list[index], "nodePort");
        if node == 0 && wanted {
            ports.list[index]["nodePort"] = numbers.draw().into();
        } else if node != 0 && known.insert(node) {
            ports.claim(index, node, numbers)?;
        }
    }
    Ok(())
}

fn health_check(obj: &mut Value, numbers: &mut Numbers<'_>) -> ApiResult<()> {
    let asked = At::spec(obj).get("healthCheckNodePort").int();
    if asked == 0 {
        base::set(obj, "/spec/healthCheckNodePort", numbers.draw().into());
        return Ok(());
    }
    numbers
        .claim(asked)
        .map_err(|why| Status::internal(format!("failed to allocate requested HealthCheck NodePort {asked}: {why}")))
}

fn field(port: &Value, name: &str) -> i64 {
    port[name].as_i64().unwrap_or_default()
}
