//! `GET /containerLogs/NAMESPACE/POD/CONTAINER`: what a container has written, and writes.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::query::Query;
use super::{Body, Refusal, Target, line, text};
use crate::identity::identity;
use crate::pod::{Shared, make};
use crate::runtime::State;

/// A follower looks for more this often.
const POLL: Duration = Duration::from_millis(100);
/// Whether the container still runs is asked every so many looks.
const ALIVE_EVERY: u32 = 5;
/// Read at once.
const BLOCK: usize = 64 << 10;

struct Options {
    follow: bool,
    timestamps: bool,
    tail: Option<usize>,
    since: Option<Timestamp>,
    limit: Option<usize>,
}

fn options(query: &Query, now: Timestamp) -> Result<Options, Refusal> {
    let number = |name: &str| match query.get(name) {
        None => Ok(None),
        Some(text) => {
            text.parse::<usize>().map(Some).map_err(|_| (StatusCode::BAD_REQUEST, format!("invalid {name}: {text:?}")))
        }
    };
    let ago = number("sinceSeconds")?.and_then(|s| i64::try_from(s).ok());
    let ago = ago.and_then(|s| now.checked_sub(SignedDuration::from_secs(s)).ok());
    let time = query.get("sinceTime").and_then(|t| t.parse().ok());
    Ok(Options {
        follow: query.flag("follow"),
        timestamps: query.flag("timestamps"),
        tail: number("tailLines")?,
        since: time.or(ago),
        limit: number("limitBytes")?,
    })
}

/// Answers with the log, streamed.
pub(super) async fn answer(shared: Arc<Shared>, target: Target, query: &Query) -> Result<Response<Body>, Refusal> {
    let options = options(query, Timestamp::now())?;
    let previous = query.flag("previous");
    let id = identity(&target.pod);
    let Some(run) = target.run(previous) else {
        let message = match previous {
            true => format!("previous terminated container {:?} in pod {:?} not found", target.container, id.name),
            false => {
                format!("container {:?} in pod {:?} is waiting to start: ContainerCreating", target.container, id.name)
            }
        };
        return Err((StatusCode::BAD_REQUEST, message));
    };
    if shared.runtime.hollow() {
        return Ok(text(
            StatusCode::OK,
            format!("hollow container {:?} in pod {:?}: nothing runs, nothing is logged\n", target.container, id.name),
        ));
    }
    let dir = make::log_dir(&shared.config.log_dir, &id);
    let path = dir.join(&target.container).join(format!("{}.log", run.attempt));
    let (sender, receiver) = mpsc::channel(8);
    let reader = Reader { shared, uid: id.uid.to_owned(), container: run.id.clone(), path, options, sender, sent: 0 };
    tokio::spawn(reader.run());
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(ReceiverStream::new(receiver))));
    let plain = http::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(http::header::CONTENT_TYPE, plain);
    Ok(response)
}

/// Sends a log file; ends when the receiver does.
struct Reader {
    shared: Arc<Shared>,
    uid: String,
    container: String,
    path: PathBuf,
    options: Options,
    sender: mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>,
    sent: usize,
}

impl Reader {
    async fn run(mut self) {
        if let Err(error) = self.copy().await {
            tracing::debug!(%error, path = ?self.path, "log not read");
            if self.sender.send(Err(error)).await.is_err() {
                tracing::trace!("the reader of the log is gone");
            }
        }
    }

    async fn copy(&mut self) -> std::io::Result<()> {
        let mut file = std::fs::File::open(&self.path)?;
        if let Some(lines) = self.options.tail {
            file.seek(SeekFrom::Start(tail_offset(&self.path, lines)?))?;
        }
        let mut rest = Vec::new();
        let mut looks = 0;
        loop {
            let alive = !self.options.follow || self.alive(looks).await;
            looks += 1;
            // Asked before the last read of this file, so that nothing written before it was moved is missed.
            let next = successor(&file, &self.path);
            if !self.send_file(&mut file, &mut rest).await? || !self.options.follow {
                return Ok(());
            }
            match next {
                Some(next) => file = next,
                None if !alive => return Ok(()),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Sends what else there is of a file; false when no more is wanted.
    async fn send_file(&mut self, file: &mut std::fs::File, rest: &mut Vec<u8>) -> std::io::Result<bool> {
        loop {
            let mut block = Vec::new();
            file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
            rest.extend_from_slice(&block);
            if !self.send_lines(rest).await {
                return Ok(false);
            }
            if block.len() < BLOCK {
                return Ok(true);
            }
        }
    }

    /// Asked before the last read, so that nothing written before the end is missed.
    async fn alive(&self, looks: u32) -> bool {
        if !looks.is_multiple_of(ALIVE_EVERY) {
            return true;
        }
        match self.shared.runtime.pod(&self.uid).await {
            Ok(pod) => pod.containers.iter().any(|c| c.id == self.container && c.state == State::Running),
            Err(_) => true,
        }
    }

    /// Sends all complete records; false when no more is wanted.
    async fn send_lines(&mut self, rest: &mut Vec<u8>) -> bool {
        let Some(end) = rest.iter().rposition(|b| *b == b'\n') else { return true };
        let complete: Vec<u8> = rest.drain(..=end).collect();
        let mut out = Vec::with_capacity(complete.len());
        for record in complete.split(|b| *b == b'\n').filter(|r| !r.is_empty()) {
            let Some(line) = line::parse(record) else { continue };
            if self.options.since.is_some_and(|since| line.time < since) {
                continue;
            }
            if self.options.timestamps {
                out.extend_from_slice(line.stamp.as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line.text);
            if line.full {
                out.push(b'\n');
            }
        }
        let room = self.options.limit.map_or(usize::MAX, |limit| limit - self.sent);
        out.truncate(room);
        self.sent += out.len();
        let full = self.options.limit == Some(self.sent);
        (out.is_empty() || self.sender.send(Ok(Frame::data(Bytes::from(out)))).await.is_ok()) && !full
    }
}

/// The file that goes on where this one was moved away; none while it is in its place.
fn successor(file: &std::fs::File, path: &PathBuf) -> Option<std::fs::File> {
    use std::os::unix::fs::MetadataExt;
    let there = std::fs::File::open(path).ok()?;
    let (own, other) = (file.metadata().ok()?, there.metadata().ok()?);
    (own.ino() != other.ino()).then_some(there)
}

/// The text of the last lines of a log, and no more than so many bytes of it.
pub(crate) fn last_lines(path: &PathBuf, lines: usize, bytes: usize) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(tail_offset(path, lines)?))?;
    let mut records = Vec::new();
    file.take(BLOCK as u64).read_to_end(&mut records)?;
    let mut text = Vec::new();
    for line in records.split(|b| *b == b'\n').filter_map(line::parse) {
        text.extend_from_slice(line.text);
        if line.full {
            text.push(b'\n');
        }
    }
    Ok(String::from_utf8_lossy(&text[text.len().saturating_sub(bytes)..]).into_owned())
}

/// Where the last so many lines begin. Lines are counted by their ends, for long ones take several records.
fn tail_offset(path: &PathBuf, lines: usize) -> std::io::Result<u64> {
    let mut file = std::fs::File::open(path)?;
    let mut at = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(at);
    }
    let mut seen: Vec<u8> = Vec::new();
    while at > 0 {
        let step = at.min(BLOCK as u64);
        at -= step;
        file.seek(SeekFrom::Start(at))?;
        let mut block = vec![0; usize::try_from(step).unwrap_or(BLOCK)];
        file.read_exact(&mut block)?;
        block.extend_from_slice(&seen);
        seen = block;
        if let Some(begin) = begin_of_tail(&seen, lines, at == 0) {
            return Ok(at + begin as u64);
        }
    }
    Ok(0)
}

/// The position in `bytes` after the end of the line before the last `lines`; none if it is not in there.
fn begin_of_tail(bytes: &[u8], lines: usize, whole: bool) -> Option<usize> {
    let mut ends = 0;
    let mut end = bytes.len();
    while let Some(newline) = bytes[..end].iter().rposition(|b| *b == b'\n') {
        let start = bytes[..newline].iter().rposition(|b| *b == b'\n').map(|p| p + 1);
        let record = match start {
            Some(start) => &bytes[start..newline],
            None if whole => &bytes[..newline],
            None => return None,
        };
        ends += usize::from(line::parse(record).is_some_and(|l| l.full));
        if ends > lines {
            return Some(newline + 1);
        }
        end = newline;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_since_before_all_times_is_whole() {
        let since = |query: &str| options(&Query::parse(query), Timestamp::UNIX_EPOCH).unwrap().since;
        assert_eq!(since("sinceSeconds=9223372036854775807"), None);
        assert_eq!(since("sinceSeconds=5"), Some(Timestamp::from_second(-5).unwrap()));
    }

    #[test]
    fn the_tail_counts_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let stamp = "2026-01-02T03:04:05Z stdout";
        std::fs::write(&path, format!("{stamp} F a\n{stamp} P b\n{stamp} F b\n{stamp} F c\n")).unwrap();
        let from = |lines| {
            let at = usize::try_from(tail_offset(&path, lines).unwrap()).unwrap();
            String::from_utf8(std::fs::read(&path).unwrap()[at..].to_vec()).unwrap()
        };
        assert_eq!(from(0), "");
        assert_eq!(from(1), format!("{stamp} F c\n"));
        assert_eq!(from(2), format!("{stamp} P b\n{stamp} F b\n{stamp} F c\n"));
        assert_eq!(from(9).lines().count(), 4);
        assert_eq!(last_lines(&path, 2, 100).unwrap(), "bb\nc\n");
        assert_eq!(last_lines(&path, 2, 3).unwrap(), "\nc\n");
    }
}
