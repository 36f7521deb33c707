//! Facts about the machine that do not change while the agent runs.

use std::net::UdpSocket;

use crate::config::AgentConfig;
use crate::error::AgentError;

/// What the machine has.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub address: String,
    /// In thousandths of a CPU.
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
    pub kernel: String,
    pub os_image: String,
    pub machine_id: String,
    pub boot_id: String,
}

impl Machine {
    /// Reads everything; what the configuration says goes first.
    pub fn read(config: &AgentConfig) -> Result<Machine, AgentError> {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let memory_bytes = match config.memory_bytes {
            Some(bytes) => bytes,
            None => memory()?,
        };
        let address = match &config.node_ip {
            Some(ip) => ip.clone(),
            None => own_address(&config.client.transport().current_server()).map_err(AgentError::Address)?,
        };
        Ok(Machine {
            address,
            cpu_millis: config.cpu_millis.unwrap_or(cpus * 1000),
            memory_bytes,
            disk_bytes: disk(config),
            kernel: text("/proc/sys/kernel/osrelease"),
            os_image: os_image(),
            machine_id: text("/etc/machine-id"),
            boot_id: text("/proc/sys/kernel/random/boot_id"),
        })
    }
}

/// Empty where the system does not tell.
fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn memory() -> Result<u64, AgentError> {
    let path = "/proc/meminfo";
    let all = std::fs::read_to_string(path).map_err(|source| AgentError::Machine { path, source })?;
    let line = all.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap_or("0");
    Ok(line.split_whitespace().next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024)
}

fn disk(config: &AgentConfig) -> u64 {
    let stat = nix::sys::statvfs::statvfs(&config.root_dir).or_else(|_| nix::sys::statvfs::statvfs("/"));
    stat.map(|s| s.blocks() * s.fragment_size()).unwrap_or(0)
}

fn os_image() -> String {
    let all = text("/etc/os-release");
    let name = all.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |n| n.trim_matches('"').to_owned())
}

/// The address from which the masters would be reached; nothing is sent.
fn own_address(server: &str) -> std::io::Result<String> {
    let host = server.split("://").nth(1).unwrap_or("192.0.2.1:443");
    let target = if host.contains(':') { host.to_owned() } else { "192.0.2.1:443".to_owned() };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(target.trim_end_matches('/'))?;
    Ok(socket.local_addr()?.ip().to_string())
}
