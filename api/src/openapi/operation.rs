//! Paths and their operations.

use serde_json::{Map, Value, json};

use super::phrase::{capital, group_word, phrase, tag};
use super::shared::share;
use super::{META, custom_name, kind_name, root};
use crate::resource::{DeleteReturns, Resource};

mod media;

/// Which OpenAPI a document is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edition {
    V2,
    V3,
}

impl Edition {
    /// The reference to a schema.
    pub(super) fn reference(self, name: &str) -> String {
        match self {
            Self::V2 => format!("#/definitions/{name}"),
            Self::V3 => format!("#/components/schemas/{name}"),
        }
    }

    /// A schema that is another one.
    pub(super) fn link(self, name: &str) -> Map<String, Value> {
        Map::from_iter([("$ref".to_owned(), self.reference(name).into())])
    }

    /// In v3 nothing counts beside a reference; one that has siblings is enclosed.
    pub(super) fn enclose(self, schema: &mut Map<String, Value>) {
        if self == Self::V3
            && schema.len() > 1
            && let Some(reference) = schema.remove("$ref")
        {
            schema.insert("allOf".to_owned(), json!([{"$ref": reference}]));
        }
    }
}

/// Something that can be done at a path.
struct Operation<'a> {
    row: &'a Resource,
    verb: &'a str,
    sub: &'a str,
    everywhere: bool,
    /// The path goes on below the subresource.
    below: bool,
    /// Schema of what is sent and answered.
    body: String,
    gvk: [&'a str; 3],
}

const WRITES: [(&str, &str); 3] = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];

const LISTS: [(&str, &str); 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

const DELETES: [(&str, &str); 5] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];

/// What a stream to a container is asked with.
const STREAMS: [(&str, &str); 5] =
    [("container", "string"), ("stderr", "boolean"), ("stdin", "boolean"), ("stdout", "boolean"), ("tty", "boolean")];

const LOGS: [(&str, &str); 9] = [
    ("container", "string"),
    ("follow", "boolean"),
    ("insecureSkipTLSVerifyBackend", "boolean"),
    ("limitBytes", "integer"),
    ("previous", "boolean"),
    ("sinceSeconds", "integer"),
    ("stream", "string"),
    ("tailLines", "integer"),
    ("timestamps", "boolean"),
];

/// All paths of the rows.
pub(super) fn paths(rows: &[&Resource], edition: Edition) -> Map<String, Value> {
    let mut out = Map::new();
    for row in rows {
        let root = format!("/{}", root(row));
        let scope = if row.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{scope}/{}", row.resource);
        let item = format!("{collection}/{{name}}");
        add(&mut out, &collection, row, "", &["list", "create", "deletecollection"], edition);
        add(&mut out, &item, row, "", &["get", "update", "patch", "delete"], edition);
        if row.namespaced && row.has_verb("list") {
            put(&mut out, &format!("{root}/{}", row.resource), &Operation::new(row, "list", "").everywhere(), edition);
        }
        for sub in &row.subresources {
            let mut verbs: Vec<&str> = sub.verbs.iter().map(String::as_str).collect();
            if !row.is_custom() && sub.name == "proxy" {
                verbs.extend(["head", "options"]);
                for verb in &verbs {
                    let operation = Operation { below: true, ..Operation::new(row, verb, &sub.name) };
                    put(&mut out, &format!("{item}/proxy/{{path}}"), &operation, edition);
                }
            }
            add(&mut out, &format!("{item}/{}", sub.name), row, &sub.name, &verbs, edition);
        }
        if !row.is_custom() && row.has_verb("watch") {
            add_watches(&mut out, row, &root, scope, edition);
        }
    }
    out.values_mut().for_each(share);
    out
}

/// The paths that were watched before the query could ask for that.
fn add_watches(out: &mut Map<String, Value>, row: &Resource, root: &str, scope: &str, edition: Edition) {
    let collection = format!("{root}/watch{scope}/{}", row.resource);
    put(out, &collection, &Operation::new(row, "watchlist", ""), edition);
    put(out, &format!("{collection}/{{name}}"), &Operation::new(row, "watch", ""), edition);
    if row.namespaced {
        let everywhere = Operation::new(row, "watchlist", "").everywhere();
        put(out, &format!("{root}/watch/{}", row.resource), &everywhere, edition);
    }
}

fn add(out: &mut Map<String, Value>, path: &str, row: &Resource, sub: &str, verbs: &[&str], edition: Edition) {
    for verb in verbs.iter().filter(|verb| !sub.is_empty() || row.has_verb(verb)) {
        put(out, path, &Operation::new(row, verb, sub), edition);
    }
}

/// Enters an operation at its path, beside the parameters that stand in the path itself.
fn put(out: &mut Map<String, Value>, path: &str, operation: &Operation<'_>, edition: Edition) {
    let stand = ["name", "namespace", "path"].into_iter().filter(|name| path.contains(&format!("{{{name}}}")));
    let parameters: Vec<Value> = stand.map(|name| parameter("path", name, "string", edition)).collect();
    let entry = out.entry(path).or_insert_with(|| json!({"parameters": parameters}));
    entry[method(operation.verb)] = operation.document(edition);
}

fn parameter(place: &str, name: &str, kind: &str, edition: Edition) -> Value {
    let mut out = json!({"in": place, "name": name, "uniqueItems": true});
    if place == "path" {
        out["required"] = true.into();
    }
    match edition {
        Edition::V2 => out["type"] = kind.into(),
        Edition::V3 => {
            out["schema"] = json!({"type": kind, "uniqueItems": true});
            out.as_object_mut().and_then(|o| o.remove("uniqueItems"));
        }
    }
    out
}

fn method(verb: &str) -> &'static str {
    match verb {
        "create" => "post",
        "update" => "put",
        "patch" => "patch",
        "delete" | "deletecollection" => "delete",
        "head" => "head",
        "options" => "options",
        _ => "get",
    }
}

impl<'a> Operation<'a> {
    fn new(row: &'a Resource, verb: &'a str, sub: &'a str) -> Self {
        let own = [&*row.group, &*row.version, &*row.kind];
        let sent = row.subresource(sub).map_or(own, |s| [&*s.group, &*s.version, &*s.kind]);
        let body = match verb {
            "list" if row.is_custom() => custom_name(row, &row.list_kind),
            "list" => kind_name(row, &row.group, &row.version, &row.list_kind),
            "delete" if returns_object(row) => kind_name(row, sent[0], sent[1], sent[2]),
            "delete" | "deletecollection" => format!("{META}.Status"),
            "watch" | "watchlist" => format!("{META}.WatchEvent"),
            _ => kind_name(row, sent[0], sent[1], sent[2]),
        };
        // All that is done with a custom object is told of its kind, also where a scale is sent.
        let gvk = if row.is_custom() { own } else { sent };
        Self { row, verb, sub, everywhere: false, below: false, body, gvk }
    }

    /// The same in all namespaces.
    fn everywhere(self) -> Self {
        Self { everywhere: true, ..self }
    }

    fn id(&self) -> String {
        let verb = match self.verb {
            "get" => "read",
            "update" => "replace",
            "deletecollection" => "delete",
            "watchlist" => "watch",
            other => other,
        };
        let list = if self.verb == "watchlist" { "List" } else { "" };
        let below = if self.below { "WithPath" } else { "" };
        let collection = if self.verb == "deletecollection" { "Collection" } else { "" };
        let scope = if self.row.namespaced && !self.everywhere { "Namespaced" } else { "" };
        let everywhere = if self.everywhere { "ForAllNamespaces" } else { "" };
        let group = group_word(&self.row.group) + &capital(&self.row.version);
        let (verb, method) =
            if self.connects() { ("connect", capital(method(self.verb))) } else { (verb, String::new()) };
        format!(
            "{verb}{group}{method}{collection}{scope}{}{list}{}{below}{everywhere}",
            self.row.kind,
            capital(self.sub)
        )
    }

    /// Whether the client is connected with something else, which answers as it likes.
    fn connects(&self) -> bool {
        !self.row.is_custom() && matches!(self.sub, "attach" | "exec" | "portforward" | "proxy")
    }

    /// Whether the answer is no object.
    fn is_text(&self) -> bool {
        self.connects() || !self.row.is_custom() && self.sub == "log"
    }

    fn action(&self) -> &str {
        match self.verb {
            _ if self.connects() => "connect",
            "create" => "post",
            "update" => "put",
            other => other,
        }
    }

    fn document(&self, edition: Edition) -> Value {
        let mut out = json!({
            "description": self.phrase(),
            "operationId": self.id(),
            "tags": [self.tag()],
            "x-kubernetes-action": self.action(),
            "x-kubernetes-group-version-kind": {"group": self.gvk[0], "version": self.gvk[1], "kind": self.gvk[2]},
            "responses": self.responses(edition),
        });
        let mut parameters: Vec<Value> =
            self.parameters().into_iter().map(|(name, kind)| parameter("query", name, kind, edition)).collect();
        if let Some(schema) = self.request() {
            match edition {
                Edition::V3 => out["requestBody"] = self.request_body(&schema),
                // They stand by name, and no other name comes before this one.
                Edition::V2 => parameters.insert(0, self.body_parameter(&schema)),
            }
        }
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        if edition == Edition::V2 {
            out["consumes"] = json!(self.consumes());
            out["produces"] = json!(self.produces());
        }
        out
    }

    fn phrase(&self) -> String {
        let watched = !self.row.is_custom() && self.row.has_verb("watch");
        let method = self.connects().then(|| method(self.verb));
        phrase(self.verb, &self.row.kind, self.sub, watched, method)
    }

    fn tag(&self) -> String {
        format!("{}_{}", tag(&self.row.group), self.row.version)
    }

    /// What can be asked in the query, by name.
    fn parameters(&self) -> Vec<(&'static str, &'static str)> {
        let mut out: Vec<(&'static str, &'static str)> = match (self.sub, self.verb) {
            ("exec", _) if self.connects() => STREAMS.iter().copied().chain([("command", "string")]).collect(),
            ("attach", _) if self.connects() => STREAMS.to_vec(),
            ("portforward", _) if self.connects() => vec![("ports", "integer")],
            _ if self.connects() => vec![("path", "string")],
            ("log", _) if self.is_text() => LOGS.to_vec(),
            (_, "create" | "update") => WRITES.to_vec(),
            (_, "patch") => WRITES.iter().copied().chain([("force", "boolean")]).collect(),
            (_, "list" | "watch" | "watchlist") => LISTS.to_vec(),
            (_, "deletecollection") if self.row.is_custom() => LISTS.to_vec(),
            (_, "get") if self.row.is_custom() => vec![("resourceVersion", "string")],
            (_, "delete") => DELETES.to_vec(),
            (_, "deletecollection") => {
                let lists = LISTS.iter().filter(|(name, _)| !matches!(*name, "allowWatchBookmarks" | "watch"));
                DELETES.iter().chain(lists).copied().collect()
            }
            _ => Vec::new(),
        };
        if !self.connects() {
            out.push(("pretty", "string"));
        }
        out.sort_unstable();
        out
    }

    fn request(&self) -> Option<String> {
        match self.verb {
            _ if self.connects() => None,
            "create" | "update" => Some(self.body.clone()),
            "patch" => Some(format!("{META}.Patch")),
            "deletecollection" if self.row.is_custom() => None,
            "delete" | "deletecollection" => Some(format!("{META}.DeleteOptions")),
            _ => None,
        }
    }

    /// Options of a deletion may be left out; any other body has to be there.
    fn needs_body(&self) -> bool {
        !self.verb.starts_with("delete")
    }

    fn body_parameter(&self, schema: &str) -> Value {
        let mut out = json!({"in": "body", "name": "body", "schema": {"$ref": Edition::V2.reference(schema)}});
        if self.needs_body() {
            out["required"] = true.into();
        }
        out
    }

    fn request_body(&self, schema: &str) -> Value {
        let link = json!({"$ref": Edition::V3.reference(schema)});
        let mut out = json!({"content": content(self.consumes(), &link)});
        if self.needs_body() {
            out["required"] = true.into();
        }
        out
    }

    fn answered(&self, edition: Edition) -> Value {
        if self.is_text() { json!({"type": "string"}) } else { json!({"$ref": edition.reference(&self.body)}) }
    }

    fn responses(&self, edition: Edition) -> Value {
        let codes: &[(&str, &str)] = match self.verb {
            _ if self.connects() => &[("200", "OK")],
            "create" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
            "patch" if self.row.is_custom() => &[("200", "OK")],
            "update" | "patch" => &[("200", "OK"), ("201", "Created")],
            "delete" => &[("200", "OK"), ("202", "Accepted")],
            _ => &[("200", "OK")],
        };
        let mut out = Map::new();
        for (code, words) in codes {
            let mut answer = json!({"description": words});
            match edition {
                Edition::V3 => answer["content"] = content(&self.produces(), &self.answered(edition)),
                Edition::V2 => answer["schema"] = self.answered(edition),
            }
            out.insert((*code).to_owned(), answer);
        }
        out.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        Value::Object(out)
    }
}

pub(super) fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|m| ((*m).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

/// Whether what is deleted is said to come back; of namespaces it is not, though they do.
fn returns_object(row: &Resource) -> bool {
    row.delete_returns == DeleteReturns::Object && row.resource != "namespaces"
}
