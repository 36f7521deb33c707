//! From whom a fault of the network cuts a machine off, and in which direction.

use serde::Deserialize;

/// From whom a machine is cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peers {
    /// All masters that are not hit themselves.
    #[default]
    Masters,
    /// All workers that are not hit themselves.
    Workers,
    /// Both, but not the harness' own clients.
    Machines,
}

/// In which direction packets are lost, seen from the machine that is hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both.
    #[default]
    Both,
    /// What it is sent.
    In,
    /// What it sends.
    Out,
}

impl std::fmt::Display for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Peers::Masters => "masters",
            Peers::Workers => "workers",
            Peers::Machines => "all machines",
        })
    }
}
