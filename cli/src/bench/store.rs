//! `bench store`: puts and reads on three members over gRPC, with one load generator for the store and for etcd.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::StoreArgs;
use super::load;
use super::rows::{self, Row};
use super::system::{self, Client, System};

/// Loads one system after the other, prints the rows.
pub(super) async fn run(args: &StoreArgs) -> Result<()> {
    let rows = system::each(&args.servers, async |system| {
        let mut rows = Vec::new();
        for op in ["put", "get"] {
            for clients in &args.load.clients {
                rows.push(measure(system, op, *clients, args).await?);
            }
        }
        Ok(rows)
    });
    rows::print(&rows.await?, args.load.json)
}

async fn measure(system: &System, op: &'static str, clients: usize, args: &StoreArgs) -> Result<Row> {
    let value = Bytes::from(vec![b'v'; args.load.value_bytes]);
    let (put, keys) = (op == "put", args.servers.keys);
    // Writes go to the first member (the store's leader), reads to all of them.
    let targets: Vec<Client> = if put { system.clients[0].clone() } else { system.interleaved() };
    let measured = load::run(clients, args.load.length(), move |client, sequence| {
        let mut target = targets[client % targets.len()].clone();
        let value = value.clone();
        async move {
            if put {
                target.put(system::put_request(sequence, value)).await.context("put")?;
            } else {
                target.range(system::range_request(sequence % keys)).await.context("get")?;
            }
            Ok(())
        }
    })
    .await?;
    Ok(Row {
        system: system.name,
        op: op.to_owned(),
        clients,
        per_s: measured.per_s,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        errors: measured.errors,
        rss_mib: system.resident_mib(),
    })
}
