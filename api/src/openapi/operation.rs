//! Paths and their operations.

use serde_json::{Map, Value, json};

use super::{META, is_builtin, kind_name, root, schema_name};
use crate::resource::{DeleteReturns, Resource};

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
            let mut all = Operation::new(row, "list", "");
            all.everywhere = true;
            let path = item_of(&mut out, &format!("{root}/{}", row.resource), &["pretty"], false, edition);
            path.insert("get".to_owned(), all.document(edition));
        }
        for sub in &row.subresources {
            let verbs: Vec<&str> = sub.verbs.iter().map(String::as_str).collect();
            add(&mut out, &format!("{item}/{}", sub.name), row, &sub.name, &verbs, edition);
        }
    }
    out
}

fn add(out: &mut Map<String, Value>, path: &str, row: &Resource, sub: &str, verbs: &[&str], edition: Edition) {
    let offered = |verb: &&&str| !sub.is_empty() || row.has_verb(verb);
    let verbs: Vec<&str> = verbs.iter().filter(offered).copied().collect();
    if verbs.is_empty() {
        return;
    }
    let place = item_of(out, path, &["pretty"], path.contains("{name}"), edition);
    for verb in verbs {
        place.insert(method(verb).to_owned(), Operation::new(row, verb, sub).document(edition));
    }
}

/// The entry of a path, with the parameters that all of its operations share.
fn item_of<'a>(
    out: &'a mut Map<String, Value>,
    path: &str,
    query: &[&str],
    named: bool,
    edition: Edition,
) -> &'a mut Map<String, Value> {
    let mut parameters: Vec<Value> = query.iter().map(|name| parameter("query", name, "string", edition)).collect();
    if path.contains("{namespace}") {
        parameters.push(parameter("path", "namespace", "string", edition));
    }
    if named {
        parameters.push(parameter("path", "name", "string", edition));
    }
    let entry = out.entry(path).or_insert_with(|| json!({"parameters": parameters}));
    entry.as_object_mut().expect("entries of paths are objects")
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
        _ => "get",
    }
}

/// `rbac.authorization.k8s.io` is `RbacAuthorization`, the core group is `Core`.
fn group_word(row: &Resource) -> String {
    let name = if row.group.is_empty() { "core" } else { row.group.trim_end_matches(".k8s.io") };
    name.split(['.', '-']).map(capital).collect()
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

impl<'a> Operation<'a> {
    fn new(row: &'a Resource, verb: &'a str, sub: &'a str) -> Self {
        let known = row.subresource(sub);
        let gvk = known.map_or([&*row.group, &*row.version, &*row.kind], |s| [&*s.group, &*s.version, &*s.kind]);
        let body = match verb {
            "list" if row.type_name.is_empty() => format!("{}List", schema_name(row)),
            "list" => kind_name(row, &row.group, &row.version, &row.list_kind),
            "delete" if returns_object(row) => kind_name(row, gvk[0], gvk[1], gvk[2]),
            "delete" | "deletecollection" => format!("{META}.Status"),
            _ => kind_name(row, gvk[0], gvk[1], gvk[2]),
        };
        Self { row, verb, sub, everywhere: false, body, gvk }
    }

    fn id(&self) -> String {
        let verb = match self.verb {
            "get" => "read",
            "update" => "replace",
            "deletecollection" => "delete",
            other => other,
        };
        let collection = if self.verb == "deletecollection" { "Collection" } else { "" };
        let scope = if self.row.namespaced && !self.everywhere { "Namespaced" } else { "" };
        let everywhere = if self.everywhere { "ForAllNamespaces" } else { "" };
        let group = group_word(self.row) + &capital(&self.row.version);
        let (verb, method) =
            if self.connects() { ("connect", capital(method(self.verb))) } else { (verb, String::new()) };
        format!("{verb}{group}{method}{collection}{scope}{}{}{everywhere}", self.row.kind, capital(self.sub))
    }

    /// Whether the client is connected with something else, which answers as it likes.
    fn connects(&self) -> bool {
        is_builtin(self.row) && matches!(self.sub, "attach" | "exec" | "portforward" | "proxy")
    }

    /// Whether the answer is no object.
    fn is_text(&self) -> bool {
        self.connects() || is_builtin(self.row) && self.sub == "log"
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
                Edition::V2 => parameters.push(json!({
                    "in": "body", "name": "body", "required": self.verb != "delete",
                    "schema": {"$ref": edition.reference(&schema)},
                })),
            }
        }
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        if edition == Edition::V2 {
            out["consumes"] = json!(["*/*"]);
            out["produces"] = json!(self.produces());
        }
        out
    }

    fn tag(&self) -> String {
        let group = if self.row.group.is_empty() { "core".to_owned() } else { group_word(self.row) };
        let first = group.chars().take(1).flat_map(char::to_lowercase);
        format!("{}_{}", first.chain(group.chars().skip(1)).collect::<String>(), self.row.version)
    }

    fn parameters(&self) -> Vec<(&'static str, &'static str)> {
        match self.verb {
            _ if self.connects() => Vec::new(),
            "create" | "update" => WRITES.to_vec(),
            "patch" => WRITES.iter().copied().chain([("force", "boolean")]).collect(),
            "list" => LISTS.to_vec(),
            "delete" => DELETES.to_vec(),
            "deletecollection" => DELETES.iter().chain(LISTS.iter().filter(|(n, _)| *n != "watch")).copied().collect(),
            _ => Vec::new(),
        }
    }

    fn request(&self) -> Option<String> {
        match self.verb {
            _ if self.connects() => None,
            "create" | "update" => Some(self.body.clone()),
            "patch" => Some(format!("{META}.Patch")),
            "delete" | "deletecollection" => Some(format!("{META}.DeleteOptions")),
            _ => None,
        }
    }

    fn request_body(&self, schema: &str) -> Value {
        let media: Vec<&str> = match self.verb {
            "patch" if is_builtin(self.row) => vec![
                "application/apply-patch+yaml",
                "application/json-patch+json",
                "application/merge-patch+json",
                "application/strategic-merge-patch+json",
            ],
            "patch" => {
                vec!["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"]
            }
            _ => vec!["*/*"],
        };
        let link = json!({"$ref": Edition::V3.reference(schema)});
        let mut out = json!({"content": content(&media, &link)});
        if !self.verb.starts_with("delete") {
            out["required"] = true.into();
        }
        out
    }

    fn produces(&self) -> Vec<&'static str> {
        if self.connects() {
            return vec!["*/*"];
        }
        let mut media = vec!["application/json", "application/yaml"];
        if self.is_text() {
            media.insert(0, "text/plain");
        }
        if is_builtin(self.row) {
            media.push("application/vnd.kubernetes.protobuf");
        }
        if self.verb == "list" {
            media.push("application/json;stream=watch");
            media.extend(is_builtin(self.row).then_some("application/vnd.kubernetes.protobuf;stream=watch"));
        }
        media
    }

    fn answered(&self, edition: Edition) -> Value {
        if self.is_text() { json!({"type": "string"}) } else { json!({"$ref": edition.reference(&self.body)}) }
    }

    fn responses(&self, edition: Edition) -> Value {
        let codes: &[(&str, &str)] = match self.verb {
            _ if self.connects() => &[("200", "OK")],
            "create" => &[("200", "OK"), ("201", "Created"), ("202", "Accepted")],
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

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|m| ((*m).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

/// Whether what is deleted is said to come back; of namespaces it is not, though they do.
fn returns_object(row: &Resource) -> bool {
    row.delete_returns == DeleteReturns::Object && row.resource != "namespaces"
}
