//! Many watches over one stream: each runs as a task of its own and writes into the stream's bounded queue.

use std::collections::HashMap;
use std::sync::Arc;

use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::watch_command::Command;
use mainstay_proto::v1::watch_update::Update;
use mainstay_proto::v1::{WatchCommand, WatchEvent, WatchEventType, WatchEvents, WatchStart, WatchUpdate};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::access::target;
use super::asking::{Asking, Way};
use crate::engine::{Target, WatchEventKind, WatchItem, WatchOptions, stored_to_request};
use crate::rest::Rest;

/// Updates that wait for a slow client before its watches wait too.
const QUEUE: usize = 64;
/// Events that travel in one update; more only to keep a revision whole.
const BATCH: usize = 256;

pub(crate) type Updates = ReceiverStream<Result<WatchUpdate, tonic::Status>>;
type Sender = mpsc::Sender<Result<WatchUpdate, tonic::Status>>;

/// Serves the watches of one stream until the client ends it, the server stops, or other masters know more.
pub(crate) fn serve(rest: Arc<Rest>, way: Arc<Way>, commands: Streaming<WatchCommand>) -> Updates {
    let (sender, updates) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        let all = rest.stop.child_token();
        let _ends_all = all.clone().drop_guard();
        tokio::select! {
            () = run(rest.clone(), way, commands, &sender, &all) => {}
            () = all.cancelled() => {}
            () = sender.closed() => {}
            () = rest.engine.store.cut_off() => {
                let told = sender.send(Err(tonic::Status::unavailable("this master is cut off from the others"))).await;
                tracing::debug!(told = told.is_ok(), "the watches of a client go elsewhere");
            }
        }
    });
    ReceiverStream::new(updates)
}

async fn run(
    rest: Arc<Rest>,
    way: Arc<Way>,
    mut commands: Streaming<WatchCommand>,
    sender: &Sender,
    all: &CancellationToken,
) {
    let mut running: HashMap<u64, CancellationToken> = HashMap::new();
    loop {
        match commands.message().await {
            Ok(Some(WatchCommand { command: Some(Command::Start(start)) })) => {
                running.retain(|_, token| !token.is_cancelled());
                let token = all.child_token();
                if let Some(before) = running.insert(start.id, token.clone()) {
                    before.cancel();
                }
                tokio::spawn(one(rest.clone(), way.clone(), start, sender.clone(), token));
            }
            Ok(Some(WatchCommand { command: Some(Command::Cancel(id)) })) => {
                if let Some(token) = running.remove(&id) {
                    token.cancel();
                }
            }
            Ok(Some(WatchCommand { command: None })) => {}
            // Half closed: the client starts no more watches, but the running ones go on.
            Ok(None) => std::future::pending().await,
            Err(_) => return,
        }
    }
}

async fn one(rest: Arc<Rest>, way: Arc<Way>, start: WatchStart, sender: Sender, token: CancellationToken) {
    let id = start.id;
    let ended = tokio::select! {
        () = token.cancelled() => None,
        ended = follow(&rest, way, start, &sender) => ended,
    };
    token.cancel();
    if let Some(status) = ended {
        let update = WatchUpdate { id, update: Some(Update::Error(status.to_json().into())) };
        if sender.send(Ok(update)).await.is_err() {
            tracing::debug!(id, "the client of a watch is gone");
        }
    }
}

/// Runs a watch to its end: why it ended, or `None` if the client is gone.
async fn follow(rest: &Arc<Rest>, way: Arc<Way>, start: WatchStart, sender: &Sender) -> Option<Status> {
    let id = start.id;
    let asking = Asking::by(rest, way);
    let (target, mut stream) = match open(rest, &asking, start).await {
        Ok(opened) => opened,
        Err(status) => {
            asking.refused(&status);
            return Some(status);
        }
    };
    asking.began();
    let mut over = target.row.over();
    loop {
        let items = tokio::select! {
            items = stream.batch(BATCH) => items,
            () = &mut over, if target.row.custom => {
                return Some(Status::expired("what is watched is defined otherwise now, and the watch has to begin again"));
            }
        };
        // Clients resume after the last event of an update.
        let Some(items) = items else {
            return Some(Status::expired("the watch was too slow and has to begin again"));
        };
        let mut shown = Vec::with_capacity(items.len());
        for item in items {
            let item = rest.engine.converted_item(&target.row, item).await;
            shown.extend(stream.judged(item));
        }
        if shown.is_empty() {
            continue;
        }
        let events = shown.into_iter().map(|item| event(&target, item)).collect::<ApiResult<Vec<_>>>();
        let events = match events {
            Ok(events) => events,
            Err(status) => return Some(status),
        };
        let update = WatchUpdate { id, update: Some(Update::Events(WatchEvents { events })) };
        if sender.send(Ok(update)).await.is_err() {
            return None;
        }
    }
}

async fn open(rest: &Rest, asking: &Asking, start: WatchStart) -> ApiResult<(Target, crate::engine::WatchStream)> {
    let mut target = target(rest, start.r#ref).await?;
    let named = std::mem::take(&mut target.name);
    let field_selector = if named.is_empty() { start.field_selector } else { format!("metadata.name={named}") };
    asking.authorize("watch", &Target { name: named, ..target.clone() }, &field_selector).await?;
    let options = WatchOptions {
        label_selector: start.label_selector,
        field_selector,
        resource_version: start.resource_version,
        resource_version_match: if start.send_initial_events { "NotOlderThan".into() } else { String::new() },
        continuation: String::new(),
        send_initial_events: start.send_initial_events.then_some(true),
        bookmarks: start.bookmarks || start.send_initial_events,
    };
    let stream = rest.engine.watch(&target, &options).await?;
    Ok((target, stream))
}

fn event(target: &Target, item: WatchItem) -> ApiResult<WatchEvent> {
    match item {
        WatchItem::Event { kind, object, revision } => {
            let kind = match kind {
                WatchEventKind::Added => WatchEventType::Added,
                WatchEventKind::Modified => WatchEventType::Modified,
                WatchEventKind::Deleted => WatchEventType::Deleted,
            };
            let object = stored_to_request(&target.row, object)?;
            Ok(WatchEvent { r#type: kind.into(), object, revision: revision.0, initial_events_end: false })
        }
        WatchItem::Bookmark { revision, initial_end } => {
            let metadata = json!({"resourceVersion": revision.0.to_string()});
            let object = json!({"apiVersion": target.row.api_version(), "kind": target.kind(), "metadata": metadata})
                .to_string()
                .into();
            Ok(WatchEvent {
                r#type: WatchEventType::Bookmark.into(),
                object,
                revision: revision.0,
                initial_events_end: initial_end,
            })
        }
    }
}
