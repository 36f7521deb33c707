//! Free ports of this machine.

use std::net::{IpAddr, TcpListener};

use anyhow::{Context, Result};

/// So many different ports that are free now at this address. They are bound all at once, so that none comes twice.
pub(super) fn free(address: IpAddr, count: usize) -> Result<Vec<u16>> {
    let bound: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((address, 0)).with_context(|| format!("cannot find a free port on {address}")))
        .collect::<Result<_>>()?;
    bound.iter().map(|listener| Ok(listener.local_addr().context("a listener without address")?.port())).collect()
}
