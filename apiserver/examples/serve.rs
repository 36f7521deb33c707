//! A server of one master with a fixed administrator token, for replaying the corpus against it.
//!
//! `cargo run -p mainstay-apiserver --example serve -- DIR [PORT]` prints the address and the token, and serves until it
//! is interrupted. DIR holds the data; a temporary directory will do.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use mainstay_apiserver::pki::{self, MasterNames, MasterPki};
use mainstay_apiserver::{ApiServer, SecurityConfig, ServerConfig, admission};
use mainstay_store::{PeerTls, Start, Store, StoreConfig, Tuning};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: serve DIR [PORT]")?);
    let port: u16 = args.next().map_or(Ok(0), |text| text.parse())?;
    pki::install_provider();
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    let url = format!("https://{}", listener.local_addr()?);
    let pki = Arc::new(keys(&dir)?);
    let store = Store::open(store_config(&dir, &pki, &url)).await?;
    let admission = admission::Config { default_toleration_seconds: 300 };
    let server = ApiServer::new(ServerConfig {
        store: store.clone(),
        pki: pki.clone(),
        admission,
        security: SecurityConfig::default(),
    })
    .await?;
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    let mut leadership = store.leadership();
    leadership.wait_for(|now| now.acting).await?;
    if let Err(status) = server.bootstrap(&[]).await {
        tracing::error!(error = %status.message, "the cluster's own objects are not complete");
    }
    println!("{url} {}", pki.admin_token());
    tokio::signal::ctrl_c().await?;
    server.shutdown();
    serving.await??;
    store.shutdown().await;
    Ok(())
}

fn keys(dir: &std::path::Path) -> pki::PkiResult<MasterPki> {
    let names = MasterNames { name: "m1".into(), addresses: vec!["127.0.0.1".into(), "localhost".into()] };
    let dir = dir.join("pki");
    if MasterPki::exists(&dir) { MasterPki::load(&dir, &names) } else { MasterPki::create(&dir, &names) }
}

fn store_config(dir: &std::path::Path, pki: &MasterPki, url: &str) -> StoreConfig {
    StoreConfig {
        name: "m1".into(),
        id: 0,
        data_dir: dir.join("data"),
        peer_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        peer_address: String::new(),
        api_url: url.to_owned(),
        tls: PeerTls {
            ca_pem: pki.ca.cert_pem().to_owned(),
            cert_pem: pki.peer().cert_pem.clone(),
            key_pem: pki.peer().key_pem.clone(),
        },
        start: Start::Bootstrap,
        tuning: Tuning::default(),
    }
}
