//! Watches over HTTP: one frame an event, as JSON lines or length-prefixed protobuf.

mod socket;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream;
use http::{Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use mainstay_api::selector::FieldSelector;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::body::Body;

use super::Rest;
use super::admitted::Admitted;
use super::negotiate::{Form, Media, Shape};
use super::respond::{self, Include};
use crate::engine::{Engine, Target, WatchEventKind, WatchItem, WatchOptions, WatchStream, stored_to_request};

/// A watch without `timeoutSeconds` ends after this long, so that clients spread over the masters again.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// No watch lives so long, and clocks can still count it.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// What watches are served as.
const STREAMED: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];
/// Events that are packed into one write.
const BATCH: usize = 256;

/// Answers a watch.
pub(crate) async fn watch(rest: &Arc<Rest>, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    let form = request.form(&target.row, true)?;
    if form.media == Media::Yaml {
        return Err(Status::not_acceptable(&STREAMED));
    }
    let form = Form { pretty: false, ..form };
    let include = if form.shape == Shape::Table {
        Include::parse(request.query.text("includeObject"))?
    } else {
        Include::Metadata
    };
    let timeout = timeout(request.query.int("timeoutSeconds")?);
    // A watch has no pages, but it is asked for as a list is.
    request.query.int("limit")?;
    let (target, options) = watch_options(&request, target)?;
    let until = Instant::now() + timeout;
    let first = match rest.engine.watch(&target, &options).await {
        Ok(mut stream) => {
            stream.ends_at(until);
            Ok(stream)
        }
        // What revisions it cannot begin at, a watch tells itself.
        Err(status) if matches!(status.code(), 410 | 504) => Err(status),
        Err(status) => return Err(status),
    };
    let feed = Feed {
        stream: first.map_err(Some),
        engine: rest.engine.clone(),
        over: target.row.over(),
        target,
        form,
        include,
        columns: true,
        ended: false,
        until,
        stop: rest.stop.clone(),
        was_cut_off: rest.engine.store.is_cut_off(),
    };
    if crate::upgrade::is_to_websocket(&request.parts.headers) {
        return socket::answer(request.parts, feed);
    }
    let frames = stream::unfold(feed, |mut feed| async move {
        feed.frame().await.map(|bytes| (Ok::<_, Status>(Frame::data(bytes)), feed))
    });
    let response = Response::builder()
        .status(200)
        .header(header::CONTENT_TYPE, content_type(form))
        .header(header::CACHE_CONTROL, "no-cache, private");
    response.body(Body::new(StreamBody::new(frames))).map_err(Status::internal)
}

fn content_type(form: Form) -> &'static str {
    match form.media {
        Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    }
}

/// How long a watch may take that asks for so many seconds.
fn timeout(seconds: Option<i64>) -> Duration {
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    seconds.map_or(DEFAULT_TIMEOUT, |seconds| Duration::from_secs(seconds).min(LONGEST))
}

/// A watch of a named object is one with a field selector.
fn watch_options(request: &Admitted, target: Target) -> ApiResult<(Target, WatchOptions)> {
    let query = &request.query;
    let mut options = WatchOptions {
        label_selector: query.text("labelSelector").to_owned(),
        field_selector: query.text("fieldSelector").to_owned(),
        resource_version: query.text("resourceVersion").to_owned(),
        resource_version_match: query.text("resourceVersionMatch").to_owned(),
        continuation: query.text("continue").to_owned(),
        send_initial_events: query.get("sendInitialEvents").is_some().then(|| query.flag("sendInitialEvents")),
        bookmarks: query.get("allowWatchBookmarks").is_some() && query.flag("allowWatchBookmarks"),
    };
    if !target.name.is_empty() {
        options.field_selector = of_name(&target.name, options.field_selector)?;
    }
    // What is watched by the old path alone is watched as it is asked for.
    if query.flag("watch") {
        options.complete();
    }
    Ok((Target { name: String::new(), ..target }, options))
}

/// The field selector of a watch of a named object, which may not select another one.
fn of_name(name: &str, selector: String) -> ApiResult<String> {
    match FieldSelector::parse(&selector) {
        Ok(asked) if asked.is_empty() => Ok(format!("metadata.name={name}")),
        Ok(asked) if asked.requires("metadata.name") != Some(name) => {
            Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"))
        }
        // What cannot be read is refused where it is used.
        _ => Ok(selector),
    }
}

struct Feed {
    /// The watch, or what ended it before it began; `None` once told.
    stream: Result<WatchStream, Option<Status>>,
    engine: Engine,
    /// The objects are defined otherwise now.
    over: BoxFuture<'static, ()>,
    target: Target,
    form: Form,
    include: Include,
    /// The next table carries its columns.
    columns: bool,
    /// What came last cannot be shown as the client wants it: no more is told.
    ended: bool,
    until: Instant,
    stop: tokio_util::sync::CancellationToken,
    /// This master was cut off from the others already: who comes nevertheless has no other.
    was_cut_off: bool,
}

impl Feed {
    /// The next bytes, which never end inside a revision: who resumes after what came last misses nothing of it. `None` at
    /// the end.
    async fn frame(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let items = match &mut self.stream {
            Err(status) => {
                let status = status.take()?;
                return Some(self.encode("ERROR", status.to_value()));
            }
            Ok(stream) => tokio::select! {
                items = stream.batch(BATCH) => items?,
                () = tokio::time::sleep_until(self.until) => return None,
                () = self.stop.cancelled() => return None,
                () = &mut self.over, if self.target.row.custom => return None,
                () = self.engine.store.cut_off(), if !self.was_cut_off => return None,
            },
        };
        let mut out = BytesMut::new();
        for item in items {
            let item = self.engine.converted_item(&self.target.row, item).await;
            let item = match &mut self.stream {
                Ok(stream) => stream.judged(item),
                Err(_) => Some(item),
            };
            if let Some(item) = item {
                self.write(&mut out, item);
            }
            if self.ended {
                break;
            }
        }
        (!self.ended || !out.is_empty()).then(|| out.freeze())
    }

    fn write(&mut self, out: &mut BytesMut, item: WatchItem) {
        match item {
            WatchItem::Event { kind, object, .. } => {
                let name = match kind {
                    WatchEventKind::Added => "ADDED",
                    WatchEventKind::Modified => "MODIFIED",
                    WatchEventKind::Deleted => "DELETED",
                };
                self.write_object(out, name, object);
            }
            WatchItem::Bookmark { revision, initial_end } => {
                let bookmark = bookmark(&self.target, revision.0, initial_end);
                self.write_shaped(out, "BOOKMARK", bookmark);
            }
        }
    }

    fn write_object(&mut self, out: &mut BytesMut, name: &str, object: Bytes) {
        let bytes = stored_to_request(&self.target.row, object.clone()).unwrap_or(object);
        if self.form.media == Media::Json && self.form.shape == Shape::Object {
            out.extend_from_slice(b"{\"type\":\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\",\"object\":");
            out.extend_from_slice(&bytes);
            out.extend_from_slice(b"}\n");
            return;
        }
        self.write_shaped(out, name, crate::codec::decode(&bytes));
    }

    fn write_shaped(&mut self, out: &mut BytesMut, name: &str, object: Value) {
        let columns = std::mem::take(&mut self.columns);
        let Ok(mut shown) = respond::shape(self.form, &self.target.row, object, None, self.include) else {
            self.ended = true;
            return;
        };
        if self.form.shape == Shape::Table && !columns {
            shown["columnDefinitions"] = Value::Null;
        }
        out.extend_from_slice(&self.encode(name, shown));
    }

    fn encode(&self, name: &str, object: Value) -> Bytes {
        if self.form.media != Media::Protobuf {
            let mut line = json!({"type": name, "object": object}).to_string();
            line.push('\n');
            return line.into();
        }
        match mainstay_api::protobuf::watch_frame(name, &object) {
            Ok(frame) => frame.into(),
            Err(error) => {
                tracing::warn!(%error, "a watch event cannot be told in protobuf");
                Bytes::new()
            }
        }
    }
}

fn bookmark(target: &Target, revision: u64, initial_end: bool) -> Value {
    let mut object = json!({
        "apiVersion": target.row.api_version(),
        "kind": target.row.resource.kind,
        "metadata": {"resourceVersion": revision.to_string()},
    });
    if initial_end {
        object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    // These members always have a value in Kubernetes' own form of the object.
    match (target.group(), target.resource()) {
        ("apps", "deployments" | "replicasets" | "statefulsets") => object["spec"] = json!({"replicas": 0}),
        ("apps", "daemonsets") => {
            object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "0".into();
        }
        _ => {}
    }
    match target.row.resource.object_type() {
        Some(object_type) => mainstay_api::decode::strict(object_type, &object).value,
        None => object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    #[test]
    fn a_bookmark_is_its_revision_and_what_always_has_a_value() {
        let told = |group: &str, resource: &str| {
            let row = Registry::builtin().find(group, "v1", resource).unwrap();
            let target = Target { row, namespace: String::new(), name: String::new(), subresource: String::new() };
            bookmark(&target, 7, true)
        };
        let end = json!({"k8s.io/initial-events-end": "true"});
        assert_eq!(told("", "configmaps")["metadata"], json!({"resourceVersion": "7", "annotations": end}));
        assert_eq!(told("apps", "deployments")["spec"]["replicas"], 0);
        let daemons = told("apps", "daemonsets");
        assert_eq!(daemons["metadata"]["annotations"]["deprecated.daemonset.template.generation"], "0");
    }

    #[test]
    fn a_table_without_objects_tells_where_the_state_ends() {
        let row = Registry::builtin().find("", "v1", "configmaps").unwrap();
        let target = Target { row, namespace: String::new(), name: String::new(), subresource: String::new() };
        let form = Form { shape: Shape::Table, ..Form::JSON };
        let object = |initial_end| {
            let shown = respond::shape(form, &target.row, bookmark(&target, 7, initial_end), None, Include::None);
            shown.unwrap()["rows"][0]["object"].clone()
        };
        assert_eq!(object(true)["kind"], "PartialObjectMetadata");
        assert_eq!(object(false), Value::Null);
    }

    #[test]
    fn any_timeout_can_be_asked_for() {
        assert_eq!(timeout(Some(5)), Duration::from_secs(5));
        for odd in [None, Some(0), Some(-1)] {
            assert_eq!(timeout(odd), DEFAULT_TIMEOUT);
        }
        assert!(Instant::now() + timeout(Some(i64::MAX)) > Instant::now());
    }

    #[test]
    fn a_watch_of_a_named_object_selects_no_other() {
        let of = |selector: &str| of_name("a", selector.to_owned()).map_err(|status| status.message.into_owned());
        assert_eq!(of(""), Ok("metadata.name=a".to_owned()));
        let narrowed = "metadata.namespace=n,metadata.name=a";
        assert_eq!(of(narrowed), Ok(narrowed.to_owned()));
        let refused = Err("fieldSelector metadata.name doesn't match requested name".to_owned());
        assert_eq!(of("metadata.name=b"), refused);
        assert_eq!(of("metadata.namespace=n"), refused);
    }
}
