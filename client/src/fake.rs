//! An API server in memory, for tests: keys, revisions, a history to watch; no validation and no access rules.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::Stream;
use mainstay_proto::STATUS_TRAILER;
use mainstay_proto::v1::objects_server::{Objects, ObjectsServer};
use mainstay_proto::v1::watch_command::Command;
use mainstay_proto::v1::watch_update::Update;
use mainstay_proto::v1::*;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status, Streaming};

use crate::client::Client;
use crate::transport::Transport;

/// State that several fake masters may share.
#[derive(Clone)]
pub(crate) struct Fake {
    state: Arc<Mutex<State>>,
    revision: Arc<watch::Sender<u64>>,
    /// Calls that end with "come again" before the next one is served.
    pub(crate) refuse: Arc<AtomicU64>,
    /// Watches from before this revision are answered with 410.
    pub(crate) oldest: Arc<AtomicU64>,
    /// See [`Fake::in_pages`].
    pages: Option<Arc<Semaphore>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(String, String, String), Value>,
    history: Vec<(u64, WatchEventType, ResourceRef, Value)>,
}

impl Default for Fake {
    fn default() -> Self {
        Fake {
            state: Arc::default(),
            revision: Arc::new(watch::Sender::new(0)),
            refuse: Arc::default(),
            oldest: Arc::default(),
            pages: None,
        }
    }
}

impl Fake {
    /// One whose lists have one object a page; each page but the first waits for a permit.
    pub(crate) fn in_pages(pages: Arc<Semaphore>) -> Self {
        Self { pages: Some(pages), ..Self::default() }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Transport::in_process(ObjectsServer::new(self.clone())))
    }

    /// Serves on a free port until the token is cancelled; connections are then cut, as when a process is killed.
    pub(crate) async fn serve(&self, stop: CancellationToken) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(ObjectsServer::new(self.clone()));
        // A runtime of its own: connections are tasks that end only with it.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    result = server.serve_with_incoming(TcpListenerStream::new(listener)) => result.unwrap(),
                    () = stop.cancelled() => {}
                }
            });
        });
        address
    }

    fn write(&self, kind: WatchEventType, r: &ResourceRef, mut object: Value) -> Value {
        let mut state = self.state.lock();
        let revision = *self.revision.borrow() + 1;
        object["metadata"]["resourceVersion"] = revision.to_string().into();
        if kind == WatchEventType::Deleted {
            state.objects.remove(&key(r));
        } else {
            state.objects.insert(key(r), object.clone());
        }
        state.history.push((revision, kind, r.clone(), object.clone()));
        drop(state);
        self.revision.send_replace(revision);
        object
    }

    fn find(&self, r: &ResourceRef) -> Result<Value, Status> {
        let found = self.state.lock().objects.get(&key(r)).cloned();
        found.ok_or_else(|| failed(404, "NotFound", &format!("{} {:?} not found", r.resource, r.name), None))
    }

    fn listed(&self, r: &ResourceRef) -> Vec<Bytes> {
        let state = self.state.lock();
        let matching = state.objects.iter().filter(|((resource, namespace, _), _)| {
            *resource == r.resource && (r.namespace.is_empty() || *namespace == r.namespace)
        });
        matching.map(|(_, object)| bytes(object)).collect()
    }

    fn admit(&self) -> Result<(), Status> {
        let left = self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() { Err(failed(503, "ServiceUnavailable", "no leader", Some(1))) } else { Ok(()) }
    }

    fn events_after(&self, start: &WatchStart, after: u64) -> Vec<WatchEvent> {
        let state = self.state.lock();
        let r = start.r#ref.clone().unwrap_or_default();
        let matching = state.history.iter().filter(|(revision, _, of, _)| {
            *revision > after && of.resource == r.resource && (r.namespace.is_empty() || of.namespace == r.namespace)
        });
        let event = |(revision, kind, _, object): &(u64, WatchEventType, ResourceRef, Value)| WatchEvent {
            r#type: (*kind).into(),
            object: bytes(object),
            revision: *revision,
            initial_events_end: false,
        };
        matching.map(event).collect()
    }
}

fn key(r: &ResourceRef) -> (String, String, String) {
    (r.resource.clone(), r.namespace.clone(), r.name.clone())
}

fn bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

fn failed(code: i32, reason: &str, message: &str, retry: Option<i32>) -> Status {
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "reason": reason, "message": message});
    if let Some(seconds) = retry {
        status["details"]["retryAfterSeconds"] = seconds.into();
    }
    let mut trailer = MetadataMap::new();
    trailer.insert_bin(STATUS_TRAILER, MetadataValue::from_bytes(&bytes(&status)));
    let grpc = match code {
        404 => tonic::Code::NotFound,
        409 => tonic::Code::Aborted,
        503 => tonic::Code::Unavailable,
        _ => tonic::Code::OutOfRange,
    };
    Status::with_metadata(grpc, message, trailer)
}

type Answer = Result<Response<ObjectResponse>, Status>;

fn answer(object: &Value) -> Answer {
    Ok(Response::new(ObjectResponse { object: bytes(object), created: false }))
}

fn named(r: Option<ResourceRef>, object: &Value) -> ResourceRef {
    let mut r = r.unwrap_or_default();
    if r.name.is_empty() {
        r.name = object["metadata"]["name"].as_str().unwrap_or("").into();
    }
    r
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name], value);
        }
    }
}

#[tonic::async_trait]
impl Objects for Fake {
    async fn get(&self, request: Request<GetRequest>) -> Answer {
        self.admit()?;
        answer(&self.find(&request.into_inner().r#ref.unwrap_or_default())?)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.admit()?;
        let request = request.into_inner();
        let items = self.listed(&request.r#ref.unwrap_or_default());
        let resource_version = self.revision.borrow().to_string();
        let Some(pages) = &self.pages else {
            return Ok(Response::new(ListResponse { items, resource_version, ..Default::default() }));
        };
        let first = request.r#continue.parse().unwrap_or(0);
        if first > 0 {
            pages.acquire().await.unwrap().forget();
        }
        let r#continue = if first + 1 < items.len() { (first + 1).to_string() } else { String::new() };
        let items = items.into_iter().skip(first).take(1).collect();
        Ok(Response::new(ListResponse { items, resource_version, r#continue, ..Default::default() }))
    }

    async fn create(&self, request: Request<CreateRequest>) -> Answer {
        self.admit()?;
        let request = request.into_inner();
        let mut object: Value = serde_json::from_slice(&request.object).unwrap();
        let r = named(request.r#ref, &object);
        if self.find(&r).is_ok() {
            return Err(failed(409, "AlreadyExists", "already exists", None));
        }
        object["metadata"]["uid"] = format!("uid-{}", *self.revision.borrow() + 1).into();
        answer(&self.write(WatchEventType::Added, &r, object))
    }

    async fn update(&self, request: Request<UpdateRequest>) -> Answer {
        self.admit()?;
        let request = request.into_inner();
        let object: Value = serde_json::from_slice(&request.object).unwrap();
        let r = named(request.r#ref, &object);
        let old = self.find(&r)?;
        let version = &object["metadata"]["resourceVersion"];
        if !version.is_null() && *version != old["metadata"]["resourceVersion"] {
            return Err(failed(409, "Conflict", "the object has been modified", None));
        }
        answer(&self.write(WatchEventType::Modified, &r, object))
    }

    async fn patch(&self, request: Request<PatchRequest>) -> Answer {
        let request = request.into_inner();
        let r = request.r#ref.unwrap_or_default();
        let mut object = self.find(&r)?;
        merge(&mut object, &serde_json::from_slice(&request.patch).unwrap());
        answer(&self.write(WatchEventType::Modified, &r, object))
    }

    async fn apply(&self, _: Request<ApplyRequest>) -> Answer {
        Err(Status::unimplemented("not in the fake"))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Answer {
        let r = request.into_inner().r#ref.unwrap_or_default();
        let object = self.find(&r)?;
        answer(&self.write(WatchEventType::Deleted, &r, object))
    }

    async fn delete_collection(&self, _: Request<DeleteCollectionRequest>) -> Result<Response<ListResponse>, Status> {
        Err(Status::unimplemented("not in the fake"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("not in the fake"))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchUpdate, Status>> + Send>>;

    async fn watch(&self, request: Request<Streaming<WatchCommand>>) -> Result<Response<Self::WatchStream>, Status> {
        let (sink, updates) = mpsc::channel(64);
        tokio::spawn(serve_watches(self.clone(), request.into_inner(), sink));
        Ok(Response::new(Box::pin(ReceiverStream::new(updates))))
    }
}

async fn serve_watches(
    fake: Fake,
    mut commands: Streaming<WatchCommand>,
    sink: mpsc::Sender<Result<WatchUpdate, Status>>,
) {
    let mut watches: BTreeMap<u64, (WatchStart, u64)> = BTreeMap::new();
    let mut revisions = fake.revision.subscribe();
    loop {
        let mut updates = Vec::new();
        for (id, (start, after)) in &mut watches {
            let events = fake.events_after(start, *after);
            if let Some(last) = events.last() {
                *after = last.revision;
                updates.push(WatchUpdate { id: *id, update: Some(Update::Events(WatchEvents { events })) });
            }
        }
        for update in updates {
            if sink.send(Ok(update)).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            command = commands.message() => match command {
                Ok(Some(WatchCommand { command: Some(Command::Start(start)) })) => {
                    let after = start.resource_version.parse().unwrap_or(0);
                    if after < fake.oldest.load(Ordering::SeqCst) {
                        let status = json!({"code": 410, "reason": "Expired", "message": "too old"});
                        let update = WatchUpdate { id: start.id, update: Some(Update::Error(bytes(&status))) };
                        sink.send(Ok(update)).await.ok();
                    } else {
                        watches.insert(start.id, (start, after));
                    }
                }
                Ok(Some(WatchCommand { command: Some(Command::Cancel(id)) })) => drop(watches.remove(&id)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}
