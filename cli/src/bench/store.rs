//! `bench store`: puts of new keys, puts over what is there, and reads, on three members over gRPC, with one load generator
//! for the store and for etcd.

use anyhow::{Context, Result};
use bytes::Bytes;

use super::StoreArgs;
use super::load;
use super::rows::{self, Row};
use super::system::{self, Client, System};

/// What is measured, by the name in the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    /// Keys that were not there.
    Put,
    /// Keys that are there from the start.
    Rewrite,
    Get,
}

impl Op {
    const ALL: [Self; 3] = [Self::Put, Self::Rewrite, Self::Get];

    fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Rewrite => "rewrite",
            Self::Get => "get",
        }
    }
}

/// Loads one system after the other, prints the rows.
pub(super) async fn run(args: &StoreArgs) -> Result<()> {
    let rows = system::each(&args.servers, async |system| {
        let mut rows = Vec::new();
        for op in Op::ALL {
            for clients in &args.load.clients {
                rows.push(measure(system, op, *clients, args).await?);
            }
        }
        Ok(rows)
    });
    rows::print(&rows.await?, args.load.json)
}

async fn measure(system: &System, op: Op, clients: usize, args: &StoreArgs) -> Result<Row> {
    let value = Bytes::from(vec![b'v'; args.load.value_bytes]);
    let keys = args.servers.keys;
    // Other numbers of clients make other keys.
    let new = keys.max(clients as u64 * KEYS_APART);
    // Writes go to the first member (the store's leader), reads to all of them.
    let targets: Vec<Client> = if op == Op::Get { system.interleaved() } else { system.clients[0].clone() };
    let measured = load::run(clients, args.load.length(), move |client, sequence| {
        let mut target = targets[client % targets.len()].clone();
        let value = value.clone();
        async move {
            match op {
                Op::Put => drop(target.put(system::put_request(new + sequence, value)).await.context("put")?),
                Op::Rewrite => drop(target.put(system::put_request(sequence % keys, value)).await.context("rewrite")?),
                Op::Get => drop(target.range(system::range_request(sequence % keys)).await.context("get")?),
            }
            Ok(())
        }
    })
    .await?;
    Ok(Row {
        system: system.name,
        op: op.name().to_owned(),
        clients,
        per_s: measured.per_s,
        p50_ms: measured.p50_ms,
        p99_ms: measured.p99_ms,
        errors: measured.errors,
        rss_mib: system.resident_mib(),
    })
}

/// More than one measurement makes.
const KEYS_APART: u64 = 1_000_000_000;
