//! Free ports of this machine.

use std::net::{IpAddr, TcpListener};
use std::ops::Range;

use anyhow::{Context, Result};

/// Below those that the system gives to whoever asks for any, and below those of services: nobody takes one of these by
/// chance before its master does, or while its master is stopped.
const PORTS: Range<u16> = 15_000..30_000;
/// Ports that are looked at before there is none.
const TRIES: usize = 1000;

/// So many different ports that are free now at this address. They are bound all at once, so that none comes twice.
pub(crate) fn free(address: IpAddr, count: usize) -> Result<Vec<u16>> {
    let bound: Vec<(u16, TcpListener)> = (0..count).map(|_| free_one(address)).collect::<Result<_>>()?;
    Ok(bound.into_iter().map(|(port, _)| port).collect())
}

fn free_one(address: IpAddr) -> Result<(u16, TcpListener)> {
    for _ in 1..TRIES {
        let port = rand::random_range(PORTS);
        if let Ok(listener) = TcpListener::bind((address, port)) {
            return Ok((port, listener));
        }
    }
    // What is wrong with the last is wrong with all.
    let port = rand::random_range(PORTS);
    let bound = TcpListener::bind((address, port)).with_context(|| format!("cannot find a free port on {address}"))?;
    Ok((port, bound))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_differ_and_are_not_given_to_others_by_chance() {
        let ports = free([127, 0, 0, 1].into(), 50).unwrap();
        assert_eq!(ports.iter().collect::<HashSet<_>>().len(), 50);
        assert!(ports.iter().all(|port| PORTS.contains(port)));
        let nowhere = free([203, 0, 113, 1].into(), 1).unwrap_err();
        assert_eq!(nowhere.to_string(), "cannot find a free port on 203.0.113.1");
    }
}
