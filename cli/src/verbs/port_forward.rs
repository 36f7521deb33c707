//! `mainstay port-forward`: ports of this machine that lead to ports of a pod, each connection by a request of its own.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Args;
use hyper_util::rt::TokioIo;
use mainstay_api::resource;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::logs::pod_of;
use super::session::{Common, Session};

/// `mainstay port-forward`
#[derive(Args)]
pub(crate) struct PortForwardArgs {
    #[command(flatten)]
    common: Common,
    /// A pod, or service/web for one of its pods
    #[arg(value_name = "POD | TYPE/NAME")]
    what: String,
    /// Ports as LOCAL:REMOTE, REMOTE for the same here, or :REMOTE for a free one
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    ports: Vec<String>,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1")]
    address: std::net::IpAddr,
}

/// A port here (0: any free one) and the one in the pod.
type Pair = (u16, u16);

/// Forwards until it is interrupted.
pub(crate) async fn run(args: PortForwardArgs) -> Result<ExitCode> {
    let session = Arc::new(args.common.session()?);
    let pod = pod_of(&session, &args.what).await?;
    let service = service(&session, &args.what).await?;
    let row = resource::find("", "v1", "pods").context("this build has no pods")?;
    let live = session.api(row).get(&pod, "").await?;
    let mut tasks = JoinSet::new();
    for text in &args.ports {
        let (here, there) = pair(text)?;
        let remote = service.as_ref().map_or(Ok(there), |service| behind(service, &live, there))?;
        let listener =
            TcpListener::bind((args.address, here)).await.with_context(|| format!("cannot listen on {here}"))?;
        println!("Forwarding from {} -> {remote}", listener.local_addr()?);
        let path = format!("{}/portforward?ports={remote}", Session::path(row, Some(&session.namespace), &pod));
        tasks.spawn(serve(session.clone(), listener, path));
    }
    tokio::select! {
        _ = tasks.join_next() => bail!("cannot listen any more"),
        interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for Ctrl-C")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn pair(text: &str) -> Result<Pair> {
    let (here, there) = text.split_once(':').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u16>().with_context(|| format!("{text:?} is not a port"));
    Ok((if here.is_empty() { 0 } else { number(here)? }, number(there)?))
}

/// The service that a word names, if it names one.
async fn service(session: &Session, what: &str) -> Result<Option<Value>> {
    let Some((kind, name)) = what.split_once('/') else { return Ok(None) };
    if !matches!(kind, "svc" | "service" | "services") {
        return Ok(None);
    }
    let row = resource::find("", "v1", "services").context("this build has no services")?;
    session.api(row).get(name, "").await.map(Some).map_err(Into::into)
}

/// The pod's port behind a service's.
fn behind(service: &Value, pod: &Value, port: u16) -> Result<u16> {
    let ports = service["spec"]["ports"].as_array();
    let found = ports.into_iter().flatten().find(|known| known["port"] == port);
    let target = &found.with_context(|| format!("the service has no port {port}"))?["targetPort"];
    let Some(name) = target.as_str() else {
        return Ok(target.as_u64().and_then(|number| u16::try_from(number).ok()).unwrap_or(port));
    };
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut named = containers.flat_map(|container| container["ports"].as_array().into_iter().flatten());
    let number = named.find(|known| known["name"] == name).and_then(|known| known["containerPort"].as_u64());
    number.and_then(|number| u16::try_from(number).ok()).with_context(|| format!("the pod has no port {name:?}"))
}

async fn serve(session: Arc<Session>, listener: TcpListener, path: String) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let (session, path) = (session.clone(), path.clone());
        connections.spawn(async move {
            if let Err(error) = forward(&session, stream, &path).await {
                eprintln!("error: {error:#}");
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(session: &Session, mut stream: TcpStream, path: &str) -> Result<()> {
    let headers = [("connection", "Upgrade"), ("upgrade", "tcp")];
    let response = session.rest.send(http::Method::POST, path, &headers, Bytes::new()).await?;
    let upgraded = hyper::upgrade::on(response).await.context("the server did not switch protocols")?;
    tokio::io::copy_bidirectional(&mut stream, &mut TokioIo::new(upgraded)).await.context("the connection broke")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_pairs() {
        assert_eq!(pair("80").unwrap(), (80, 80));
        assert_eq!(pair("8080:80").unwrap(), (8080, 80));
        assert_eq!(pair(":80").unwrap(), (0, 80));
        assert!(pair("x").is_err());
    }

    #[test]
    fn a_service_port_is_a_port_of_the_pod() {
        let service =
            json!({"spec": {"ports": [{"port": 80, "targetPort": "http"}, {"port": 81, "targetPort": 8081}]}});
        let pod = json!({"spec": {"containers": [{"ports": [{"name": "http", "containerPort": 8080}]}]}});
        assert_eq!((behind(&service, &pod, 80).unwrap(), behind(&service, &pod, 81).unwrap()), (8080, 8081));
        assert!(behind(&service, &pod, 82).is_err());
    }
}
