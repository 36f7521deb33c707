//! The paths that name no objects: discovery, OpenAPI, version, health, metrics, token keys.

use http::{Method, Response, header};
use mainstay_api::discovery;
use mainstay_api::resource::Resource;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};
use tonic::body::Body;

use super::Rest;
use super::admitted::Admitted;
use super::negotiate::{self, Form, Media, SERVED};
use super::respond;
use super::tagged::tagged;
use crate::aggregation::remote::Remote;

/// The Kubernetes version that is served.
pub const KUBERNETES_VERSION: &str = "v1.36.1";

/// Routes a path that names no objects.
pub(crate) async fn route(rest: &Rest, request: Admitted) -> Response<Body> {
    if let Some(response) = super::health::route(rest, &request) {
        return response;
    }
    if let Some(remote) = remote(rest, &request) {
        return super::aggregated::proxy(rest, &remote, request).await;
    }
    let form = respond::error_form(&request.parts);
    match answer(rest, &request) {
        Ok(response) => response,
        Err(status) => respond::error(form, &status),
    }
}

/// The other server that a path of one group and version is for.
fn remote(rest: &Rest, request: &Admitted) -> Option<Remote> {
    let place = request.info.path.trim_matches('/').strip_prefix("apis/")?;
    let (group, version) = place.split_once('/').filter(|(_, version)| !version.contains('/'))?;
    if rest.engine.registry().has_version(group, version) {
        return None;
    }
    Remote::find(&rest.engine.reader, group, version)
}

fn answer(rest: &Rest, request: &Admitted) -> ApiResult<Response<Body>> {
    let path = request.info.path.trim_end_matches('/');
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        [""] => raw_json(&json!({"paths": paths(rest)})),
        ["version"] => read_only(request).and_then(|()| json_only(request, &version())),
        ["metrics"] => Ok(figures(rest.metrics.render(rest.engine.caches().watchers()))),
        ["metrics", "slis"] if request.parts.method == Method::DELETE => {
            rest.outcomes.forget();
            Ok(respond::text(200, "metrics reset\n"))
        }
        ["metrics", "slis"] => Ok(figures(rest.outcomes.render())),
        ["statusz"] => super::statusz::answer(request, &paths(rest)),
        [".well-known", "openid-configuration"] => openid_configuration(rest, request),
        ["openid", "v1", "jwks"] => token_keys(rest, request),
        ["api"] | ["apis"] => roots(rest, request, segments[0]),
        ["api", version] => resources(rest, request, "", version),
        ["openapi", place @ ..] => Ok(super::openapi::answer(request, &rows(rest), place)),
        ["apis", group] => one_group(rest, request, group),
        ["apis", group, version] => resources(rest, request, group, version),
        _ => Ok(respond::text(404, "404 page not found\n")),
    }
}

/// What Prometheus reads.
fn figures(text: String) -> Response<Body> {
    respond::bytes(200, "text/plain; version=0.0.4; charset=utf-8", text)
}

/// These paths are routed like objects: not even HEAD is allowed besides GET.
fn read_only(request: &Admitted) -> ApiResult<()> {
    if request.parts.method == Method::GET { Ok(()) } else { Err(Status::method_not_allowed()) }
}

/// What the router serves as JSON alone.
fn json_only(request: &Admitted, value: &Value) -> ApiResult<Response<Body>> {
    negotiate::routed(request.header(header::ACCEPT), &[Media::Json.content_type()])?;
    raw_json(value)
}

/// Indented JSON, whatever the client accepts.
fn raw_json(value: &Value) -> ApiResult<Response<Body>> {
    let body = respond::encode(Form { pretty: true, ..Form::JSON }, value)?;
    Ok(respond::bytes(200, Media::Json.content_type(), body))
}

fn values(request: &Admitted, value: &Value) -> ApiResult<Response<Body>> {
    negotiate::routed(request.header(header::ACCEPT), &SERVED)?;
    unrouted(request, value)
}

/// Values at paths that the router does not know.
fn unrouted(request: &Admitted, value: &Value) -> ApiResult<Response<Body>> {
    let form = negotiate::shapeless(request.header(header::ACCEPT))?;
    let pretty = form.pretty || negotiate::wants_pretty(&request.query, request.user_agent());
    let form = Form { pretty, ..form };
    let body = respond::encode(form, value)?;
    Ok(respond::sized(form.media.content_type(), body, request.header(header::ACCEPT_ENCODING)))
}

/// The rows, built-in ones in the table's order.
fn rows(rest: &Rest) -> Vec<Resource> {
    let mut rows: Vec<Resource> = mainstay_api::resource::builtin().to_vec();
    let all = rest.engine.registry().all();
    let mut custom: Vec<Resource> = all.iter().filter(|row| row.custom).map(|row| row.resource.clone()).collect();
    custom.sort_by(|a, b| (&a.group, &a.version, &a.resource).cmp(&(&b.group, &b.version, &b.resource)));
    rows.extend(custom);
    rows.extend(rest.aggregator.rows());
    rows
}

/// The same with what is registered but cannot be reached: clients shall know that they do not see all there is.
fn registered(rest: &Rest) -> Vec<Resource> {
    let mut rows = rows(rest);
    for remote in Remote::all(&rest.engine.reader) {
        if !rows.iter().any(|row| row.group == remote.group && row.version == remote.version) {
            rows.push(discovery::unknown(&remote.group, &remote.version));
        }
    }
    rows
}

/// `/api` and `/apis`: the groups, or all resources at once for clients that ask for the aggregated form.
fn roots(rest: &Rest, request: &Admitted, which: &str) -> ApiResult<Response<Body>> {
    let accept = request.header(header::ACCEPT);
    let core = which == "api";
    if core {
        read_only(request)?;
        negotiate::routed(accept, &SERVED)?;
    }
    if let Some(media) = negotiate::aggregated(accept) {
        return aggregated_answer(request, media, &discovery::aggregated(&registered(rest), core));
    }
    if core {
        values(request, &discovery::api_versions(&server_address(request)))
    } else {
        unrouted(request, &discovery::groups(&registered(rest)))
    }
}

fn aggregated_answer(request: &Admitted, media: Media, value: &Value) -> ApiResult<Response<Body>> {
    const FORM: &str = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let body = respond::encode(Form { media, ..Form::JSON }, value)?;
    Ok(tagged(request, &format!("{};{FORM}", media.content_type()), body))
}

fn server_address(request: &Admitted) -> String {
    request
        .header(header::HOST)
        .map(str::to_owned)
        .or_else(|| request.parts.uri.authority().map(ToString::to_string))
        .unwrap_or_default()
}

fn one_group(rest: &Rest, request: &Admitted, group: &str) -> ApiResult<Response<Body>> {
    match discovery::group(&registered(rest), group) {
        Some(value) => unrouted(request, &value),
        None => Ok(respond::text(404, "404 page not found\n")),
    }
}

fn resources(rest: &Rest, request: &Admitted, group: &str, version: &str) -> ApiResult<Response<Body>> {
    if !rest.engine.registry().has_version(group, version) {
        if rest.engine.registry().has_builtin_group(group) {
            return Err(Status::path_not_found());
        }
        return Ok(respond::text(404, "404 page not found\n"));
    }
    read_only(request)?;
    values(request, &discovery::resources(&rows(rest), group, version))
}

/// How others verify service-account tokens: who issues them, and where the keys are.
fn openid_configuration(rest: &Rest, request: &Admitted) -> ApiResult<Response<Body>> {
    read_only(request)?;
    let server = rest.engine.authenticator.pki().service_account.issuer();
    let value = json!({
        "issuer": server,
        "jwks_uri": format!("https://{}/openid/v1/jwks", server_address(request)),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Ok(kept_an_hour(respond::bytes(200, Media::Json.content_type(), value.to_string())))
}

/// The public keys of service-account tokens.
fn token_keys(rest: &Rest, request: &Admitted) -> ApiResult<Response<Body>> {
    const JWKS: &str = "application/jwk-set+json";
    read_only(request)?;
    negotiate::routed(request.header(header::ACCEPT), &[JWKS])?;
    let key = rest.engine.authenticator.pki().service_account.public_jwk().map_err(Status::internal)?;
    Ok(kept_an_hour(respond::bytes(200, JWKS, json!({"keys": [key]}).to_string())))
}

fn kept_an_hour(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("public, max-age=3600"));
    response
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "emulationMajor": "1", "emulationMinor": "36",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "35",
        "gitVersion": format!("{KUBERNETES_VERSION}+mainstay"), "gitCommit": env!("CARGO_PKG_VERSION"), "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "rust", "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, if std::env::consts::ARCH == "x86_64" { "amd64" } else { std::env::consts::ARCH }),
    })
}

fn paths(rest: &Rest) -> Vec<String> {
    let mut paths: Vec<String> = [
        "/.well-known/openid-configuration",
        "/api",
        "/apis",
        "/apis/",
        "/metrics",
        "/metrics/slis",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/",
        "/openid/v1/jwks",
        "/statusz",
        "/version",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(super::health::paths(rest))
    .collect();
    for row in rest.engine.registry().all() {
        let group = &row.resource.group;
        if group.is_empty() {
            paths.push(format!("/api/{}", row.resource.version));
        } else {
            paths.push(format!("/apis/{group}"));
            paths.push(format!("/apis/{group}/{}", row.resource.version));
        }
    }
    paths.sort();
    paths.dedup();
    paths
}
