//! From answers to bytes: JSON, YAML or protobuf; the object, its metadata, or a table.

use std::borrow::Cow;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use http::{Response, StatusCode, header};
use http_body_util::Full;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::types::go_order;
use mainstay_api::types::{self, Type};
use serde_json::{Value, json};
use tonic::body::Body;

use super::negotiate::{Form, Media, SERVED, Shape, negotiate, wants_pretty};
use super::pieces::{Pieces, list_metadata};
use super::query::Query;
use crate::engine::{Answer, Listing, list_kind, stored_to_request};
use crate::registry::Row;

/// From this size on, answers are compressed for clients that take it; in bytes.
const COMPRESS_FROM: usize = 128 << 10;

/// What autoscaling/v1 has in annotations.
const AUTOSCALER_FIELDS: [&str; 4] = [
    "autoscaling.alpha.kubernetes.io/behavior",
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
    "autoscaling.alpha.kubernetes.io/metrics",
];

/// What of the objects a table's rows carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    None,
    Metadata,
    Object,
}

impl Include {
    /// The `includeObject` parameter.
    pub fn parse(text: &str) -> ApiResult<Self> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => {
                let value = mainstay_api::field::go_quote(other);
                Err(Status::bad_request(format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {value}: must be 'Metadata', 'Object', 'None', or empty"
                )))
            }
        }
    }
}

/// A body with its type.
pub(crate) fn bytes(code: u16, content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    with_body(code, content_type, Body::new(Full::new(body.into())))
}

fn with_body(code: u16, content_type: &str, body: Body) -> Response<Body> {
    let response = Response::builder()
        .status(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-cache, private");
    response.body(body).unwrap_or_else(|_| Response::new(Body::empty()))
}

/// Plain text.
pub(crate) fn text(code: u16, body: impl Into<String>) -> Response<Body> {
    bytes(code, "text/plain; charset=utf-8", body.into())
}

/// A failure.
pub(crate) fn error(form: Form, status: &Status) -> Response<Body> {
    let form = Form { shape: Shape::Object, ..form };
    let mut response = match encode(form, &status.to_value()) {
        Ok(body) => bytes(status.code(), form.media.content_type(), body),
        Err(_) => bytes(status.code(), Media::Json.content_type(), status.to_json()),
    };
    if let Some(seconds) = status.retry_after().filter(|seconds| *seconds > 0) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Failures are told in the media type that the client takes, or in JSON.
pub(crate) fn error_form(parts: &Parts) -> Form {
    let said = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let form = negotiate(said(header::ACCEPT), &SERVED, false).unwrap_or(Form::JSON);
    // Most queries are not read again for this.
    let query = Query::parse(parts.uri.query().filter(|query| query.contains("pretty")));
    let pretty = form.pretty || wants_pretty(&query, said(header::USER_AGENT).unwrap_or_default());
    Form { shape: Shape::Object, pretty, ..form }
}

/// A value in a form's media type.
pub(crate) fn encode(form: Form, value: &Value) -> ApiResult<Bytes> {
    let bytes = match form.media {
        Media::Json if form.pretty => match type_of(value) {
            Some(of) => go_order::pretty(of, value).into_bytes(),
            None => serde_json::to_vec_pretty(value).map_err(Status::internal)?,
        },
        Media::Json => {
            let mut text = serde_json::to_vec(value).map_err(Status::internal)?;
            text.push(b'\n');
            text
        }
        Media::Yaml => mainstay_api::yaml::to_string(value).into_bytes(),
        Media::Protobuf => mainstay_api::protobuf::encode(value).map_err(Status::internal)?,
    };
    Ok(bytes.into())
}

/// The type of an object of a built-in kind, or of what is shown in its place.
fn type_of(value: &Value) -> Option<&'static Type> {
    let (group, version) = meta::split_api_version(meta::api_version(value))?;
    match group {
        "meta.k8s.io" => types::by_name(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{}", meta::kind(value))),
        _ => types::type_of(group, version, meta::kind(value)),
    }
}

/// One object.
pub(crate) fn object(form: Form, row: &Row, answer: &Answer, code: u16, include: Include) -> ApiResult<Response<Body>> {
    let plain = form.media == Media::Json && form.shape == Shape::Object && !form.pretty;
    if plain {
        return Ok(bytes(code, form.media.content_type(), answer.bytes.clone()));
    }
    let value = crate::codec::decode(&answer.bytes);
    let shown = shape(form, row, value, answer.kind.as_deref(), include)?;
    Ok(bytes(code, form.media.content_type(), encode(form, &shown)?))
}

/// One object in a form's shape.
pub(crate) fn shape(form: Form, row: &Row, value: Value, kind: Option<&str>, include: Include) -> ApiResult<Value> {
    match form.shape {
        Shape::Object => Ok(value),
        _ if kind == Some("Status") => Ok(value),
        Shape::Table => Ok(table(form, row, std::slice::from_ref(&value), &value["metadata"], kind, include)),
        Shape::Partial => Ok(partial(form, value)),
        Shape::PartialList => {
            let kind = kind.unwrap_or(&row.resource.kind);
            let (group, _) =
                meta::split_api_version(meta::api_version(&value)).unwrap_or((row.resource.group.as_str(), ""));
            Err(not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{})",
                go_type(row, group, kind)
            )))
        }
    }
}

fn not_acceptable(message: String) -> Status {
    Status::failure(406, "NotAcceptable", message)
}

/// The internal type that Kubernetes keeps a kind in, as some of its errors show it.
fn go_type(row: &Row, group: &str, kind: &str) -> String {
    let own = group == row.resource.group;
    match group.split('.').next() {
        _ if row.custom && own && kind.ends_with("List") => "unstructured.UnstructuredList".to_owned(),
        _ if row.custom && own => "unstructured.Unstructured".to_owned(),
        // Events of both groups are one type.
        Some("" | "events") | None => format!("core.{kind}"),
        Some(package) => format!("{package}.{kind}"),
    }
}

fn api_version(form: Form) -> &'static str {
    if form.beta { "meta.k8s.io/v1beta1" } else { "meta.k8s.io/v1" }
}

fn partial(form: Form, value: Value) -> Value {
    let mut metadata = value.get("metadata").cloned().unwrap_or_else(|| json!({}));
    // These annotations are fields inside Kubernetes, where metadata is cut from the object.
    let fields: &[&str] = match value.get("kind").and_then(Value::as_str) {
        Some("DaemonSet") => &["deprecated.daemonset.template.generation"],
        Some("HorizontalPodAutoscaler") => &AUTOSCALER_FIELDS,
        _ => &[],
    };
    if !fields.is_empty()
        && let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut)
    {
        annotations.retain(|name, _| !fields.contains(&name.as_str()));
        if annotations.is_empty() {
            metadata.as_object_mut().map(|metadata| metadata.remove("annotations"));
        }
    }
    json!({"apiVersion": api_version(form), "kind": "PartialObjectMetadata", "metadata": metadata})
}

/// A table of objects; `metadata` is the list's.
pub(crate) fn table(
    form: Form,
    row: &Row,
    objects: &[Value],
    metadata: &Value,
    kind: Option<&str>,
    include: Include,
) -> Value {
    let now = jiff::Timestamp::now();
    let objects = &*in_turn(row, objects);
    let rendered = match &row.served {
        Some(served) if kind != Some("Scale") => mainstay_api::table::render_custom(&served.columns, objects, now),
        _ => mainstay_api::table::render(&row.resource, kind, objects, now),
    };
    let rows = rendered.rows.into_iter().zip(objects).map(|(mut cells, object)| {
        let shown = match include {
            Include::None if !ends_the_state(object) => Value::Null,
            Include::None | Include::Metadata => partial(form, object.clone()),
            Include::Object => object.clone(),
        };
        if let Some(cells) = cells.as_object_mut() {
            cells.insert("object".into(), shown);
        }
        cells
    });
    let mut list = serde_json::Map::new();
    for field in ["resourceVersion", "continue", "remainingItemCount"] {
        if let Some(value) = metadata.get(field) {
            list.insert(field.into(), value.clone());
        }
    }
    json!({"apiVersion": api_version(form), "kind": "Table", "metadata": list, "columnDefinitions": rendered.columns, "rows": rows.collect::<Vec<_>>()})
}

/// Whether an object marks the end of the state that a watch begins with, which tables have to tell, whatever they leave out.
fn ends_the_state(object: &Value) -> bool {
    meta::annotation(object, "k8s.io/initial-events-end") == Some("true")
}

/// The objects of a table in the order of its rows: flow schemas in the order in which they are asked.
fn in_turn<'o>(row: &Row, objects: &'o [Value]) -> Cow<'o, [Value]> {
    if row.resource.resource != "flowschemas" || row.custom {
        return Cow::Borrowed(objects);
    }
    let turn = |object: &Value| {
        let precedence = object.pointer("/spec/matchingPrecedence").and_then(Value::as_i64);
        (precedence, meta::name(object).to_owned())
    };
    let mut objects = objects.to_vec();
    objects.sort_by_cached_key(turn);
    Cow::Owned(objects)
}

/// A list, for a client that takes these encodings.
pub(crate) fn list(
    form: Form,
    row: &Row,
    listing: Listing,
    include: Include,
    accept_encoding: Option<&str>,
) -> ApiResult<Response<Body>> {
    if form.shape == Shape::Partial {
        let message = format!(
            "you requested PartialObjectMetadata, but the requested object is a list (*{})",
            go_type(row, &row.resource.group, &list_kind(row))
        );
        return Err(not_acceptable(message));
    }
    let content_type = form.media.content_type();
    if form.media == Media::Json && form.shape == Shape::Object && !form.pretty && row.speaks_stored() && !row.custom {
        let size: usize = listing.items.iter().map(|item| item.value.len()).sum();
        let pieces = Pieces::new(row, listing);
        if size >= COMPRESS_FROM && !takes_gzip(accept_encoding) {
            return Ok(with_body(200, content_type, pieces.into_body()));
        }
        return Ok(sized(content_type, pieces.collect::<Vec<_>>().concat().into(), accept_encoding));
    }
    Ok(sized(content_type, shaped_list(form, row, &listing, include)?, accept_encoding))
}

/// A list whose objects are decoded to be shown, before compression.
fn shaped_list(form: Form, row: &Row, listing: &Listing, include: Include) -> ApiResult<Bytes> {
    // Rows are the same in all versions, and the stored one says most.
    let as_stored = form.shape == Shape::Table && !row.custom && include != Include::Object;
    let items = listing.items.iter().map(|item| {
        let bytes = if as_stored { Ok(item.value.clone()) } else { stored_to_request(row, item.value.clone()) };
        bytes.map(|bytes| crate::codec::decode(&bytes))
    });
    let items = items.collect::<ApiResult<Vec<Value>>>()?;
    let metadata = list_metadata(listing, row.custom && form.shape == Shape::Object);
    let value = match form.shape {
        Shape::Table => table(form, row, &items, &metadata, None, include),
        Shape::PartialList => {
            let items: Vec<Value> = items.into_iter().map(|item| partial(form, item)).collect();
            json!({"apiVersion": api_version(form), "kind": "PartialObjectMetadataList", "metadata": metadata, "items": items})
        }
        _ => {
            let items: Vec<Value> = items.into_iter().map(|item| without_type(row, item)).collect();
            json!({"apiVersion": row.api_version(), "kind": list_kind(row), "metadata": metadata, "items": items})
        }
    };
    encode(form, &value)
}

/// Items of built-in lists carry no kind of their own.
fn without_type(row: &Row, mut item: Value) -> Value {
    if !row.custom
        && let Some(map) = item.as_object_mut()
    {
        map.remove("apiVersion");
        map.remove("kind");
    }
    item
}

fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    accept_encoding.is_some_and(|text| text.split(',').any(|coding| coding.trim().starts_with("gzip")))
}

/// An answer, compressed if it is large and the client takes that.
pub(crate) fn sized(content_type: &str, body: Bytes, accept_encoding: Option<&str>) -> Response<Body> {
    if body.len() < COMPRESS_FROM || !takes_gzip(accept_encoding) {
        return bytes(200, content_type, body);
    }
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(1));
    let packed = encoder.write_all(&body).and_then(|()| encoder.finish());
    let Ok(packed) = packed else { return bytes(200, content_type, body) };
    let mut response = bytes(200, content_type, packed);
    response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("Accept-Encoding"));
    response
}

/// Adds the warnings of a call.
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[impl AsRef<str>]) {
    for warning in crate::warnings::shown(warnings) {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = header::HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
