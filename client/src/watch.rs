//! Many watches over one stream. When the stream breaks it is opened again at the next master, and every watch goes on
//! after the last revision that it has seen, so that nothing is missed or seen twice.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mainstay_proto::v1;
use mainstay_proto::v1::watch_command::Command as WireCommand;
use mainstay_proto::v1::watch_update::Update;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::error::{Error, Outcome, Result, classify};
use crate::transport::{Retry, Transport};

/// Batches that wait for a slow reader; beyond, its watch is restarted when it has caught up.
const SINK_CAPACITY: usize = 1024;
const COMMAND_CAPACITY: usize = 1024;
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// What to watch.
#[derive(Clone, Debug)]
pub struct WatchSpec {
    /// The collection.
    pub reference: v1::ResourceRef,
    /// Label selector; empty for all.
    pub labels: String,
    /// Field selector; empty for all.
    pub fields: String,
    /// Watch after this revision; "" or "0" from the state as it stands.
    pub resource_version: String,
    /// First the state as `Added` events, then a bookmark that says so.
    pub send_initial_events: bool,
}

/// One event as it came.
#[derive(Clone, Debug)]
pub struct WireEvent {
    /// What happened.
    pub kind: v1::WatchEventType,
    /// The object's JSON.
    pub object: Bytes,
    /// The watch may resume after this revision.
    pub revision: u64,
    /// On a bookmark: the initial events are complete.
    pub initial_events_end: bool,
}

type Batch = std::result::Result<Vec<WireEvent>, Error>;

enum Command {
    Start { id: u64, spec: Box<WatchSpec>, sink: mpsc::Sender<Batch> },
    Cancel(u64),
}

/// Starts watches; its task runs as long as a client or a watcher lives.
#[derive(Clone)]
pub(crate) struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    /// None until the first watch.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    next_id: AtomicU64,
}

impl Hub {
    pub(crate) fn new(transport: Transport) -> Self {
        let shared = Shared { transport, commands: Mutex::new(None), next_id: AtomicU64::new(1) };
        Hub { shared: Arc::new(shared) }
    }

    pub(crate) async fn watch(&self, spec: WatchSpec) -> Result<Watcher> {
        let (id, events) = self.start(spec.clone()).await?;
        Ok(Watcher { hub: self.clone(), id, spec, events, resumable: true })
    }

    async fn start(&self, spec: WatchSpec) -> Result<(u64, mpsc::Receiver<Batch>)> {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (sink, events) = mpsc::channel(SINK_CAPACITY);
        let commands = self.commands();
        commands.send(Command::Start { id, spec: Box::new(spec), sink }).await.map_err(|_| Error::Shutdown)?;
        Ok((id, events))
    }

    fn commands(&self) -> mpsc::Sender<Command> {
        let mut slot = self.shared.commands.lock();
        if let Some(commands) = slot.as_ref().filter(|c| !c.is_closed()) {
            return commands.clone();
        }
        let (sender, receiver) = mpsc::channel(COMMAND_CAPACITY);
        let pump = Pump { transport: self.shared.transport.clone(), commands: receiver, watches: HashMap::new() };
        tokio::spawn(pump.run());
        *slot = Some(sender.clone());
        sender
    }

    fn cancel(&self, id: u64) {
        if let Some(commands) = self.shared.commands.lock().as_ref()
            && commands.try_send(Command::Cancel(id)).is_err()
        {
            tracing::trace!(id, "the watch will end when its next event finds no reader");
        }
    }
}

/// A running watch; dropping it ends it.
pub struct Watcher {
    hub: Hub,
    id: u64,
    spec: WatchSpec,
    events: mpsc::Receiver<Batch>,
    /// False while initial events are under way: half of a state cannot be continued.
    resumable: bool,
}

impl Watcher {
    /// The next events, in order. A broken connection is not seen here: the watch goes on at another master.
    ///
    /// # Errors
    /// 410 if the revision is too old (list again); whatever else the server refuses the watch with.
    pub async fn next(&mut self) -> Result<Vec<WireEvent>> {
        loop {
            match self.events.recv().await {
                Some(Ok(batch)) => {
                    self.note(&batch);
                    return Ok(batch);
                }
                // A master that lags behind, or has no leader just now, asks to come again.
                Some(Err(error)) if self.resumable && error.retry_after().is_some() => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    self.restart().await?;
                }
                Some(Err(error)) => return Err(error),
                // Cut off for being slow: everything queued has been read, so go on after it.
                None if self.resumable => self.restart().await?,
                None => return Err(expired()),
            }
        }
    }

    /// The revision after which this watch would resume.
    pub fn resource_version(&self) -> &str {
        &self.spec.resource_version
    }

    fn note(&mut self, batch: &[WireEvent]) {
        if self.spec.send_initial_events {
            self.resumable = batch.iter().any(|e| e.initial_events_end);
            self.spec.send_initial_events = !self.resumable;
        }
        if let Some(last) = batch.last().filter(|_| self.resumable) {
            self.spec.resource_version = last.revision.to_string();
        }
    }

    async fn restart(&mut self) -> Result<()> {
        let (id, events) = self.hub.start(self.spec.clone()).await?;
        (self.id, self.events) = (id, events);
        Ok(())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.hub.cancel(self.id);
    }
}

/// One watch as the pump knows it.
struct Registered {
    spec: WatchSpec,
    sink: mpsc::Sender<Batch>,
}

struct Pump {
    transport: Transport,
    commands: mpsc::Receiver<Command>,
    watches: HashMap<u64, Registered>,
}

/// Why a stream is over.
enum End {
    /// All clients are gone.
    Closed,
    /// It broke; whether it had worked.
    Broken { worked: bool },
}

impl Pump {
    async fn run(mut self) {
        let mut retry = self.retry();
        loop {
            if self.watches.is_empty() {
                match self.commands.recv().await {
                    Some(command) => self.register(command),
                    None => return,
                };
                continue;
            }
            let mark = self.transport.mark();
            match self.stream().await {
                End::Closed => return,
                End::Broken { worked } => {
                    if worked {
                        retry = self.retry();
                    }
                    self.transport.fail(mark);
                    tokio::time::sleep(retry.pause()).await;
                }
            }
        }
    }

    fn retry(&self) -> Retry {
        Retry::new(self.transport.servers().len())
    }

    /// Opens a stream with all watches and serves it until it breaks.
    async fn stream(&mut self) -> End {
        while let Ok(command) = self.commands.try_recv() {
            self.register(command);
        }
        let (outgoing, requests) = mpsc::channel(self.watches.len() + COMMAND_CAPACITY);
        for (id, watch) in &self.watches {
            if outgoing.try_send(start(*id, &watch.spec)).is_err() {
                return End::Broken { worked: false };
            }
        }
        let mut client = self.transport.objects();
        let open = client.watch(ReceiverStream::new(requests));
        let mut updates = match tokio::time::timeout(OPEN_TIMEOUT, open).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return self.refused(&status),
            Err(_) => return End::Broken { worked: false },
        };
        let mut worked = false;
        loop {
            tokio::select! {
                update = updates.message() => match update {
                    Ok(Some(update)) => {
                        worked = true;
                        self.deliver(update, &outgoing);
                    }
                    Ok(None) | Err(_) => return End::Broken { worked },
                },
                command = self.commands.recv() => {
                    let Some(command) = command else { return End::Closed };
                    if let Some(wire) = self.register(command) && outgoing.send(wire).await.is_err() {
                        return End::Broken { worked };
                    }
                }
            }
        }
    }

    /// Takes a command over; returns what the server must hear of it.
    fn register(&mut self, command: Command) -> Option<v1::WatchCommand> {
        match command {
            Command::Start { id, spec, sink } => {
                let wire = start(id, &spec);
                self.watches.insert(id, Registered { spec: *spec, sink });
                Some(wire)
            }
            Command::Cancel(id) => self.watches.remove(&id).map(|_| cancel(id)),
        }
    }

    /// An answer that another master would give as well goes to all readers.
    fn refused(&mut self, status: &tonic::Status) -> End {
        if let Outcome::Refused(Error::Api(answer)) = classify(status)
            && matches!(answer.code, Some(401 | 403))
        {
            for (_, watch) in self.watches.drain() {
                offer(&watch.sink, Err(Error::Api(answer.clone())));
            }
        }
        End::Broken { worked: false }
    }

    fn deliver(&mut self, update: v1::WatchUpdate, outgoing: &mpsc::Sender<v1::WatchCommand>) {
        let id = update.id;
        let Some(watch) = self.watches.get_mut(&id) else { return };
        let keep = match update.update {
            Some(Update::Events(events)) => watch.events(events),
            Some(Update::Error(status)) => {
                offer(&watch.sink, Err(failure(&status)));
                self.watches.remove(&id);
                return;
            }
            None => true,
        };
        if !keep {
            self.watches.remove(&id);
            if outgoing.try_send(cancel(id)).is_err() {
                tracing::debug!(id, "could not cancel a watch; its events will be ignored");
            }
        }
    }
}

impl Registered {
    /// False if the reader is gone or too slow.
    fn events(&mut self, events: v1::WatchEvents) -> bool {
        let batch: Vec<WireEvent> = events.events.into_iter().map(WireEvent::from).collect();
        let Some(last) = batch.last().map(|e| e.revision) else { return true };
        let complete = batch.iter().any(|e| e.initial_events_end);
        if !offer(&self.sink, Ok(batch)) {
            return false;
        }
        if complete {
            self.spec.send_initial_events = false;
        }
        if !self.spec.send_initial_events {
            self.spec.resource_version = last.to_string();
        }
        true
    }
}

fn offer(sink: &mpsc::Sender<Batch>, batch: Batch) -> bool {
    sink.try_send(batch).is_ok()
}

impl From<v1::WatchEvent> for WireEvent {
    fn from(event: v1::WatchEvent) -> Self {
        WireEvent {
            kind: event.r#type(),
            revision: event.revision,
            initial_events_end: event.initial_events_end,
            object: event.object,
        }
    }
}

fn start(id: u64, spec: &WatchSpec) -> v1::WatchCommand {
    let start = v1::WatchStart {
        id,
        r#ref: Some(spec.reference.clone()),
        label_selector: spec.labels.clone(),
        field_selector: spec.fields.clone(),
        resource_version: spec.resource_version.clone(),
        send_initial_events: spec.send_initial_events,
        bookmarks: true,
    };
    v1::WatchCommand { command: Some(WireCommand::Start(start)) }
}

fn cancel(id: u64) -> v1::WatchCommand {
    v1::WatchCommand { command: Some(WireCommand::Cancel(id)) }
}

fn failure(status: &[u8]) -> Error {
    match serde_json::from_slice(status) {
        Ok(status) => Error::Api(Box::new(status)),
        Err(source) => Error::Codec { what: "the error of a watch", source },
    }
}

fn expired() -> Error {
    let status = k8s_openapi::apimachinery::pkg::apis::meta::v1::Status {
        code: Some(410),
        reason: Some("Expired".into()),
        message: Some("the reader was too slow for the initial events".into()),
        ..Default::default()
    };
    Error::Api(Box::new(status))
}
