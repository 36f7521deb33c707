//! Events about objects. Recording never waits and never fails: a full queue drops its oldest entry. Repetitions raise the
//! count of the event that is there; many events that differ only in their message are combined.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource as WireSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::client::Client;
use crate::error::Result;
use crate::object::Object;
use crate::options::Patch;

const QUEUE: usize = 1000;
const CACHE: usize = 4096;
/// So many similar events within `SIMILAR_WINDOW` are told apart; more are combined into one.
const SIMILAR_LIMIT: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// Events about one object: so many at once, then one each `REFILL`.
const BURST: f64 = 25.0;
const REFILL: Duration = Duration::from_secs(300);
const ATTEMPTS: u32 = 4;
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Whether something to worry about happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            EventType::Normal => "Normal",
            EventType::Warning => "Warning",
        }
    }
}

/// Who reports.
#[derive(Clone, Debug)]
pub struct EventSource {
    /// "deployment-controller", "kubelet", …
    pub component: String,
    /// The node, for agents; else empty.
    pub host: String,
}

impl EventSource {
    /// A reporter without host.
    pub fn component(name: &str) -> Self {
        EventSource { component: name.into(), host: String::new() }
    }
}

/// Takes events; clones share the queue.
#[derive(Clone)]
pub struct EventRecorder {
    queue: Arc<Queue>,
    source: Arc<EventSource>,
}

struct Queue {
    waiting: Mutex<VecDeque<Occurrence>>,
    added: Notify,
}

#[derive(Clone, Debug)]
struct Occurrence {
    regarding: ObjectReference,
    kind: EventType,
    reason: String,
    message: String,
    source: Arc<EventSource>,
    at: Timestamp,
}

impl EventRecorder {
    /// A recorder whose events are sent by a task of its own until `stop`.
    pub fn start(client: &Client, source: EventSource, stop: CancellationToken) -> Self {
        let queue = Arc::new(Queue { waiting: Mutex::new(VecDeque::new()), added: Notify::new() });
        let sender =
            Sender { events: Api::all(client.clone()), queue: queue.clone(), correlator: Correlator::default() };
        tokio::spawn(async move {
            tokio::select! {
                () = sender.run() => {}
                () = stop.cancelled() => {}
            }
        });
        EventRecorder { queue, source: Arc::new(source) }
    }

    /// The same queue under another name.
    #[must_use]
    pub fn with_source(&self, source: EventSource) -> Self {
        EventRecorder { queue: self.queue.clone(), source: Arc::new(source) }
    }

    /// Records that something happened to `object`.
    pub fn event<K: Object>(&self, object: &K, kind: EventType, reason: &str, message: impl Into<String>) {
        self.event_for(reference(object), kind, reason, message);
    }

    /// Records that something happened to what `regarding` names (with a `fieldPath`, to a part of it).
    pub fn event_for(&self, regarding: ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        let message: String = message.into().chars().take(1024).collect();
        let occurrence = Occurrence {
            regarding,
            kind,
            reason: reason.to_owned(),
            message,
            source: self.source.clone(),
            at: Timestamp::now(),
        };
        let mut waiting = self.queue.waiting.lock();
        if waiting.len() >= QUEUE {
            waiting.pop_front();
        }
        waiting.push_back(occurrence);
        drop(waiting);
        self.queue.added.notify_one();
    }
}

fn reference<K: Object>(object: &K) -> ObjectReference {
    let meta = object.metadata();
    ObjectReference {
        api_version: Some(K::API_VERSION.into()),
        kind: Some(K::KIND.into()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        resource_version: meta.resource_version.clone(),
        uid: meta.uid.clone(),
        field_path: None,
    }
}

/// What makes two occurrences the same event.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Identity {
    component: String,
    host: String,
    object: (String, String, String, String, String),
    kind: EventType,
    reason: String,
    message: String,
}

impl Identity {
    fn of(o: &Occurrence) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let r = &o.regarding;
        Identity {
            component: o.source.component.clone(),
            host: o.source.host.clone(),
            object: (text(&r.kind), text(&r.namespace), text(&r.name), text(&r.uid), text(&r.field_path)),
            kind: o.kind,
            reason: o.reason.clone(),
            message: o.message.clone(),
        }
    }
}

/// An event that was sent.
#[derive(Clone)]
struct Sent {
    name: String,
    count: i32,
    at: Instant,
}

struct Similar {
    messages: Vec<String>,
    since: Instant,
}

struct Budget {
    tokens: f64,
    at: Instant,
}

/// Decides what becomes of an occurrence; no I/O.
#[derive(Default)]
struct Correlator {
    sent: HashMap<Identity, Sent>,
    similar: HashMap<Identity, Similar>,
    budgets: HashMap<Identity, Budget>,
}

impl Correlator {
    /// The occurrence as it shall be told, or None if its object has had too many.
    fn admit(&mut self, mut occurrence: Occurrence, now: Instant) -> Option<(Identity, Occurrence)> {
        self.make_room();
        let mut family = Identity::of(&occurrence);
        let message = std::mem::take(&mut family.message);
        let fresh = || Similar { messages: Vec::new(), since: now };
        let similar = self.similar.entry(family.clone()).or_insert_with(fresh);
        if now.duration_since(similar.since) > SIMILAR_WINDOW {
            *similar = fresh();
        }
        if !similar.messages.contains(&message) && similar.messages.len() < SIMILAR_LIMIT {
            similar.messages.push(message.clone());
        }
        let mut identity = Identity { message: message.clone(), ..family.clone() };
        if !similar.messages.contains(&message) {
            occurrence.message = format!("(combined from similar events): {message}");
            identity.message = String::from("(combined)");
        }
        family.reason.clear();
        self.spend(family, now).then_some((identity, occurrence))
    }

    fn spend(&mut self, object: Identity, now: Instant) -> bool {
        let budget = self.budgets.entry(object).or_insert(Budget { tokens: BURST, at: now });
        let refill = now.duration_since(budget.at).as_secs_f64() / REFILL.as_secs_f64();
        budget.tokens = (budget.tokens + refill).min(BURST);
        budget.at = now;
        if budget.tokens < 1.0 {
            return false;
        }
        budget.tokens -= 1.0;
        true
    }

    /// Forgetting only means that an event is sent anew instead of counted.
    fn make_room(&mut self) {
        if self.sent.len() >= CACHE {
            self.sent.clear();
        }
        if self.similar.len() >= CACHE {
            self.similar.clear();
        }
        if self.budgets.len() >= CACHE {
            self.budgets.clear();
        }
    }
}

struct Sender {
    events: Api<Event>,
    queue: Arc<Queue>,
    correlator: Correlator,
}

impl Sender {
    async fn run(mut self) {
        loop {
            let next = self.queue.waiting.lock().pop_front();
            match next {
                Some(occurrence) => self.process(occurrence).await,
                None => self.queue.added.notified().await,
            }
        }
    }

    async fn process(&mut self, occurrence: Occurrence) {
        let Some((identity, occurrence)) = self.correlator.admit(occurrence, Instant::now()) else { return };
        let seen = self.correlator.sent.get(&identity).filter(|s| s.at.elapsed() < SIMILAR_WINDOW).cloned();
        for attempt in 1..=ATTEMPTS {
            match self.send(&occurrence, seen.as_ref()).await {
                Ok(sent) => {
                    self.correlator.sent.insert(identity, sent);
                    return;
                }
                Err(error) if attempt == ATTEMPTS || error.code() != 0 => {
                    tracing::debug!(%error, reason = %occurrence.reason, "an event was not recorded");
                    return;
                }
                Err(_) => tokio::time::sleep(RETRY_PAUSE * attempt).await,
            }
        }
    }

    async fn send(&self, occurrence: &Occurrence, seen: Option<&Sent>) -> Result<Sent> {
        let namespace = event_namespace(&occurrence.regarding);
        let api = self.events.within(namespace);
        if let Some(sent) = seen {
            let count = sent.count + 1;
            let patch = json!({"count": count, "message": occurrence.message, "lastTimestamp": Time(occurrence.at)});
            match api.patch(&sent.name, &Patch::Merge(patch)).await {
                Err(error) if error.is_not_found() => {}
                other => return other.map(|_| Sent { name: sent.name.clone(), count, at: Instant::now() }),
            }
        }
        let event = wire_event(occurrence, namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&event).await?;
        Ok(Sent { name, count: 1, at: Instant::now() })
    }
}

/// Events about cluster-scoped objects live in `default`.
fn event_namespace(regarding: &ObjectReference) -> &str {
    regarding.namespace.as_deref().filter(|n| !n.is_empty()).unwrap_or("default")
}

fn wire_event(o: &Occurrence, namespace: &str) -> Event {
    let name = format!("{}.{:x}", o.regarding.name.as_deref().unwrap_or(""), o.at.as_nanosecond());
    let host = Some(o.source.host.clone()).filter(|h| !h.is_empty());
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: Some(namespace.into()), ..Default::default() },
        involved_object: o.regarding.clone(),
        reason: Some(o.reason.clone()),
        message: Some(o.message.clone()),
        type_: Some(o.kind.as_str().into()),
        source: Some(WireSource { component: Some(o.source.component.clone()), host: host.clone() }),
        reporting_component: Some(o.source.component.clone()),
        reporting_instance: host,
        first_timestamp: Some(Time(o.at)),
        last_timestamp: Some(Time(o.at)),
        count: Some(1),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn occurrence(message: &str) -> Occurrence {
        Occurrence {
            regarding: ObjectReference { name: Some("web".into()), ..Default::default() },
            kind: EventType::Normal,
            reason: "Pulled".into(),
            message: message.into(),
            source: Arc::new(EventSource::component("test")),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn more_than_ten_messages_of_one_reason_are_combined() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        for i in 0..10 {
            let (_, told) = correlator.admit(occurrence(&i.to_string()), now).unwrap();
            assert_eq!(told.message, i.to_string());
        }
        let (a, told) = correlator.admit(occurrence("x"), now).unwrap();
        assert_eq!(told.message, "(combined from similar events): x");
        let (b, _) = correlator.admit(occurrence("y"), now).unwrap();
        assert!(a == b, "combined events count as one");
    }

    #[test]
    fn an_object_gets_so_many_events_and_more_after_a_while() {
        let mut correlator = Correlator::default();
        let now = Instant::now();
        let admitted = (0..40).filter(|_| correlator.admit(occurrence("same"), now).is_some()).count();
        assert_eq!(admitted, 25);
        assert!(correlator.admit(occurrence("same"), now + REFILL).is_some());
    }
}
