//! UDP has no end of a connection: what was sent to an endpoint that is gone would go there forever. Those entries are deleted.

use std::collections::BTreeSet;

use crate::applier::{NetworkError, call};
use crate::model::{Port, Target};

/// The UDP endpoints that `old` had and `new` has not.
pub(crate) fn removed(old: &[Port], new: &[Port]) -> BTreeSet<Target> {
    let all = |ports: &[Port]| -> BTreeSet<Target> {
        let udp = ports.iter().filter(|p| p.protocol == "udp");
        udp.flat_map(|p| p.internal.iter().chain(&p.external)).copied().collect()
    };
    all(old).difference(&all(new)).copied().collect()
}

/// Forgets all flows to an endpoint.
pub(crate) async fn forget((ip, port): Target) -> Result<(), NetworkError> {
    let (ip, port) = (ip.to_string(), port.to_string());
    let arguments = ["-D", "-p", "udp", "--reply-src", &ip, "--reply-port-src", &port];
    match call("conntrack", &arguments, "").await {
        // It calls finding nothing a failure.
        Err(NetworkError::Refused { message, .. }) if message.contains("0 flow entries") => Ok(()),
        other => other,
    }
}
