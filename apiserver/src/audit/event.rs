//! An event and its JSON.

use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use mainstay_api::time;
use serde_json::{Map, Value, json};

use super::content::Content;
use super::{Level, Notes, Stage};
use crate::authz::{AuthzAttributes, Verdict};
use crate::user::UserInfo;

/// Bytes of an unpacked body at the most.
const LARGEST_BODY: u64 = 256 << 20;

/// What stays the same over a request's events.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) uri: String,
    pub(super) verb: String,
    pub(super) user: UserInfo,
    pub(super) source_ips: Vec<String>,
    pub(super) user_agent: String,
    pub(super) target: Option<Target>,
    pub(super) received: Timestamp,
}

/// The object that a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    group: String,
    version: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

impl Target {
    pub(super) fn of(attributes: &AuthzAttributes<'_>) -> Self {
        Self {
            group: attributes.group.to_owned(),
            version: attributes.version.to_owned(),
            resource: attributes.resource.to_owned(),
            subresource: attributes.subresource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
        }
    }
}

/// One event on its way to the log.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) head: Arc<Head>,
    pub(super) level: Level,
    pub(super) omit_managed_fields: bool,
    pub(super) stage: Stage,
    pub(super) at: Timestamp,
    pub(super) impersonated: Option<Arc<UserInfo>>,
    pub(super) verdict: Option<Verdict>,
    /// What those who admitted it had to say.
    pub(super) notes: Notes,
    /// Of the answer, once there is one.
    pub(super) code: Option<u16>,
    pub(super) request: Option<Content>,
    pub(super) response: Option<Content>,
}

impl Event {
    /// The event as the log shows it.
    pub(super) fn to_json(&self) -> Value {
        let head = &self.head;
        let request = self.request.as_ref().map(decoded);
        let response = self.response.as_ref().map(decoded);
        let mut out = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.level.name(),
            "auditID": head.id,
            "stage": self.stage.name(),
            "requestURI": head.uri,
            "verb": head.verb,
            "user": user(&head.user),
            "requestReceivedTimestamp": time::micros(head.received),
            "stageTimestamp": time::micros(self.at),
        });
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                out[name] = value;
            }
        };
        set("impersonatedUser", self.impersonated.as_deref().map(user));
        set("sourceIPs", (!head.source_ips.is_empty()).then(|| json!(head.source_ips)));
        set("userAgent", (!head.user_agent.is_empty()).then(|| json!(head.user_agent)));
        set("objectRef", head.target.as_ref().map(|target| object_ref(target, request.as_ref())));
        set("responseStatus", self.response_status(response.as_ref()));
        if self.level >= Level::Request {
            set("requestObject", request.map(|value| self.shown(value)));
        }
        if self.level >= Level::RequestResponse {
            set("responseObject", response.map(|value| self.shown(value)));
        }
        set("annotations", self.annotations());
        out
    }

    fn annotations(&self) -> Option<Value> {
        let mut all = self.verdict.as_ref().map(annotations).unwrap_or_default();
        self.notes.show(self.level, &mut all);
        (!all.is_empty()).then_some(Value::Object(all))
    }

    fn response_status(&self, response: Option<&Value>) -> Option<Value> {
        let code = self.code?;
        let mut status = json!({"metadata": {}, "code": code});
        if self.stage == Stage::Panic {
            status["status"] = "Failure".into();
            status["reason"] = "InternalError".into();
            status["message"] = "the handler of the request panicked".into();
        }
        if let Some(told) = response.filter(|value| value["kind"] == "Status") {
            for field in ["status", "message", "reason", "details"] {
                if let Some(value) = told.get(field).filter(|value| !value.is_null()) {
                    status[field] = value.clone();
                }
            }
        }
        Some(status)
    }

    fn shown(&self, mut object: Value) -> Value {
        if self.omit_managed_fields {
            drop_managed_fields(&mut object);
            if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
                items.iter_mut().for_each(drop_managed_fields);
            }
        }
        object
    }
}

fn drop_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}

fn annotations(verdict: &Verdict) -> Map<String, Value> {
    let decision = if verdict.allowed { "allow" } else { "forbid" };
    Map::from_iter([
        ("authorization.k8s.io/decision".to_owned(), decision.into()),
        ("authorization.k8s.io/reason".to_owned(), verdict.reason.as_str().into()),
    ])
}

fn user(user: &UserInfo) -> Value {
    let mut out = Map::new();
    out.insert("username".into(), user.name.clone().into());
    if !user.uid.is_empty() {
        out.insert("uid".into(), user.uid.clone().into());
    }
    if !user.groups.is_empty() {
        out.insert("groups".into(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        out.insert("extra".into(), json!(user.extra));
    }
    out.into()
}

/// The object, as the path names it and the body completes it.
fn object_ref(target: &Target, request: Option<&Value>) -> Value {
    let body = |field: &str| request.and_then(|value| value["metadata"][field].as_str()).unwrap_or_default();
    let or_body = |own: &str, field: &str| if own.is_empty() { body(field).to_owned() } else { own.to_owned() };
    let fields = [
        ("resource", target.resource.clone()),
        ("namespace", or_body(&target.namespace, "namespace")),
        ("name", or_body(&target.name, "name")),
        ("uid", body("uid").to_owned()),
        ("apiGroup", target.group.clone()),
        ("apiVersion", target.version.clone()),
        ("resourceVersion", body("resourceVersion").to_owned()),
        ("subresource", target.subresource.clone()),
    ];
    let told = fields.into_iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}

/// A body as JSON; what cannot be read as such is described.
fn decoded(content: &Content) -> Value {
    let mut unpacked = Vec::new();
    let bytes: &[u8] = if content.zipped {
        match GzDecoder::new(content.bytes.as_ref()).take(LARGEST_BODY).read_to_end(&mut unpacked) {
            Ok(_) => &unpacked,
            Err(_) => return unreadable(content),
        }
    } else {
        &content.bytes
    };
    let read = if content.media.contains("protobuf") {
        mainstay_api::protobuf::decode(bytes).ok()
    } else if content.media.contains("yaml") {
        let text = String::from_utf8_lossy(bytes);
        mainstay_api::yaml::parse(&text, mainstay_api::yaml::Duplicates::LastWins).ok()
    } else {
        serde_json::from_slice(bytes).ok()
    };
    read.unwrap_or_else(|| unreadable(content))
}

fn unreadable(content: &Content) -> Value {
    json!({"unreadable": format!("{} bytes of {}", content.bytes.len(), content.media)})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stage: Stage, level: Level) -> Event {
        let name = UserInfo { name: "u".into(), ..UserInfo::default() };
        let attributes = AuthzAttributes::resource(&name, "create", "", "pods", "ns", "");
        let head = Head {
            id: "id".into(),
            uri: "/api/v1/namespaces/ns/pods".into(),
            verb: "create".into(),
            target: Some(Target::of(&attributes)),
            user: name.clone(),
            source_ips: Vec::new(),
            user_agent: String::new(),
            received: Timestamp::UNIX_EPOCH,
        };
        let body = r#"{"kind":"Pod","metadata":{"name":"p","managedFields":[]}}"#;
        Event {
            head: Arc::new(head),
            level,
            omit_managed_fields: true,
            stage,
            at: Timestamp::UNIX_EPOCH,
            impersonated: None,
            verdict: None,
            notes: Notes::default(),
            code: Some(201),
            request: Some(Content::json(body.into())),
            response: Some(Content::json(body.into())),
        }
    }

    #[test]
    fn the_level_decides_which_bodies_are_shown() {
        let of = |level| event(Stage::ResponseComplete, level).to_json();
        let metadata = of(Level::Metadata);
        assert_eq!(metadata["objectRef"], json!({"resource": "pods", "namespace": "ns", "name": "p"}));
        assert!(metadata.get("requestObject").is_none() && metadata.get("responseObject").is_none());
        assert!(of(Level::Request).get("responseObject").is_none());
        let whole = of(Level::RequestResponse);
        assert_eq!(whole["requestObject"], json!({"kind": "Pod", "metadata": {"name": "p"}}));
        assert_eq!(whole["responseObject"], whole["requestObject"]);
        assert_eq!(whole["responseStatus"], json!({"metadata": {}, "code": 201}));
        assert_eq!(whole["stageTimestamp"], "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let status = r#"{"kind":"Status","status":"Failure","message":"no","reason":"Forbidden","code":403}"#;
        let mut event = event(Stage::ResponseComplete, Level::Metadata);
        (event.code, event.response) = (Some(403), Some(Content::json(status.into())));
        let expected =
            json!({"metadata": {}, "code": 403, "status": "Failure", "message": "no", "reason": "Forbidden"});
        assert_eq!(event.to_json()["responseStatus"], expected);
    }

    #[test]
    fn what_is_no_json_is_described() {
        let content = Content { bytes: "x".into(), media: "text/plain".into(), zipped: true };
        assert_eq!(decoded(&content)["unreadable"], "1 bytes of text/plain");
    }
}
