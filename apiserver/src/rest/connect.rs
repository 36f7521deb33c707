//! The subresources that lead to a node: logs, commands and ports of pods, and the proxies to pods, services and nodes. All go
//! to the agent of the node, over the tunnel of its session; what it does not serve is refused in words that say so.

mod log_options;
mod passing;
mod proxy;
mod relay;

use std::sync::Arc;

use http::{Response, StatusCode, header};
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Value, json};
use tonic::body::Body;

use super::admitted::Admitted;
use super::negotiate::{SERVED, negotiate};
use super::objects::{call_of, finish};
use super::query::Query;
use super::{Rest, respond};
use crate::authz::{AuthzAttributes, Decision};
use crate::engine::{Call, Target};
use log_options::LogOptions;
use relay::Place;
pub(super) use relay::dial;

/// What the agent reads of a command's query besides the command: what is connected.
const STREAMS: [&str; 4] = ["stdin", "stdout", "stderr", "tty"];

/// Names and values of a query.
type Pairs = Vec<(&'static str, String)>;

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
    check_request(&request, &target)?;
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

/// A log is text, but as with all that is read, nobody gets it who takes nothing that objects are written in.
fn check_request(request: &Admitted, target: &Target) -> ApiResult<()> {
    if target.subresource == "log" {
        let [json, yaml, protobuf] = SERVED;
        let offered = ["text/plain", json, yaml, protobuf];
        return negotiate(request.header(header::ACCEPT), &offered, false).map(drop);
    }
    match request.query.get("dryRun") {
        Some(_) => Err(Status::bad_request("dryRun is not supported")),
        None => Ok(()),
    }
}

async fn log(rest: &Arc<Rest>, query: &Query, target: &Target) -> ApiResult<Response<Body>> {
    let options = LogOptions::read(query)?;
    let errors = options.errors();
    if !errors.is_empty() {
        return Err(Status::invalid("", "PodLogOptions", &target.name, errors));
    }
    let pod = object(rest, target).await?;
    let container = container(&pod, &target.name, query.text("container"))?;
    let Ok(node) = host(&pod, &target.name) else { return no_content() };
    let container = format!("/{container}");
    let place = Place { node, path: path("containerLogs", target, &container, &options.into_pairs()) };
    relay::stream(rest, &place, target).await
}

/// A pod that is on no node yet has written nothing.
fn no_content() -> ApiResult<Response<Body>> {
    let response =
        Response::builder().status(StatusCode::NO_CONTENT).header(header::CACHE_CONTROL, "no-cache, private");
    response.body(Body::empty()).map_err(Status::internal)
}

async fn command(rest: &Arc<Rest>, call: &mut Call, request: Admitted, target: &Target) -> ApiResult<Response<Body>> {
    let asked = asked_command(&target.subresource, &request.query);
    let asked = rest.engine.admit_connect(call, target, asked).await?;
    may_connect(rest, &request, target)?;
    let Admitted { parts, .. } = request;
    let pod = object(rest, target).await?;
    let named = asked["container"].as_str().unwrap_or_default();
    let container = format!("/{}", container(&pod, &target.name, named)?);
    let node = host(&pod, &target.name)?;
    let place = Place { node, path: path(&target.subresource, target, &container, &command_pairs(&asked)) };
    relay::upgrade(rest, &place, target, parts).await
}

async fn port_forward(
    rest: &Arc<Rest>,
    call: &mut Call,
    request: Admitted,
    target: &Target,
) -> ApiResult<Response<Body>> {
    let asked = asked_ports(&ports(&request.query)?);
    let asked = rest.engine.admit_connect(call, target, asked).await?;
    may_connect(rest, &request, target)?;
    let Admitted { parts, .. } = request;
    let pod = object(rest, target).await?;
    let node = host(&pod, &target.name)?;
    let ports = asked["ports"].as_array().into_iter().flatten().map(|port| ("ports", port.to_string()));
    let place = Place { node, path: path("portForward", target, "", &ports.collect::<Pairs>()) };
    relay::upgrade(rest, &place, target, parts).await
}

/// Ports are numbers of 16 bits.
fn ports(query: &Query) -> ApiResult<Vec<u16>> {
    let lists = query.all("ports");
    lists.iter().flat_map(|list| list.split(',')).map(port).collect()
}

/// Go reads a number without any sign.
fn port(text: &str) -> ApiResult<u16> {
    let number = text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    number.ok_or_else(|| {
        let why = mainstay_api::numbers::parse_int_error("ParseUint", text);
        Status::bad_request(format!("cannot convert to []int32: {why}"))
    })
}

/// A WebSocket begins with GET, but whoever may only read must not run commands.
fn may_connect(rest: &Rest, request: &Admitted, target: &Target) -> ApiResult<()> {
    if request.info.verb == "create" {
        return Ok(());
    }
    let attributes = AuthzAttributes::resource(&request.user, "create", "", "pods", &target.namespace, &target.name);
    match rest.authorizer.authorize(&attributes.with_subresource(&target.subresource)) {
        Decision::Allow => Ok(()),
        Decision::Deny(reason) => Err(Status::forbidden("", "pods", &target.name, reason)),
    }
}

/// The switches of a query that are on.
fn flags(query: &Query, names: &[&'static str]) -> Pairs {
    names.iter().filter(|name| query.flag(name)).map(|name| (*name, "true".to_owned())).collect()
}

/// The query of a command that is run or joined, as the object that it stands for.
fn asked_command(subresource: &str, query: &Query) -> Value {
    let runs = subresource == "exec";
    let kind = if runs { "PodExecOptions" } else { "PodAttachOptions" };
    let mut object = json!({"apiVersion": "v1", "kind": kind});
    for (switch, _) in flags(query, &STREAMS) {
        object[switch] = true.into();
    }
    let command = query.all("command");
    if runs && !command.is_empty() {
        object["command"] = command.into();
    }
    let container = query.text("container");
    if !container.is_empty() {
        object["container"] = container.into();
    }
    object
}

/// The same for the agent, as those who admit it have left it.
fn command_pairs(asked: &Value) -> Pairs {
    let switches = STREAMS.into_iter().filter(|name| asked[*name] == true).map(|name| (name, "true".to_owned()));
    let command = asked["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
    switches.chain(command.map(|word| ("command", word.to_owned()))).collect()
}

/// The ports of a query as the object that they stand for.
fn asked_ports(ports: &[u16]) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "PodPortForwardOptions"});
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

/// The agent's path, `container` with a slash before it.
fn path(verb: &str, target: &Target, container: &str, pairs: &[(&'static str, String)]) -> String {
    let query: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
    format!("/{verb}/{}/{}{container}?{}", target.namespace, target.name, query.join("&"))
}

fn escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
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
    fn a_log_is_for_those_who_take_objects_too() {
        let row = crate::registry::Registry::builtin().find("", "v1", "pods").unwrap();
        let of = |subresource: &str| Target {
            row: row.clone(),
            namespace: "n".to_owned(),
            name: "a".to_owned(),
            subresource: subresource.to_owned(),
        };
        let asked = |accept: &str, query: &str, subresource: &str| {
            let uri = format!("/api/v1/namespaces/n/pods/a/{subresource}?{query}");
            let (parts, ()) = http::Request::get(&uri).header("accept", accept).body(()).unwrap().into_parts();
            let info = super::super::path::RequestInfo::parse(&parts.method, parts.uri.path(), false, None);
            let (query, user) = (Query::parse(Some(query)), crate::user::UserInfo::default());
            let request = Admitted { parts, body: Body::empty(), info, query, user };
            check_request(&request, &of(subresource)).map_err(|status| status.code())
        };
        assert_eq!(asked("application/json, */*", "dryRun=All", "log"), Ok(()));
        assert_eq!(asked("text/plain", "", "log"), Err(406));
        assert_eq!(asked("text/plain", "", "exec"), Ok(()));
        assert_eq!(asked("*/*", "dryRun", "exec"), Err(400));
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
        let read = |query| ports(&Query::parse(query)).map_err(|status| status.message.into_owned());
        assert_eq!(read(Some("ports=80,443&ports=8080")), Ok(vec![80, 443, 8080]));
        assert_eq!(read(None), Ok(Vec::new()));
        let refused = |text: &str| Err(format!("cannot convert to []int32: strconv.ParseUint: parsing {text}"));
        assert_eq!(read(Some("ports=x")), refused("\"x\": invalid syntax"));
        assert_eq!(read(Some("ports=%2B80")), refused("\"+80\": invalid syntax"));
        assert_eq!(read(Some("ports=80,70000")), refused("\"70000\": value out of range"));
    }

    #[test]
    fn those_who_admit_see_what_the_agent_reads() {
        let query = Query::parse(Some("container=a&container=b&stdin=no&tty=0&input=1&command=x&command=y&ports=80"));
        let pair = |name, value: &str| (name, value.to_owned());
        let pairs = [pair("stdin", "true"), pair("command", "x"), pair("command", "y")];
        let exec = json!({"apiVersion": "v1", "kind": "PodExecOptions", "stdin": true, "container": "a",
            "command": ["x", "y"]});
        assert_eq!(asked_command("exec", &query), exec);
        assert_eq!(command_pairs(&exec), pairs);
        let attach = json!({"apiVersion": "v1", "kind": "PodAttachOptions", "stdin": true, "container": "a"});
        assert_eq!(asked_command("attach", &query), attach);
        assert_eq!(asked_ports(&[80])["ports"], json!([80]));
    }
}
