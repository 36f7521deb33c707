//! A request on its way: what is known of it, and the events that it leaves.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use jiff::Timestamp;
use tonic::body::Body;

use super::content::Content;
use super::event::{Event, Head, Target};
use super::{Audit, Decision, Level, Notes, Stage};
use crate::authz::{AuthzAttributes, Verdict};
use crate::user::UserInfo;

/// What a request asks, as the log needs it.
pub(crate) struct Asked<'a> {
    /// What the policy looks at; the user is the one who authenticated.
    pub attributes: AuthzAttributes<'a>,
    /// Path and query.
    pub uri: String,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The other end of the connection; none inside the process.
    pub remote: Option<IpAddr>,
    /// Names the request in log and answer.
    pub id: String,
    /// When it came in.
    pub received: Timestamp,
}

/// The events of a request. If it is dropped unfinished, its handler panicked or its client went away.
pub(crate) struct Trail {
    audit: Arc<Audit>,
    decision: Decision,
    head: Arc<Head>,
    impersonated: Option<Arc<UserInfo>>,
    verdict: Option<Verdict>,
    notes: Notes,
    request: Option<Content>,
    /// Of an answer that has begun.
    code: Option<u16>,
    finished: bool,
}

impl Trail {
    pub(super) fn begin(audit: Arc<Audit>, decision: Decision, asked: &Asked<'_>) -> Self {
        let attributes = &asked.attributes;
        let text = |name: &str| asked.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let head = Head {
            id: asked.id.clone(),
            uri: asked.uri.clone(),
            verb: attributes.verb.to_owned(),
            user: attributes.user.clone(),
            source_ips: source_ips(text("x-forwarded-for"), text("x-real-ip"), asked.remote),
            user_agent: text("user-agent").to_owned(),
            target: attributes.is_resource.then(|| Target::of(attributes)),
            received: asked.received,
        };
        let head = Arc::new(head);
        let (impersonated, verdict, request, code) = (None, None, None, None);
        let notes = Notes::default();
        let trail = Self { audit, decision, head, impersonated, verdict, notes, request, code, finished: false };
        trail.emit(Stage::RequestReceived, None, None);
        trail
    }

    /// The request is done in the name of somebody else.
    pub fn impersonates(&mut self, user: &UserInfo) {
        self.impersonated = Some(Arc::new(user.clone()));
    }

    /// What the authorizer said.
    pub fn judged(&mut self, verdict: &Verdict) {
        self.verdict = Some(verdict.clone());
    }

    /// What those who admitted the request had to say.
    pub fn noted(&mut self, notes: Notes) {
        self.notes.join(notes);
    }

    /// Whether the body of the request is of use.
    pub fn wants_request(&self) -> bool {
        self.decision.level >= Level::Request || matches!(self.head.verb.as_str(), "create" | "update")
    }

    /// Whether the body of an answer with this code is of use.
    pub fn wants_response(&self, code: u16) -> bool {
        self.decision.level >= Level::RequestResponse || code >= 400
    }

    /// The body of the request.
    pub fn request(&mut self, content: Content) {
        self.request = Some(content);
    }

    /// The head of a long answer goes out.
    pub fn started(&mut self, code: u16) {
        self.code = Some(code);
        self.emit(Stage::ResponseStarted, Some(code), None);
    }

    /// The answer is complete.
    pub fn complete(mut self, code: u16, response: Option<Content>) {
        self.finished = true;
        self.emit(Stage::ResponseComplete, Some(code), response);
    }

    /// The request was turned away before it was known who asks.
    pub fn turned_away(mut self, code: u16, response: Content) {
        self.finished = true;
        self.emit(Stage::ResponseStarted, Some(code), Some(response));
    }

    fn emit(&self, stage: Stage, code: Option<u16>, response: Option<Content>) {
        if self.decision.omit_stages.contains(&stage) {
            return;
        }
        let first = stage == Stage::RequestReceived;
        self.audit.writer.send(Event {
            head: self.head.clone(),
            level: self.decision.level,
            omit_managed_fields: self.decision.omit_managed_fields,
            stage,
            at: if first { self.head.received } else { Timestamp::now() },
            impersonated: self.impersonated.clone(),
            verdict: self.verdict.clone(),
            notes: self.notes.clone(),
            code,
            request: self.request.clone(),
            response,
        });
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if std::thread::panicking() {
            self.emit(Stage::Panic, Some(500), None);
        } else {
            self.emit(Stage::ResponseComplete, self.code, None);
        }
    }
}

/// Who sent it, the nearest last.
fn source_ips(forwarded: &str, real: &str, remote: Option<IpAddr>) -> Vec<String> {
    let named = forwarded.split(',').chain([real]).filter_map(|text| text.trim().parse::<IpAddr>().ok());
    let mut all: Vec<String> = Vec::new();
    for address in named.chain(remote) {
        let address = address.to_canonical().to_string();
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

/// A body that ends a trail when it ends, or when nobody reads it any more.
pub(crate) fn on_end(body: Body, trail: Trail, code: u16) -> Body {
    Body::new(Ending { body, trail: Some(trail), code })
}

struct Ending {
    body: Body,
    trail: Option<Trail>,
    code: u16,
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(trail) = self.trail.take() {
            trail.complete(self.code, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_named_once_and_the_connection_last() {
        let remote = Some("127.0.0.1".parse().unwrap());
        assert_eq!(source_ips("10.0.0.1, 10.0.0.2,x", "10.0.0.2", remote), ["10.0.0.1", "10.0.0.2", "127.0.0.1"]);
        assert_eq!(source_ips("", "", Some("::ffff:127.0.0.1".parse().unwrap())), ["127.0.0.1"]);
        assert!(source_ips("", "", None).is_empty());
    }
}
