//! The OpenAPI documents, as JSON or in gnostic's protobuf: made from the rows that are served at the time.

use http::{Response, header};
use mainstay_api::openapi;
use mainstay_api::resource::Resource;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;
use tonic::body::Body;

use super::admitted::Admitted;
use super::respond;
use super::tagged::tagged;

const JSON: &str = "application/json";

/// Answers for a path under `/openapi`.
///
/// # Errors
/// 405 if it is not a read, 406 if the client takes no JSON.
pub(crate) fn answer(request: &Admitted, rows: &[Resource], place: &[&str]) -> ApiResult<Response<Body>> {
    if !request.is_read() {
        return Err(Status::method_not_allowed());
    }
    match place {
        // Kubernetes leaves the index's type to Go's guess.
        ["v3"] => Ok(document(request, "text/plain; charset=utf-8", &openapi::v3_index(rows))),
        ["v3", place @ ..] => {
            let form = form(request, "v3")?;
            let found = openapi::v3_group_version(rows, &place.join("/"));
            Ok(found.map_or_else(nothing, |value| answer_in(request, &form, &value, openapi::protobuf::v3)))
        }
        ["v2"] => {
            let form = form(request, "v2")?;
            Ok(answer_in(request, &form, &openapi::v2(rows), openapi::protobuf::v2))
        }
        _ => Ok(respond::text(404, "404 page not found\n")),
    }
}

fn document(request: &Admitted, content_type: &str, value: &Value) -> Response<Body> {
    tagged(request, content_type, value.to_string().into())
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

/// What a document is served as.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    Json,
    Protobuf(String),
}

fn answer_in(request: &Admitted, form: &Form, value: &Value, encode: fn(&Value) -> Vec<u8>) -> Response<Body> {
    match form {
        Form::Json => document(request, JSON, value),
        Form::Protobuf(media) => tagged(request, media, encode(value).into()),
    }
}

fn form(request: &Admitted, edition: &str) -> ApiResult<Form> {
    let accept = request.header(header::ACCEPT).unwrap_or_default();
    accepted(accept, edition).ok_or_else(|| Status::not_acceptable(&[JSON]))
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
    use super::{Form, accepted};

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
}
