//! The cluster's own image registry: no image is looked up outside.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::keeper::{Keeper, Slot};
use crate::ports;
use crate::process::Background;

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts Debian's docker-registry on the bridge and waits until it listens.
pub(super) async fn start(keeper: &Arc<Keeper>) -> Result<()> {
    let file = keeper.file();
    let address = match file.registry {
        Some(address) => address,
        None => {
            let host = [10, 89, file.network, 1];
            format!("10.89.{}.1:{}", file.network, ports::free(host.into(), 1)?[0])
        }
    };
    let data = keeper.dir().join("registry");
    std::fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let config = data.join("config.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n",
        data.join("images").display(),
    );
    std::fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
    let command = vec![OsString::from("docker-registry"), "serve".into(), config.into()];
    keeper.keep(Slot::Registry, Background { command, log: keeper.logs().join("registry.log") })?;
    wait(keeper, &address).await?;
    keeper.change(|file| file.registry = Some(address))
}

async fn wait(keeper: &Keeper, address: &str) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_err() {
        keeper.check()?;
        if Instant::now() > deadline {
            bail!(
                "the image registry does not listen on {address}; see {}",
                keeper.logs().join("registry.log").display()
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
