//! The OpenAPI documents, as JSON or in gnostic's protobuf: made from the rows that are served at the time.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use mainstay_api::openapi;
use mainstay_api::resource::Resource;
use serde_json::Value;
use tonic::body::Body;

use super::admitted::Admitted;
use super::respond;
use super::tagged::tagged;

const JSON: &str = "application/json";

/// Answers for a path under `/openapi`, whatever the method.
pub(crate) fn answer(request: &Admitted, rows: &[Resource], place: &[&str]) -> Response<Body> {
    match place {
        // Kubernetes leaves the index's type to Go's guess.
        ["v3"] => document(request, "text/plain; charset=utf-8", &openapi::v3_index(rows)),
        ["v3", place @ ..] => group_version(request, rows, &place.join("/")),
        ["v2"] => match form(request, "v2") {
            Some(form) => answer_in(request, &form, &openapi::v2(rows), openapi::protobuf::v2),
            None => bare(StatusCode::NOT_ACCEPTABLE),
        },
        _ => respond::text(404, "404 page not found\n"),
    }
}

/// The document of a group and version. Who names a hash may keep it; who names an old one is sent to the present one.
fn group_version(request: &Admitted, rows: &[Resource], place: &str) -> Response<Body> {
    let Some(hash) = openapi::v3_hash(rows, place) else { return bare(StatusCode::NOT_FOUND) };
    let Some(form) = form(request, "v3") else { return bare(StatusCode::NOT_ACCEPTABLE) };
    let asked = request.query.text("hash");
    if !asked.is_empty() && asked != hash {
        return moved(&form, &openapi::v3_url(place, &hash));
    }
    let Some(value) = openapi::v3_group_version(rows, place) else { return bare(StatusCode::NOT_FOUND) };
    let mut response = answer_in(request, &form, &value, openapi::protobuf::v3);
    if !asked.is_empty() {
        keep(&mut response, Timestamp::now() + SignedDuration::from_hours(365 * 24));
    }
    response
}

fn moved(form: &Form, url: &str) -> Response<Body> {
    let mut response = respond::bytes(301, form.content_type(), Bytes::new());
    if let Ok(url) = HeaderValue::from_str(url) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}

fn keep(response: &mut Response<Body>, until: Timestamp) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    if let Ok(until) = HeaderValue::from_str(&until.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()) {
        headers.insert(header::EXPIRES, until);
    }
}

fn document(request: &Admitted, content_type: &str, value: &Value) -> Response<Body> {
    tagged(request, content_type, value.to_string().into())
}

/// A code and nothing else.
fn bare(code: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

/// What a document is served as.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf(String),
}

impl Form {
    fn content_type(&self) -> &str {
        match self {
            Self::Json => JSON,
            Self::Protobuf(media) => media,
        }
    }
}

fn answer_in(request: &Admitted, form: &Form, value: &Value, encode: fn(&Value) -> Vec<u8>) -> Response<Body> {
    match form {
        Form::Json => document(request, JSON, value),
        Form::Protobuf(media) => tagged(request, media, encode(value).into()),
    }
}

fn form(request: &Admitted, edition: &str) -> Option<Form> {
    accepted(request.header(header::ACCEPT).unwrap_or_default(), edition)
}

/// The first that the client takes. Protobuf is asked for by a name that is not the one it is served under.
fn accepted(accept: &str, edition: &str) -> Option<Form> {
    let name = |mark: char| format!("application/com.github.proto-openapi.spec.{edition}{mark}v1.0+protobuf");
    if accept.is_empty() {
        return Some(Form::Json);
    }
    let mut types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    types.find_map(|media| match media {
        JSON | "application/*" | "*/*" => Some(Form::Json),
        media if media == name('@') || media == name('.') => Some(Form::Protobuf(name('.'))),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_or_protobuf() {
        for accept in ["", "*/*", "text/html, application/json;q=0.5"] {
            assert_eq!(accepted(accept, "v2"), Some(Form::Json), "{accept}");
        }
        let served = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        let asked = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
        assert_eq!(accepted(asked, "v2"), Some(Form::Protobuf(served.to_owned())));
        assert_eq!(accepted(asked, "v3"), None);
    }

    #[test]
    fn an_old_hash_leads_to_the_present_one_which_may_be_kept() {
        let response = moved(&Form::Json, "/openapi/v3/api/v1?hash=A");
        assert_eq!(response.status(), 301);
        assert_eq!(response.headers()[header::LOCATION], "/openapi/v3/api/v1?hash=A");
        let mut response = bare(StatusCode::OK);
        keep(&mut response, Timestamp::UNIX_EPOCH);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "public, immutable");
        assert_eq!(response.headers()[header::EXPIRES], "Thu, 01 Jan 1970 00:00:00 UTC");
    }
}
