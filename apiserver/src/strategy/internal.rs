//! Values as Kubernetes prints its internal structs in errors: Go's field names in the order of the struct, nothing left
//! out.

use mainstay_api::field::Piece;
use mainstay_api::types::{Element, Field, Shape, Special, Type};
use serde_json::Value;

/// Words that Go writes in capitals at the beginning of a name.
const CAPITALS: &[&str] = &[
    "api", "aws", "cel", "cidr", "csi", "dns", "fc", "fs", "gce", "gmsa", "grpc", "http", "id", "ip", "iscsi", "nfs",
    "os", "rbd", "se", "tcp", "tls", "tty", "uid", "url",
];
/// Fields of a pod's spec that Kubernetes keeps in its security context, in the order in which they lead it.
const HOST_FIELDS: &[(&str, &str)] = &[
    ("hostNetwork", "HostNetwork"),
    ("hostPID", "HostPID"),
    ("hostIPC", "HostIPC"),
    ("shareProcessNamespace", "ShareProcessNamespace"),
    ("hostUsers", "HostUsers"),
];
/// The order of a pod's spec inside, where it differs from the outside.
const POD_SPEC: &[&str] = &[
    "volumes",
    "initContainers",
    "containers",
    "ephemeralContainers",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "activeDeadlineSeconds",
    "dnsPolicy",
    "nodeSelector",
    "serviceAccountName",
    "automountServiceAccountToken",
    "nodeName",
    "securityContext",
    "imagePullSecrets",
    "hostname",
    "subdomain",
    "setHostnameAsFQDN",
    "affinity",
    "schedulerName",
    "tolerations",
    "hostAliases",
    "priorityClassName",
    "priority",
    "preemptionPolicy",
    "dnsConfig",
    "readinessGates",
    "runtimeClassName",
    "overhead",
    "enableServiceLinks",
    "topologySpreadConstraints",
    "os",
    "schedulingGates",
    "resourceClaims",
    "resources",
    "hostnameOverride",
    "schedulingGroup",
];
/// The order of a pod's security context inside.
const SECURITY_CONTEXT: &[&str] = &[
    "seLinuxOptions",
    "windowsOptions",
    "runAsUser",
    "runAsGroup",
    "runAsNonRoot",
    "supplementalGroups",
    "supplementalGroupsPolicy",
    "fsGroup",
    "fsGroupChangePolicy",
    "sysctls",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxChangePolicy",
];

/// What is printed: names and values in order.
enum Node {
    Leaf(String),
    /// A list or map that is not there; the path says where it would be.
    Absent(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// A value of a type on one line.
pub(crate) fn line(of: &Type, value: &Value) -> String {
    pieces(of, value, "").iter().map(Piece::text).collect()
}

/// The same of a value that stands at a path of its object, with the places where a list or map is absent.
pub(crate) fn pieces(of: &Type, value: &Value, at: &str) -> Vec<Piece> {
    let mut out = Vec::new();
    node(of, value, at).line(&mut out);
    out
}

/// A value of a type, indented by one space a level, as the lines of a difference.
pub(crate) fn lines(of: &Type, value: &Value) -> Vec<String> {
    let mut out = String::new();
    node(of, value, "").indented(0, &mut out);
    out.lines().map(str::to_owned).collect()
}

fn node(of: &Type, value: &Value, at: &str) -> Node {
    match of.special {
        None => Node::Map(members(of, value, at)),
        Some(Special::Quantity | Special::Duration) if value.is_null() => leaf(&Value::from("0")),
        Some(Special::IntOrString) if value.is_null() => leaf(&Value::from(0)),
        Some(_) => leaf(value),
    }
}

fn leaf(value: &Value) -> Node {
    Node::Leaf(mainstay_api::field::go_json(value))
}

fn members(of: &Type, value: &Value, at: &str) -> Vec<(String, Node)> {
    let name = of.short_name();
    let mut out = Vec::new();
    for field in ordered(of) {
        if field.inlined {
            out.extend(field.object().into_iter().flat_map(|inner| members(inner, value, at)));
        } else if field.json == "metadata" && field.object().is_some_and(|inner| inner.short_name() == "ObjectMeta") {
            out.extend(metadata(field, value.get("metadata").unwrap_or(&Value::Null)));
        } else if !(field.json.is_empty() || name == "PodSpec" && !POD_SPEC.contains(&field.json)) {
            let member = value.get(field.json).unwrap_or(&Value::Null);
            let at = if at.is_empty() { field.json.to_owned() } else { format!("{at}.{}", field.json) };
            out.push((go_name(field.json), self::field(of, field, member, value, &at)));
        }
    }
    out
}

/// The fields in the order of the internal struct.
fn ordered(of: &Type) -> Vec<&Field> {
    let order = match of.short_name() {
        "PodSpec" => POD_SPEC,
        "PodSecurityContext" => SECURITY_CONTEXT,
        _ => return of.fields.iter().collect(),
    };
    order.iter().filter_map(|name| of.fields.iter().find(|field| field.json == *name)).collect()
}

fn field(of: &Type, field: &Field, value: &Value, owner: &Value, at: &str) -> Node {
    match (field.shape, value) {
        // A security context exists inside for the sake of the host's fields.
        (Shape::Single, Value::Null) if field.pointer && !(is_pod_security(of, field) && hosts(owner)) => {
            Node::Leaf("null".to_owned())
        }
        (Shape::Single, _) => single(of, field, value, owner, at),
        (Shape::List, Value::Array(list)) => {
            let items = list.iter().enumerate();
            Node::List(items.map(|(index, item)| element(field, item, &format!("{at}[{index}]"))).collect())
        }
        (Shape::Map, Value::Object(map)) => {
            let items = map.iter();
            Node::Map(items.map(|(key, item)| (key.clone(), element(field, item, &format!("{at}.{key}")))).collect())
        }
        _ => Node::Absent(at.to_owned()),
    }
}

fn is_pod_security(of: &Type, field: &Field) -> bool {
    of.short_name() == "PodSpec" && field.json == "securityContext"
}

fn hosts(spec: &Value) -> bool {
    HOST_FIELDS.iter().any(|(name, _)| spec.get(name).is_some_and(|value| !value.is_null()))
}

fn single(of: &Type, field: &Field, value: &Value, owner: &Value, at: &str) -> Node {
    let node = element(field, value, at);
    match node {
        Node::Map(rest) if is_pod_security(of, field) => {
            let own = HOST_FIELDS.iter().map(|(json, name)| {
                let zero =
                    if matches!(*json, "shareProcessNamespace" | "hostUsers") { Value::Null } else { false.into() };
                ((*name).to_owned(), leaf(owner.get(json).unwrap_or(&zero)))
            });
            Node::Map(own.chain(rest).collect())
        }
        node => node,
    }
}

fn element(field: &Field, value: &Value, at: &str) -> Node {
    if let Some(inner) = field.object() {
        return node(inner, value, at);
    }
    let zero = match field.element {
        Element::String => Value::from(""),
        Element::Int32 | Element::Int64 | Element::Double => Value::from(0),
        Element::Bool => Value::from(false),
        _ => Value::Null,
    };
    leaf(if value.is_null() { &zero } else { value })
}

/// Metadata is the same inside and outside: without what is empty.
fn metadata(field: &Field, value: &Value) -> Vec<(String, Node)> {
    let Some(of) = field.object() else { return Vec::new() };
    let present = of.fields.iter().filter_map(|field| Some((field.json, value.get(field.json)?)));
    present.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), leaf(value))).collect()
}

/// `dnsPolicy` is `DNSPolicy` inside, `nodeName` is `NodeName`.
fn go_name(json: &str) -> String {
    let first = json.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(json.len());
    let (word, rest) = json.split_at(first);
    if CAPITALS.contains(&word) {
        return format!("{}{rest}", word.to_uppercase());
    }
    let mut chars = json.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Goes on with the text at the end.
fn append(out: &mut Vec<Piece>, text: &str) {
    if let Some(Piece::Text(last)) = out.last_mut() {
        last.push_str(text);
    } else {
        out.push(Piece::Text(text.to_owned()));
    }
}

impl Node {
    fn line(&self, out: &mut Vec<Piece>) {
        match self {
            Self::Leaf(text) => append(out, text),
            Self::Absent(at) => out.push(Piece::Absent(at.clone())),
            Self::List(items) => {
                append(out, "[");
                for (index, item) in items.iter().enumerate() {
                    append(out, if index > 0 { "," } else { "" });
                    item.line(out);
                }
                append(out, "]");
            }
            Self::Map(members) => {
                append(out, "{");
                for (index, (name, member)) in members.iter().enumerate() {
                    append(out, if index > 0 { "," } else { "" });
                    append(out, &format!("{}:", Value::from(name.as_str())));
                    member.line(out);
                }
                append(out, "}");
            }
        }
    }

    fn indented(&self, depth: usize, out: &mut String) {
        let (open, close, members): (_, _, Vec<(String, &Node)>) = match self {
            Self::Leaf(text) => return out.push_str(text),
            Self::Absent(_) => return out.push_str("null"),
            Self::List(items) => ('[', ']', items.iter().map(|item| (String::new(), item)).collect()),
            Self::Map(members) => (
                '{',
                '}',
                members.iter().map(|(name, member)| (format!("{}: ", Value::from(name.as_str())), member)).collect(),
            ),
        };
        out.push(open);
        for (index, (name, member)) in members.iter().enumerate() {
            out.push_str(if index > 0 { ",\n" } else { "\n" });
            out.push_str(&" ".repeat(depth + 1));
            out.push_str(name);
            member.indented(depth + 1, out);
        }
        if !members.is_empty() {
            out.push('\n');
            out.push_str(&" ".repeat(depth));
        }
        out.push(close);
    }
}

#[cfg(test)]
mod tests {
    use mainstay_api::types;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_left_out() {
        let of = types::by_name("io.k8s.api.flowcontrol.v1.FlowSchemaSpec").unwrap();
        let spec = json!({"priorityLevelConfiguration": {"name": "exempt"}, "matchingPrecedence": 5, "rules": [
            {"subjects": [{"kind": "Group", "group": {"name": "g"}}], "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]},
        ]});
        assert_eq!(
            line(of, &spec),
            r#"{"PriorityLevelConfiguration":{"Name":"exempt"},"MatchingPrecedence":5,"DistinguisherMethod":null,"Rules":[{"Subjects":[{"Kind":"Group","User":null,"Group":{"Name":"g"},"ServiceAccount":null}],"ResourceRules":null,"NonResourceRules":[{"Verbs":["*"],"NonResourceURLs":["*"]}]}]}"#
        );
    }

    #[test]
    fn what_is_absent_is_known_by_its_path() {
        let of = types::by_name("io.k8s.api.batch.v1.PodFailurePolicy").unwrap();
        let absent = |value: Value| {
            let pieces = pieces(of, &value, "spec.podFailurePolicy");
            pieces.into_iter().filter(|piece| matches!(piece, Piece::Absent(_))).collect::<Vec<_>>()
        };
        assert_eq!(absent(json!({})), [Piece::Absent("spec.podFailurePolicy.rules".to_owned())]);
        assert_eq!(
            absent(json!({"rules": [{"action": "Count", "onExitCodes": {"operator": "In"}}]})),
            ["onExitCodes.values", "onPodConditions"]
                .map(|field| Piece::Absent(format!("spec.podFailurePolicy.rules[0].{field}")))
        );
        assert_eq!(line(of, &json!({})), r#"{"Rules":null}"#);
    }

    #[test]
    fn metadata_is_opened_and_the_host_is_in_the_security_context() {
        let of = types::by_name("io.k8s.api.core.v1.PodTemplateSpec").unwrap();
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostNetwork": true, "containers": []}});
        let shown = line(of, &template);
        assert!(shown.starts_with(r#"{"labels":{"a":"b"},"Spec":{"Volumes":null,"#), "{shown}");
        assert!(shown.contains(r#""SecurityContext":{"HostNetwork":true,"HostPID":false,"#), "{shown}");
    }

    #[test]
    fn go_names() {
        let names: Vec<String> = ["dnsPolicy", "apiGroups", "nodeName", "os", "httpGet"].map(go_name).into();
        assert_eq!(names, ["DNSPolicy", "APIGroups", "NodeName", "OS", "HTTPGet"]);
    }

    #[test]
    fn a_security_context_is_shown_by_its_inner_names() {
        let of = types::by_name("io.k8s.api.core.v1.SecurityContext").unwrap();
        let windows = json!({"gmsaCredentialSpecName": "a", "hostProcess": true});
        let shown = line(of, &json!({"privileged": true, "capabilities": {"add": ["X"]}, "windowsOptions": windows}));
        assert_eq!(
            shown,
            r#"{"Capabilities":{"Add":["X"],"Drop":null},"Privileged":true,"SELinuxOptions":null,"WindowsOptions":{"GMSACredentialSpecName":"a","GMSACredentialSpec":null,"RunAsUserName":null,"HostProcess":true},"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":null,"ProcMount":null,"SeccompProfile":null,"AppArmorProfile":null}"#
        );
    }
}
