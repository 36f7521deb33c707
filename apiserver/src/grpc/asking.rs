//! A call on its way: who calls, the turn that it waited for, and the audit trails of what it asks.

use std::sync::Arc;

use bytes::Bytes;
use mainstay_api::status::{ApiResult, Status};
use mainstay_proto::v1::{ListResponse, ObjectResponse, TxnResponse, WriteOptions as WireOptions};
use parking_lot::Mutex;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response};

use crate::audit::{Content, Trail};
use crate::engine::{Call, Target};
use crate::flow::Permit;
use crate::gate::{Arrival, Caller};
use crate::rest::Rest;
use crate::user::UserInfo;

/// How a call came in; in the extensions of every request.
pub(crate) struct Way {
    /// Path and headers of the request, if they are to be audited.
    pub parts: Option<http::request::Parts>,
    /// When.
    pub arrival: Arrival,
    /// Who calls.
    pub caller: Caller,
}

/// A call, or one watch of a stream of watches.
pub(crate) struct Asking {
    rest: Arc<Rest>,
    way: Arc<Way>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    permit: Option<Permit>,
    trails: Vec<Trail>,
}

impl Asking {
    /// The call of a request.
    ///
    /// # Errors
    /// 401 if it did not come through the gate.
    pub fn of(rest: &Arc<Rest>, extensions: &Extensions) -> ApiResult<Self> {
        let way = extensions.get::<Arc<Way>>().ok_or_else(Status::unauthorized)?;
        Ok(Self::by(rest, way.clone()))
    }

    /// Another call that came the same way.
    pub fn by(rest: &Arc<Rest>, way: Arc<Way>) -> Self {
        Self { rest: rest.clone(), way, held: Mutex::default() }
    }

    /// Who calls.
    pub fn user(&self) -> &UserInfo {
        &self.way.caller.user
    }

    /// A call of the engine.
    pub fn call(&self, metadata: &MetadataMap, options: Option<&WireOptions>) -> Call {
        super::access::call(self.user().clone(), metadata, options)
    }

    /// Waits for the call's turn and asks the authorizer, once for everything that it does.
    ///
    /// # Errors
    /// 429, 403, and 405 for verbs that are not served.
    pub async fn authorize(&self, verb: &str, target: &Target, field_selector: &str) -> ApiResult<()> {
        let attributes = super::access::attributes(self.user(), verb, target, field_selector);
        let gate = &self.rest.gate;
        let parts = self.way.parts.as_ref();
        let trail = parts.and_then(|parts| gate.trail(parts, &self.way.arrival, &self.way.caller, &attributes));
        self.held.lock().trails.extend(trail);
        if self.held.lock().permit.is_none() {
            let permit = gate.turn(&attributes, || self.seats(verb, target)).await.1?;
            self.held.lock().permit = permit;
        }
        gate.authorize(&attributes, self.held.lock().trails.last_mut())?;
        super::access::check_served(verb, target)
    }

    fn seats(&self, verb: &str, target: &Target) -> u32 {
        let row = &target.row.resource;
        if verb == "list" { self.rest.seats_of_list(&row.group, &row.version, &row.resource, 0) } else { 1 }
    }

    /// The body of what was authorized last.
    pub fn sent(&self, body: &Bytes) {
        if let Some(trail) = self.held.lock().trails.last_mut().filter(|trail| trail.wants_request()) {
            trail.request(Content::json(body.clone()));
        }
    }

    /// What admission had to say of the call; of a transaction of several writes nobody can tell of which.
    pub fn noted(&self, call: &Call) {
        if let [trail] = self.held.lock().trails.as_mut_slice() {
            trail.noted(call.notes.clone());
        }
    }

    /// A watch has begun: it needs no turn any more.
    pub fn began(&self) {
        let mut held = self.held.lock();
        held.permit = None;
        held.trails.iter_mut().for_each(|trail| trail.started(200));
    }

    /// Ends the call with its answer.
    pub fn told<T: Told>(self, result: ApiResult<Response<T>>) -> Result<Response<T>, tonic::Status> {
        match result {
            Ok(response) => {
                for trail in self.held.into_inner().trails {
                    let shown = if trail.wants_response(200) { response.get_ref().content() } else { None };
                    trail.complete(200, shown.map(Content::json));
                }
                Ok(response)
            }
            Err(status) => {
                self.refused(&status);
                Err(super::status(&status))
            }
        }
    }

    /// Ends the call with a refusal.
    pub fn refused(self, status: &Status) {
        for trail in self.held.into_inner().trails {
            trail.complete(status.code(), Some(Content::json(status.to_json().into())));
        }
    }
}

/// An answer whose content may be audited.
pub(crate) trait Told {
    /// JSON, if there is something to show.
    fn content(&self) -> Option<Bytes>;
}

impl Told for ObjectResponse {
    fn content(&self) -> Option<Bytes> {
        Some(self.object.clone())
    }
}

impl Told for ListResponse {
    fn content(&self) -> Option<Bytes> {
        Some(list(self.items.iter()))
    }
}

impl Told for TxnResponse {
    fn content(&self) -> Option<Bytes> {
        Some(list(self.results.iter().map(|result| &result.object)))
    }
}

fn list<'a>(items: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut out = b"{\"kind\":\"List\",\"items\":[".to_vec();
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.extend_from_slice(b"]}");
    out.into()
}
