//! The thread that writes the log, and the bounded queue before it.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::LogConfig;
use super::event::Event;
use super::file::LogFile;

/// Events that wait for the disk; more are dropped.
const QUEUE: usize = 10_000;
/// Events written in one go.
const BATCH: usize = 256;

/// What happened to events.
#[derive(Clone, Default)]
pub(super) struct Counts {
    events: Counter,
    lost: Counter,
}

impl Counts {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("apiserver_audit_event", "Audit events generated", self.events.clone());
        let lost = "Audit events that were not written, as the log was too slow or failed";
        registry.register("apiserver_audit_error", lost, self.lost.clone());
    }
}

/// The way to the log. Dropping it writes what waits.
pub(super) struct Writer {
    queue: Option<SyncSender<Event>>,
    thread: Option<JoinHandle<()>>,
    pub(super) counts: Counts,
}

impl Writer {
    pub(super) fn start(config: LogConfig) -> std::io::Result<Self> {
        let file = LogFile::open(config)?;
        let (queue, events) = sync_channel(QUEUE);
        let counts = Counts::default();
        let lost = counts.lost.clone();
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || run(file, &events, &lost))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), counts })
    }

    /// Never waits.
    pub(super) fn send(&self, event: Event) {
        self.counts.events.inc();
        let sent = self.queue.as_ref().map(|queue| queue.try_send(event));
        if matches!(sent, Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None) {
            self.counts.lost.inc();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the audit log's thread panicked");
        }
    }
}

fn run(mut file: LogFile, events: &Receiver<Event>, lost: &Counter) {
    while let Ok(first) = events.recv() {
        let batch: Vec<Event> = std::iter::once(first).chain(events.try_iter().take(BATCH - 1)).collect();
        let mut lines = Vec::with_capacity(batch.len() * 1024);
        for event in &batch {
            serde_json::to_writer(&mut lines, &event.to_json()).expect("a JSON value always serialises into memory");
            lines.push(b'\n');
        }
        if let Err(error) = file.write(&lines) {
            lost.inc_by(batch.len() as u64);
            tracing::error!(%error, events = batch.len(), "the audit log cannot be written");
        }
    }
}
