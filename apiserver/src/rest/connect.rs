//! The subresources that lead to a node: logs, commands and ports of pods, and the proxies to pods, services and nodes. All go
//! to the agent of the node, over the tunnel of its session; what it does not serve is refused in words that say so.

mod proxy;
mod relay;

use std::sync::Arc;

use http::{Response, StatusCode, header};
use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::status::{ApiResult, Status};
use mainstay_api::time::{self, Layout};
use serde_json::{Value, json};
use tonic::body::Body;

use super::admitted::Admitted;
use super::objects::{call_of, finish};
use super::query::Query;
use super::{Rest, respond};
use crate::authz::AuthzAttributes;
use crate::engine::{Call, Target};
use relay::Place;
pub(super) use relay::dial;

/// What the agent reads of a log's query.
const LOG_OPTIONS: [&str; 7] =
    ["follow", "previous", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "limitBytes"];
/// What the agent reads of a command's query, the older names too.
const EXEC_OPTIONS: [&str; 8] = ["command", "stdin", "stdout", "stderr", "tty", "input", "output", "error"];

/// Whether a target is answered by a connection to somewhere instead of by the engine.
pub(crate) fn connects(target: &Target) -> bool {
    let ours = target.group().is_empty() && matches!(target.resource(), "pods" | "services" | "nodes");
    ours && matches!(target.subresource.as_str(), "log" | "exec" | "attach" | "portforward" | "proxy")
}

/// Answers a request for such a target.
///
/// # Errors
/// 404 if the object is not there, 400 if it cannot be connected to, 422 for bad log options, 501 for what the agent does not
/// serve, 503 if the agent is not heard.
pub(crate) async fn connect(rest: &Arc<Rest>, request: Admitted, target: Target) -> ApiResult<Response<Body>> {
    if target.subresource != "log" && request.query.get("dryRun").is_some() {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    let form = respond::error_form(&request.parts);
    let mut call = call_of(&request);
    let answer = match target.subresource.as_str() {
        "log" => log(rest, &request.query, &target).await,
        "exec" | "attach" => command(rest, &mut call, request, &target).await,
        "portforward" => port_forward(rest, &mut call, request, &target).await,
        _ => proxy::answer(rest, &mut call, request, &target).await,
    };
    finish(&call, answer, form)
}

async fn log(rest: &Arc<Rest>, query: &Query, target: &Target) -> ApiResult<Response<Body>> {
    let errors = log_errors(query)?;
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", &target.name, errors));
    }
    let pod = object(rest, target).await?;
    let container = container(&pod, &target.name, query.text("container"))?;
    let Ok(node) = host(&pod, &target.name) else { return no_content() };
    let container = format!("/{container}");
    let place = Place { node, path: path("containerLogs", target, &container, query, &LOG_OPTIONS) };
    relay::stream(rest, &place, target).await
}

/// A pod that is on no node yet has written nothing.
fn no_content() -> ApiResult<Response<Body>> {
    let response =
        Response::builder().status(StatusCode::NO_CONTENT).header(header::CACHE_CONTROL, "no-cache, private");
    response.body(Body::empty()).map_err(Status::internal)
}

async fn command(rest: &Arc<Rest>, call: &mut Call, request: Admitted, target: &Target) -> ApiResult<Response<Body>> {
    may_connect(rest, &request, target)?;
    let kind = if target.subresource == "exec" { "PodExecOptions" } else { "PodAttachOptions" };
    rest.engine.admit_connect(call, target, asked(kind, &request.query)).await?;
    let Admitted { parts, query, .. } = request;
    let pod = object(rest, target).await?;
    let container = format!("/{}", container(&pod, &target.name, query.text("container"))?);
    let node = host(&pod, &target.name)?;
    let place = Place { node, path: path(&target.subresource, target, &container, &query, &EXEC_OPTIONS) };
    relay::upgrade(rest, &place, target, parts).await
}

async fn port_forward(
    rest: &Arc<Rest>,
    call: &mut Call,
    request: Admitted,
    target: &Target,
) -> ApiResult<Response<Body>> {
    may_connect(rest, &request, target)?;
    check_ports(&request.query)?;
    rest.engine.admit_connect(call, target, asked("PodPortForwardOptions", &request.query)).await?;
    let Admitted { parts, query, .. } = request;
    let pod = object(rest, target).await?;
    let node = host(&pod, &target.name)?;
    let place = Place { node, path: path("portForward", target, "", &query, &["ports"]) };
    relay::upgrade(rest, &place, target, parts).await
}

/// Ports are numbers of 16 bits.
fn check_ports(query: &Query) -> ApiResult<()> {
    let lists = query.all("ports");
    match lists.iter().flat_map(|list| list.split(',')).find(|port| !is_port(port)) {
        Some(odd) => {
            let why = mainstay_api::numbers::parse_int_error("ParseUint", odd);
            Err(Status::bad_request(format!("cannot convert to []int32: {why}")))
        }
        None => Ok(()),
    }
}

/// Whether Go reads it as a number of 16 bits: without any sign.
fn is_port(text: &str) -> bool {
    !text.starts_with('+') && text.parse::<u16>().is_ok()
}

/// A WebSocket begins with GET, but whoever may only read must not run commands.
fn may_connect(rest: &Rest, request: &Admitted, target: &Target) -> ApiResult<()> {
    if request.info.verb == "create" || !request.parts.headers.contains_key(header::UPGRADE) {
        return Ok(());
    }
    let attributes = AuthzAttributes::resource(&request.user, "create", "", "pods", &target.namespace, &target.name);
    rest.authorizer.require(&attributes.with_subresource(&target.subresource))
}

/// The query of a stream as the object that it stands for.
fn asked(kind: &str, query: &Query) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind});
    for flag in ["stdin", "stdout", "stderr", "tty"] {
        if query.flag(flag) {
            object[flag] = true.into();
        }
    }
    let all = |name: &str| -> Vec<String> {
        query.pairs().iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
    };
    if let Some(container) = all("container").pop() {
        object["container"] = container.into();
    }
    let command = all("command");
    if !command.is_empty() {
        object["command"] = command.into();
    }
    let ports: Vec<i64> =
        all("ports").iter().flat_map(|list| list.split(',')).filter_map(|port| port.parse().ok()).collect();
    if !ports.is_empty() {
        object["ports"] = ports.into();
    }
    object
}

/// The object itself, as it is now.
async fn object(rest: &Rest, target: &Target) -> ApiResult<Value> {
    let live = rest.engine.live(target).await?;
    live.map(|live| live.value).ok_or_else(|| Status::not_found(target.group(), target.resource(), &target.name))
}

/// The container that a request is about: the one it names, or the only one.
fn container<'a>(pod: &'a Value, name: &str, asked: &str) -> ApiResult<&'a str> {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let all: Vec<&str> = lists.iter().flat_map(|list| names(pod, list)).collect();
    if !asked.is_empty() {
        let found = all.into_iter().find(|known| *known == asked);
        return found.ok_or_else(|| Status::bad_request(format!("container {asked} is not valid for pod {name}")));
    }
    match names(pod, "containers").collect::<Vec<_>>().as_slice() {
        [only] => Ok(only),
        [] => Err(Status::bad_request(format!("a container name must be specified for pod {name}"))),
        _ => {
            let choice = all.join(" ");
            Err(Status::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{choice}]"
            )))
        }
    }
}

fn names<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a str> {
    let containers = pod["spec"][list].as_array().into_iter().flatten();
    containers.filter_map(|container| container["name"].as_str())
}

/// The node that a pod is on.
fn host<'a>(pod: &'a Value, name: &str) -> ApiResult<&'a str> {
    let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty());
    node.ok_or_else(|| Status::bad_request(format!("pod {name} does not have a host assigned")))
}

/// The agent's path, `container` with a slash before it, with those of the query's parameters that it reads.
fn path(verb: &str, target: &Target, container: &str, query: &Query, kept: &[&str]) -> String {
    let pairs = query.pairs().iter().filter(|(key, _)| kept.contains(&key.as_str()));
    let query: Vec<String> = pairs.map(|(key, value)| format!("{key}={}", escape(value))).collect();
    format!("/{verb}/{}/{}{container}?{}", target.namespace, target.name, query.join("&"))
}

fn escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// What is wrong with a log's options.
fn log_errors(query: &Query) -> ApiResult<ErrorList> {
    let mut errors = ErrorList::new();
    let mut at_least = |name: &str, least: i64, text: &str| -> ApiResult<()> {
        if let Some(value) = query.int(name)?.filter(|value| *value < least) {
            errors.push(Error::invalid(&Path::new(name), value, text));
        }
        Ok(())
    };
    at_least("tailLines", 0, "must be greater than or equal to 0")?;
    at_least("limitBytes", 1, "must be greater than 0")?;
    let since = query.text("sinceTime");
    if !matches!(since, "" | "null") {
        time::parse(since, Layout::Seconds).map_err(Status::bad_request)?;
    }
    let both = !query.text("sinceSeconds").is_empty() && !since.is_empty();
    if !both {
        at_least("sinceSeconds", 1, "must be greater than 0")?;
    }
    if both {
        errors.push(Error::forbidden(&Path::nil(), "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if !query.text("stream").is_empty() {
        errors.push(Error::forbidden(&Path::new("stream"), "may not be specified"));
    }
    Ok(errors)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}, {"name": "d"}]}})
    }

    #[test]
    fn a_container_is_named_or_the_only_one() {
        assert_eq!(container(&pod(), "a", "i").unwrap(), "i");
        let error = container(&pod(), "a", "").unwrap_err();
        assert_eq!(error.message, "a container name must be specified for pod a, choose one of: [i c d]");
        assert_eq!(container(&pod(), "a", "x").unwrap_err().message, "container x is not valid for pod a");
        let one = json!({"spec": {"containers": [{"name": "c"}]}});
        assert_eq!(container(&one, "a", "").unwrap(), "c");
    }

    #[test]
    fn a_pod_without_a_node() {
        assert_eq!(host(&pod(), "a").unwrap_err().message, "pod a does not have a host assigned");
    }

    #[test]
    fn commands_survive_the_way() {
        assert_eq!(escape("echo a&b=ü"), "echo%20a%26b%3D%C3%BC");
    }

    #[test]
    fn ports_are_numbers() {
        assert!(check_ports(&Query::parse(Some("ports=80,443&ports=8080"))).is_ok());
        assert!(check_ports(&Query::parse(None)).is_ok());
        let error = |query| check_ports(&Query::parse(Some(query))).unwrap_err().message;
        assert_eq!(error("ports=x"), "cannot convert to []int32: strconv.ParseUint: parsing \"x\": invalid syntax");
        assert_eq!(
            error("ports=80,70000"),
            "cannot convert to []int32: strconv.ParseUint: parsing \"70000\": value out of range"
        );
    }

    #[test]
    fn log_options_are_judged() {
        let errors =
            |query| log_errors(&Query::parse(Some(query))).unwrap().iter().map(Error::body).collect::<Vec<_>>();
        assert_eq!(errors("limitBytes=0"), ["Invalid value: 0: must be greater than 0"]);
        assert_eq!(errors("stream=Odd"), ["Forbidden: may not be specified"]);
        assert!(errors("tailLines=0&follow=true&sinceSeconds=5").is_empty());
        assert!(log_errors(&Query::parse(Some("sinceTime=x"))).is_err());
    }
}
