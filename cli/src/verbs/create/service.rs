//! Services in a few words.

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

#[derive(Args)]
pub(super) struct ServiceArgs {
    #[command(subcommand)]
    sort: Sort,
}

#[derive(Args)]
struct Named {
    /// Its name
    name: String,
    /// PORT, or PORT:TARGETPORT
    #[arg(long, value_delimiter = ',')]
    tcp: Vec<String>,
}

#[derive(Subcommand)]
enum Sort {
    /// With an address inside of the cluster
    #[command(name = "clusterip")]
    ClusterIp {
        #[command(flatten)]
        named: Named,
        /// The address; None for no address of its own
        #[arg(long = "clusterip", value_name = "ADDRESS")]
        address: Option<String>,
    },
    /// With a port of every node
    #[command(name = "nodeport")]
    NodePort {
        #[command(flatten)]
        named: Named,
        /// The port; a free one if not given
        #[arg(long)]
        node_port: Option<u16>,
    },
    /// With an address outside of the cluster
    #[command(name = "loadbalancer")]
    LoadBalancer {
        #[command(flatten)]
        named: Named,
    },
    /// Another name for a host
    #[command(name = "externalname")]
    ExternalName {
        #[command(flatten)]
        named: Named,
        /// The host
        #[arg(long)]
        external_name: String,
    },
}

impl ServiceArgs {
    /// The service's type.
    pub(super) fn sort(&self) -> &'static str {
        match &self.sort {
            Sort::ClusterIp { .. } => "ClusterIP",
            Sort::NodePort { .. } => "NodePort",
            Sort::LoadBalancer { .. } => "LoadBalancer",
            Sort::ExternalName { .. } => "ExternalName",
        }
    }

    /// The service.
    pub(super) fn object(&self) -> Result<Value> {
        let (Sort::ClusterIp { named, .. }
        | Sort::NodePort { named, .. }
        | Sort::LoadBalancer { named }
        | Sort::ExternalName { named, .. }) = &self.sort;
        let mut ports = named.tcp.iter().map(|word| port(word)).collect::<Result<Vec<Value>>>()?;
        let mut spec = json!({"selector": {"app": named.name}, "type": self.sort()});
        let mut portless = false;
        match &self.sort {
            Sort::ClusterIp { address: Some(address), .. } => {
                portless = address == "None";
                spec["clusterIP"] = json!(address);
            }
            Sort::NodePort { node_port: Some(number), .. } => {
                ports.iter_mut().for_each(|port| port["nodePort"] = json!(number));
            }
            Sort::ExternalName { external_name, .. } => {
                portless = true;
                spec["externalName"] = json!(external_name);
            }
            _ => {}
        }
        if ports.is_empty() && !portless {
            bail!("at least one tcp port specifier must be provided");
        }
        if !ports.is_empty() {
            spec["ports"] = ports.into();
        }
        Ok(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": named.name, "labels": {"app": named.name}},
            "spec": spec, "status": {"loadBalancer": {}}}),
        )
    }
}

fn port(word: &str) -> Result<Value> {
    let (port, target) = word.split_once(':').unwrap_or((word, word));
    let number: u16 = port.parse().with_context(|| format!("port {port:?} is not a number between 0 and 65535"))?;
    let target = target.parse::<u16>().map_or_else(|_| json!(target), |number| json!(number));
    Ok(json!({"name": word.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": target}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(sort: fn(Named) -> Sort, tcp: &[&str]) -> Result<Value> {
        let tcp = tcp.iter().map(|word| (*word).to_owned()).collect();
        ServiceArgs { sort: sort(Named { name: "s".to_owned(), tcp }) }.object()
    }

    #[test]
    fn ports_have_names_and_targets() {
        let spec = |tcp: &[&str]| {
            made(|named| Sort::NodePort { named, node_port: Some(30_000) }, tcp)
                .map(|mut service| service["spec"].take())
        };
        let port = json!({"name": "80-http", "port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": 30_000});
        let wanted = json!({"selector": {"app": "s"}, "type": "NodePort", "ports": [port]});
        assert_eq!(spec(&["80:http"]).unwrap(), wanted);
        assert!(spec(&[]).is_err());
        assert!(spec(&["x"]).is_err());
    }

    #[test]
    fn a_service_without_an_address_may_do_without_ports() {
        let headless = |named| Sort::ClusterIp { named, address: Some("None".to_owned()) };
        assert_eq!(made(headless, &[]).unwrap()["spec"]["clusterIP"], "None");
        assert_eq!(made(headless, &["80"]).unwrap()["spec"]["ports"][0]["port"], 80);
        let elsewhere = |named| Sort::ExternalName { named, external_name: "a.b".to_owned() };
        assert_eq!(made(elsewhere, &[]).unwrap()["spec"]["type"], "ExternalName");
    }
}
