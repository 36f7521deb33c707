//! The rules in a kernel: a network namespace of the test's own, two backends on its loopback, and real connections.
#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use mainstay_network::plan::{Backend, Frontend, Protocol};
use mainstay_network::ruleset::render;

/// A namespace that is gone when the test is.
struct Namespace(String);

impl Namespace {
    fn new() -> Self {
        let name = format!("mainstay-nft-{}", std::process::id());
        let namespace = Self(name);
        ip(&["netns", "add", &namespace.0]);
        namespace.run("ip", &["link", "set", "lo", "up"], "");
        for address in ["10.96.0.9/32", "10.1.0.2/32", "10.1.0.3/32", "10.89.0.11/32"] {
            // The cluster address is routed to loopback so that the kernel has a way; nothing listens on it.
            if address == "10.96.0.9/32" {
                namespace.run("ip", &["route", "add", address, "dev", "lo"], "");
            } else {
                namespace.run("ip", &["addr", "add", address, "dev", "lo"], "");
            }
        }
        namespace
    }

    fn run(&self, program: &str, arguments: &[&str], input: &str) {
        use std::io::Write;
        let mut child = Command::new("ip")
            .args(["netns", "exec", &self.0, program])
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs on a thread of its own that has entered the namespace.
    fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.0)).unwrap();
        let entered = move || {
            nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            work()
        };
        std::thread::spawn(entered).join().unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.0]);
    }
}

fn ip(arguments: &[&str]) {
    assert!(Command::new("ip").args(arguments).status().unwrap().success(), "ip {arguments:?}");
}

/// Answers each connection with its own address.
fn backend(namespace: &Namespace, address: &'static str) {
    let listener = namespace.inside(move || std::net::TcpListener::bind((address, 8080)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            use std::io::Write;
            let mut stream = stream;
            stream.write_all(address.as_bytes()).unwrap();
        }
    });
}

fn frontend(backends: &[&str], affinity_seconds: Option<i32>) -> Frontend {
    let backends: Vec<_> =
        backends.iter().map(|address| Backend { address: address.parse().unwrap(), port: 8080 }).collect();
    Frontend {
        name: "d/web/tcp/http".into(),
        protocol: Protocol::Tcp,
        port: 80,
        cluster_ips: vec!["10.96.0.9".parse().unwrap()],
        external_ips: vec![],
        node_port: Some(30080),
        internal: backends.clone(),
        external: backends,
        external_local: false,
        affinity_seconds,
    }
}

/// Who answers a connection to this address, several times.
fn answers(namespace: &Namespace, address: &str, port: u16) -> Vec<Result<String, std::io::ErrorKind>> {
    let address: Ipv4Addr = address.parse().unwrap();
    namespace.inside(move || {
        let ask = || {
            let to = std::net::SocketAddr::from((address, port));
            let mut stream = TcpStream::connect_timeout(&to, std::time::Duration::from_secs(2))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        (0..24).map(|_| ask().map_err(|error: std::io::Error| error.kind())).collect()
    })
}

fn distinct(answers: &[Result<String, std::io::ErrorKind>]) -> Vec<String> {
    let mut all: Vec<_> = answers.iter().map(|answer| answer.clone().unwrap_or_else(|kind| kind.to_string())).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn connections_reach_backends_and_are_refused_without() {
    if !nix::unistd::Uid::effective().is_root() {
        println!("skipped: network namespaces want root");
        return;
    }
    let namespace = Namespace::new();
    backend(&namespace, "10.1.0.2");
    backend(&namespace, "10.1.0.3");

    let both = render(&[frontend(&["10.1.0.2", "10.1.0.3"], None)], None, None);
    namespace.run("nft", &["-f", "-"], &both.text);
    assert_eq!(distinct(&answers(&namespace, "10.96.0.9", 80)), ["10.1.0.2", "10.1.0.3"]);
    assert_eq!(distinct(&answers(&namespace, "10.89.0.11", 30080)), ["10.1.0.2", "10.1.0.3"]);

    let one = render(&[frontend(&["10.1.0.3"], None)], None, Some(&both.names));
    namespace.run("nft", &["-f", "-"], &one.text);
    assert_eq!(distinct(&answers(&namespace, "10.96.0.9", 80)), ["10.1.0.3"]);

    let sticky = render(&[frontend(&["10.1.0.2", "10.1.0.3"], Some(60))], None, Some(&one.names));
    namespace.run("nft", &["-f", "-"], &sticky.text);
    assert_eq!(distinct(&answers(&namespace, "10.96.0.9", 80)).len(), 1, "a client stays with its pod");

    let none = render(&[frontend(&[], None)], None, Some(&sticky.names));
    namespace.run("nft", &["-f", "-"], &none.text);
    assert_eq!(distinct(&answers(&namespace, "10.96.0.9", 80)), ["connection refused"]);
}
