//! The demo's web app: one static binary on the standard library alone, so that its image holds nothing else.
//!
//! Answers `/healthz`, and elsewhere with its pod's name, the greeting from its environment and the page from its ConfigMap.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Where the ConfigMap is mounted.
const PAGE: &str = "/etc/web/page.txt";

fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".into());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening on port {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            if let Err(error) = answer(stream) {
                println!("connection lost: {error}");
            }
        });
    }
    Ok(())
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let path = request_path(&stream)?;
    let body = if path == "/healthz" { "ok\n".into() } else { page() };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads the request's head and gives the path of its first line.
fn request_path(stream: &TcpStream) -> std::io::Result<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    Ok(first.split(' ').nth(1).unwrap_or("/").to_owned())
}

fn page() -> String {
    let from_environment = |name: &str| std::env::var(name).unwrap_or_else(|_| "?".into());
    let text = std::fs::read_to_string(PAGE).unwrap_or_else(|error| format!("no page: {error}\n"));
    let secret = if std::env::var("WEB_PASSWORD").is_ok() { "known" } else { "missing" };
    format!(
        "{text}{} from pod {} on {} (secret: {secret})\n",
        from_environment("GREETING"),
        from_environment("POD_NAME"),
        from_environment("NODE_NAME"),
    )
}
