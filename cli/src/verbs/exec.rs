//! `mainstay exec` and `mainstay attach`, over a WebSocket as kubectl does it.

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::{SinkExt, StreamExt};
use mainstay_api::resource;
use nix::sys::termios::{self, SetArg, Termios};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::default_container;
use super::logs::pod_of;
use super::print;
use super::session::{Common, Session};

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const CLOSE: u8 = 255;

/// Which container, and which of its streams.
#[derive(Args)]
struct Streams {
    /// A pod, or deployment/web for one of its pods
    #[arg(value_name = "POD | TYPE/NAME")]
    what: String,
    /// Which container
    #[arg(long, short = 'c', default_value = "", hide_default_value = true)]
    container: String,
    /// Pass standard input on
    #[arg(long, short = 'i')]
    stdin: bool,
    /// With a terminal
    #[arg(long, short = 't')]
    tty: bool,
}

/// `mainstay exec`
#[derive(Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    streams: Streams,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `mainstay attach`
#[derive(Args)]
pub(crate) struct AttachArgs {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    streams: Streams,
}

/// Runs a command in a container; its exit code becomes ours.
pub(crate) async fn run(args: ExecArgs) -> Result<ExitCode> {
    let command: Vec<(&str, &str)> = args.command.iter().map(|word| ("command", word.as_str())).collect();
    join(&args.common.session()?, "exec", &args.streams, &command).await
}

/// Joins a container's main process.
pub(crate) async fn attach(args: AttachArgs) -> Result<ExitCode> {
    join(&args.common.session()?, "attach", &args.streams, &[]).await
}

async fn join(session: &Session, verb: &str, streams: &Streams, more: &[(&str, &str)]) -> Result<ExitCode> {
    let pod = pod_of(session, &streams.what).await?;
    let row = resource::find("", "v1", "pods").context("this build has no pods")?;
    let container = default_container::container(&session.api(row).get(&pod, "").await?, &streams.container)?;
    let path = format!(
        "{}/{verb}{}",
        Session::path(row, Some(&session.namespace), &pod),
        super::session::query(&parameters(streams, &container, more))
    );
    let (stream, authority) = session.rest.connect().await?;
    let mut request = format!("wss://{authority}{path}").into_client_request().context("cannot make the request")?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", http::HeaderValue::from_static(PROTOCOL));
    for (name, value) in session.rest.headers() {
        headers.append(http::HeaderName::try_from(name)?, value.parse()?);
    }
    let (socket, _) = match tokio_tungstenite::client_async(request, stream).await {
        Ok(connected) => connected,
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            bail!("{}", refusal(response.body().as_deref().unwrap_or_default()))
        }
        Err(error) => return Err(error).context("cannot open the stream"),
    };
    let raw = if streams.tty { RawTerminal::enter() } else { None };
    let outcome = converse(socket, streams.stdin).await;
    drop(raw);
    outcome
}

fn parameters<'q>(streams: &Streams, container: &'q str, more: &[(&'q str, &'q str)]) -> Vec<(&'q str, &'q str)> {
    let flag = |on: bool| if on { "true" } else { "" };
    let mut pairs = vec![("container", container), ("stdout", "true")];
    pairs.push(("stdin", flag(streams.stdin)));
    pairs.push(("tty", flag(streams.tty)));
    pairs.push(("stderr", flag(!streams.tty)));
    pairs.extend(more);
    pairs
}

fn refusal(body: &[u8]) -> String {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    match status["message"].as_str() {
        Some(message) => message.to_owned(),
        None if body.is_empty() => "the server refused the stream".to_owned(),
        None => String::from_utf8_lossy(body).trim().to_owned(),
    }
}

async fn converse<S>(socket: tokio_tungstenite::WebSocketStream<S>, with_input: bool) -> Result<ExitCode>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sink, mut source) = socket.split();
    let mut input = if with_input { Some(read_input()) } else { None };
    loop {
        tokio::select! {
            piece = next_input(&mut input) => match piece {
                Some(piece) => sink.send(Message::binary(framed(STDIN, &piece))).await.context("the stream broke")?,
                None => {
                    input = None;
                    sink.send(Message::binary(vec![CLOSE, STDIN])).await.context("the stream broke")?;
                }
            },
            message = source.next() => match message {
                None => return Ok(ExitCode::SUCCESS),
                Some(message) => match message.context("the stream broke")? {
                    Message::Binary(data) => {
                        if let Some(code) = take(&data)? {
                            return Ok(code);
                        }
                    }
                    Message::Close(_) => return Ok(ExitCode::SUCCESS),
                    _ => {}
                },
            },
        }
    }
}

fn framed(channel: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(data.len() + 1);
    frame.push(channel);
    frame.extend_from_slice(data);
    frame
}

/// Prints a frame; the last one says how the command ended.
fn take(frame: &[u8]) -> Result<Option<ExitCode>> {
    use std::io::Write;
    match frame.split_first() {
        Some((&STDOUT, data)) => print::bytes(data)?,
        Some((&STDERR, data)) => std::io::stderr().write_all(data).context("cannot write the output")?,
        Some((&ERROR, data)) => return outcome(data).map(Some),
        _ => {}
    }
    Ok(None)
}

fn outcome(data: &[u8]) -> Result<ExitCode> {
    let status: Value = serde_json::from_slice(data).context("the server's last word is not JSON")?;
    if status["status"] == "Success" {
        return Ok(ExitCode::SUCCESS);
    }
    let causes = status["details"]["causes"].as_array();
    let code = causes.and_then(|list| list.iter().find(|cause| cause["reason"] == "ExitCode"));
    match code.and_then(|cause| cause["message"].as_str()?.parse::<u8>().ok()) {
        Some(code) => {
            eprintln!("command terminated with exit code {code}");
            Ok(ExitCode::from(code))
        }
        None => bail!("{}", status["message"].as_str().unwrap_or("the command failed")),
    }
}

/// Standard input, read by a thread: a terminal cannot be read without blocking.
fn read_input() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0u8; 16 * 1024];
        while let Ok(count) = std::io::stdin().read(&mut buffer) {
            if count == 0 || send.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

async fn next_input(input: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match input {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

/// A terminal that hands over each key; restored when dropped.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let before = termios::tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Err(error) = termios::tcsetattr(std::io::stdin(), SetArg::TCSANOW, &self.0) {
            tracing::warn!(%error, "the terminal is not as it was");
        }
    }
}
