//! The FlowSchemas and PriorityLevelConfigurations of the cluster, compiled.

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Class;
use super::metrics::Metrics;
use crate::authz::AuthzAttributes;

/// What to do with requests that there are no seats for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Turn them away.
    Reject,
    /// Let them wait.
    Queue {
        /// Queues in all.
        queues: usize,
        /// Queues of one flow.
        hand: usize,
        /// Requests in a queue at the most.
        length: usize,
    },
}

/// A priority level that limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LevelSpec {
    pub(super) name: Arc<str>,
    pub(super) shares: u32,
    pub(super) lendable_percent: u32,
    /// `None`: as much as there is.
    pub(super) borrowing_percent: Option<u32>,
    pub(super) limit: Limit,
}

/// What tells the flows of a schema apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum Distinguisher {
    /// Nothing: it is one flow.
    #[default]
    None,
    /// Who asks.
    ByUser,
    /// The namespace that is asked for.
    ByNamespace,
}

impl Distinguisher {
    pub(super) fn of<'a>(self, request: &AuthzAttributes<'a>) -> &'a str {
        match self {
            Self::None => "",
            Self::ByUser => &request.user.name,
            Self::ByNamespace => request.namespace,
        }
    }
}

/// A FlowSchema.
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) class: Class,
    pub(super) level: Arc<str>,
    pub(super) exempt: bool,
    pub(super) distinguisher: Distinguisher,
    pub(super) dispatched: Counter,
    rules: Vec<Rule>,
}

/// All of them, in the order in which they are asked, and the levels that limit.
pub(super) struct Plan {
    schemas: Vec<Schema>,
    pub(super) levels: Vec<LevelSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaSpec {
    priority_level_configuration: Reference,
    #[serde(default = "default_precedence")]
    matching_precedence: i64,
    distinguisher_method: Option<DistinguisherMethod>,
    #[serde(default)]
    rules: Vec<Rule>,
}

fn default_precedence() -> i64 {
    1000
}

#[derive(Deserialize)]
struct Reference {
    name: String,
}

#[derive(Deserialize)]
struct DistinguisherMethod {
    r#type: Distinguisher,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    subjects: Vec<Subject>,
    #[serde(default)]
    resource_rules: Vec<ResourceRule>,
    #[serde(default)]
    non_resource_rules: Vec<PathRule>,
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
enum Subject {
    User {
        user: Reference,
    },
    Group {
        group: Reference,
    },
    #[serde(rename_all = "camelCase")]
    ServiceAccount {
        service_account: Account,
    },
}

#[derive(Deserialize)]
struct Account {
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceRule {
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    cluster_scope: bool,
    #[serde(default)]
    namespaces: Vec<String>,
}

#[derive(Deserialize)]
struct PathRule {
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    urls: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Limited {
    #[serde(default = "default_shares")]
    nominal_concurrency_shares: u32,
    #[serde(default)]
    lendable_percent: u32,
    borrowing_limit_percent: Option<u32>,
    limit_response: Option<Value>,
}

fn default_shares() -> u32 {
    30
}

impl Plan {
    /// Compiles what the cluster holds. What is mandatory is there even if it is not stored, and what does not parse or
    /// names a level that there is not is passed over.
    pub(super) fn compile(schemas: &[Arc<Value>], levels: &[Arc<Value>], metrics: &Metrics) -> Self {
        let (mut schemas, mut levels) = (schemas.to_vec(), levels.to_vec());
        let missing =
            |all: &[Arc<Value>], one: &Value| all.iter().all(|own| own["metadata"]["name"] != one["metadata"]["name"]);
        for (schema, level) in mandatory() {
            if missing(&schemas, &schema) {
                schemas.push(Arc::new(schema));
            }
            if missing(&levels, &level) {
                levels.push(Arc::new(level));
            }
        }
        let mut compiled: Vec<(i64, Schema)> =
            schemas.iter().filter_map(|schema| compile_schema(schema, &levels, metrics)).collect();
        compiled.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        let schemas = compiled.into_iter().map(|(_, schema)| schema).collect();
        Self { schemas, levels: levels.iter().filter_map(|level| level_spec(level)).collect() }
    }

    /// The schema of a request: the first that matches; the last one matches everything.
    pub(super) fn classify(&self, request: &AuthzAttributes<'_>) -> &Schema {
        let found = self.schemas.iter().find(|schema| schema.rules.iter().any(|rule| rule.matches(request)));
        let last = || self.schemas.iter().find(|schema| schema.name == "catch-all");
        found.or_else(last).expect("the mandatory schemas are in every plan")
    }
}

/// The schemas and levels that there always are.
fn mandatory() -> [(Value, Value); 2] {
    let everything = |groups: &[&str]| {
        let subjects: Vec<Value> =
            groups.iter().map(|name| json!({"kind": "Group", "group": {"name": name}})).collect();
        json!([{
            "subjects": subjects,
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    let schema = |name: &str, precedence: i64, groups: &[&str]| {
        json!({"metadata": {"name": name}, "spec": {
            "matchingPrecedence": precedence,
            "priorityLevelConfiguration": {"name": name},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": everything(groups),
        }})
    };
    let exempt = json!({"metadata": {"name": "exempt"}, "spec": {"type": "Exempt"}});
    let limited = json!({"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}});
    let last = json!({"metadata": {"name": "catch-all"}, "spec": {"type": "Limited", "limited": limited}});
    let all = ["system:authenticated", "system:unauthenticated"];
    [(schema("exempt", 1, &["system:masters"]), exempt), (schema("catch-all", 10_000, &all), last)]
}

fn uid(object: &Value) -> Arc<str> {
    object["metadata"]["uid"].as_str().unwrap_or_default().into()
}

fn compile_schema(object: &Value, levels: &[Arc<Value>], metrics: &Metrics) -> Option<(i64, Schema)> {
    let name = object["metadata"]["name"].as_str()?.to_owned();
    let spec = SchemaSpec::deserialize(&object["spec"])
        .inspect_err(|error| tracing::warn!(name, %error, "a FlowSchema is passed over"))
        .ok()?;
    let level_name = &spec.priority_level_configuration.name;
    let level = levels.iter().find(|level| level["metadata"]["name"] == level_name.as_str())?;
    let exempt = level["spec"]["type"] == "Exempt";
    if !exempt && level_spec(level).is_none() {
        return None;
    }
    let schema = Schema {
        class: Class { schema: uid(object), level: uid(level) },
        level: level_name.as_str().into(),
        exempt,
        distinguisher: spec.distinguisher_method.map(|method| method.r#type).unwrap_or_default(),
        dispatched: metrics.dispatched(&name, level_name),
        rules: spec.rules,
        name,
    };
    Some((spec.matching_precedence, schema))
}

/// A level that limits; `None` for one that exempts.
fn level_spec(object: &Value) -> Option<LevelSpec> {
    let name: Arc<str> = object["metadata"]["name"].as_str()?.into();
    if object["spec"]["type"] != "Limited" {
        return None;
    }
    let limited = Limited::deserialize(&object["spec"]["limited"])
        .inspect_err(|error| tracing::warn!(%name, %error, "a PriorityLevelConfiguration is passed over"))
        .ok()?;
    let response = limited.limit_response.unwrap_or_default();
    let number = |field: &str, default: u64| {
        usize::try_from(response["queuing"][field].as_u64().unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let limit = if response["type"] == "Queue" {
        Limit::Queue {
            queues: number("queues", 64).max(1),
            hand: number("handSize", 8),
            length: number("queueLengthLimit", 50),
        }
    } else {
        Limit::Reject
    };
    Some(LevelSpec {
        name,
        shares: limited.nominal_concurrency_shares,
        lendable_percent: limited.lendable_percent.min(100),
        borrowing_percent: limited.borrowing_limit_percent,
        limit,
    })
}

fn has(list: &[String], word: &str) -> bool {
    list.iter().any(|own| own == "*" || own == word)
}

impl Rule {
    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        let asks = if request.is_resource {
            self.resource_rules.iter().any(|rule| rule.matches(request))
        } else {
            self.non_resource_rules.iter().any(|rule| rule.matches(request))
        };
        asks && self.subjects.iter().any(|subject| subject.matches(request))
    }
}

impl Subject {
    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        let user = request.user;
        match self {
            Self::User { user: own } => own.name == "*" || own.name == user.name,
            Self::Group { group } => group.name == "*" || user.groups.contains(&group.name),
            Self::ServiceAccount { service_account: Account { namespace, name } } => {
                let parts = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
                parts.is_some_and(|(in_namespace, own)| in_namespace == namespace && (name == "*" || own == name))
            }
        }
    }
}

impl ResourceRule {
    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        let place =
            if request.namespace.is_empty() { self.cluster_scope } else { has(&self.namespaces, request.namespace) };
        place
            && has(&self.verbs, request.verb)
            && has(&self.api_groups, request.group)
            && has(&self.resources, &request.full_resource())
    }
}

impl PathRule {
    fn matches(&self, request: &AuthzAttributes<'_>) -> bool {
        let fits = |url: &String| match url.strip_suffix('*') {
            Some(prefix) => request.path.starts_with(prefix),
            None => url == request.path,
        };
        has(&self.verbs, request.verb) && self.urls.iter().any(fits)
    }
}
