//! The OpenAPI documents, as JSON: made from the rows that are served at the time.

use http::{Response, header};
use mainstay_api::openapi;
use mainstay_api::resource::Resource;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;
use tonic::body::Body;

use super::filter::Admitted;
use super::respond;

const JSON: &str = "application/json";

/// Answers for a path under `/openapi`.
///
/// # Errors
/// 405 if it is not a read, 406 if the client takes no JSON.
pub(crate) fn answer(request: &Admitted, rows: &[Resource], place: &[&str]) -> ApiResult<Response<Body>> {
    if !super::objects::is_read(&request.parts.method) {
        return Err(Status::method_not_allowed());
    }
    match place {
        // Kubernetes leaves the index's type to Go's guess.
        ["v3"] => Ok(document(request, "text/plain; charset=utf-8", &openapi::v3_index(rows))),
        ["v3", place @ ..] => {
            takes_json(request)?;
            let found = openapi::v3_group_version(rows, &place.join("/"));
            Ok(found.map_or_else(nothing, |value| document(request, JSON, &value)))
        }
        ["v2"] => {
            takes_json(request)?;
            Ok(document(request, JSON, &openapi::v2(rows)))
        }
        _ => Ok(respond::text(404, "404 page not found\n")),
    }
}

fn document(request: &Admitted, content_type: &str, value: &Value) -> Response<Body> {
    super::discovery::tagged(request, content_type, value.to_string().into())
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::NOT_FOUND;
    response
}

fn takes_json(request: &Admitted) -> ApiResult<()> {
    if accepts_json(request.header(header::ACCEPT).unwrap_or_default()) {
        Ok(())
    } else {
        Err(Status::not_acceptable(&[JSON]))
    }
}

fn accepts_json(accept: &str) -> bool {
    let mut types = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
    accept.is_empty() || types.any(|media| matches!(media, JSON | "application/*" | "*/*"))
}

#[cfg(test)]
mod tests {
    use super::accepts_json;

    #[test]
    fn json_is_all_there_is() {
        assert!(accepts_json("") && accepts_json("*/*") && accepts_json("application/json;q=0.5, text/html"));
        assert!(!accepts_json("application/com.github.proto-openapi.spec.v2@v1.0+protobuf"));
    }
}
