use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use mainstay_api::cel::RuleSet;
use mainstay_api::resource::{Generation, Resource, Subresource};
use mainstay_api::schema::Structural;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{condition, is_builtin};

/// One served version of a definition: what the engine asks instead of a built-in type.
#[derive(Debug)]
pub(crate) struct Served {
    /// `group/version` that objects are stored in.
    pub stored: String,
    /// `group/version` of this version.
    pub api_version: String,
    /// Kind of the objects.
    pub kind: String,
    /// Their schema.
    pub schema: Structural,
    /// The schemas of all versions, by `group/version`.
    pub schemas: Arc<BTreeMap<String, Structural>>,
    /// `additionalPrinterColumns`.
    pub columns: Vec<Value>,
    /// The scale subresource.
    pub scale: Option<Scale>,
    /// The status subresource is on.
    pub status: bool,
    /// The definition is being deleted.
    pub terminating: bool,
    /// Said to everybody who uses this version.
    pub warning: Option<String>,
    /// The rules of the schema.
    pub rules: Option<RuleSet>,
    /// `spec.conversion`.
    pub conversion: Value,
}

/// Where the fields of a `Scale` are, as JSON paths (`.spec.replicas`).
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    pub spec: String,
    pub status: String,
    pub selector: String,
}

impl Scale {
    fn read(version: &Value) -> Option<Self> {
        let scale = version.pointer("/subresources/scale").filter(|scale| scale.is_object())?;
        let path = |key: &str| scale.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            spec: path("specReplicasPath"),
            status: path("statusReplicasPath"),
            selector: path("labelSelectorPath"),
        })
    }
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    list(value, pointer).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The rows that an established definition makes: one a served version; none for a kind that is there without it.
pub(crate) fn rows(definition: &Value) -> Vec<(Resource, Arc<Served>)> {
    made(definition, |version| version["served"] == true)
}

/// The row of the version that an established definition stores its objects in, which need not be served.
pub(crate) fn stored_row(definition: &Value) -> Option<(Resource, Arc<Served>)> {
    made(definition, |version| version["storage"] == true).into_iter().next()
}

fn made(definition: &Value, wanted: impl Fn(&Value) -> bool) -> Vec<(Resource, Arc<Served>)> {
    if condition(definition, "Established") != "True" || is_builtin(definition) {
        return Vec::new();
    }
    let versions = list(definition, "/spec/versions");
    let stored = versions.iter().find(|version| version["storage"] == true);
    let Some(stored) = stored.map(|version| text(version, "/name")) else { return Vec::new() };
    let schemas = Arc::new(schemas(definition));
    let wanted = versions.iter().filter(|version| wanted(version));
    wanted
        .map(|version| {
            let made = Arc::new(served_version(definition, version, stored, &schemas));
            (resource(definition, version, &made), made)
        })
        .collect()
}

fn schemas(definition: &Value) -> BTreeMap<String, Structural> {
    let group = text(definition, "/spec/group");
    let one = |version: &Value| {
        let schema = version.pointer("/schema/openAPIV3Schema").cloned().unwrap_or_default();
        (format!("{group}/{}", text(version, "/name")), Structural::new(schema))
    };
    list(definition, "/spec/versions").iter().map(one).collect()
}

fn served_version(
    definition: &Value,
    version: &Value,
    stored: &str,
    schemas: &Arc<BTreeMap<String, Structural>>,
) -> Served {
    let group = text(definition, "/spec/group");
    let name = text(version, "/name");
    let api_version = format!("{group}/{name}");
    Served {
        stored: format!("{group}/{stored}"),
        rules: schemas.get(&api_version).and_then(|schema| RuleSet::compile(schema.root())),
        conversion: definition.pointer("/spec/conversion").cloned().unwrap_or_default(),
        schema: schemas.get(&api_version).cloned().unwrap_or_default(),
        schemas: schemas.clone(),
        api_version,
        kind: text(definition, "/status/acceptedNames/kind").to_owned(),
        columns: list(version, "/additionalPrinterColumns").to_vec(),
        scale: Scale::read(version),
        status: version.pointer("/subresources/status").is_some_and(|status| !status.is_null()),
        terminating: condition(definition, "Terminating") == "True" || mainstay_api::meta::is_deleting(definition),
        warning: warning(definition, version),
    }
}

/// What users of a deprecated version are told.
fn warning(definition: &Value, version: &Value) -> Option<String> {
    if version["deprecated"] != true {
        return None;
    }
    if let Some(own) = version.get("deprecationWarning").and_then(Value::as_str) {
        return Some(own.to_owned());
    }
    let (group, kind) = (text(definition, "/spec/group"), text(definition, "/spec/names/kind"));
    let mut text = format!("{group}/{} {kind} is deprecated", self::text(version, "/name"));
    if let Some(better) = successor(definition, version) {
        text.push_str(&format!("; use {group}/{better} {kind}"));
    }
    Some(text)
}

/// The best served version that is not deprecated and better than this one.
fn successor<'v>(definition: &'v Value, version: &Value) -> Option<&'v str> {
    let fresh = list(definition, "/spec/versions").iter().filter(|v| v["served"] == true && v["deprecated"] != true);
    let rank = mainstay_api::discovery::version_rank;
    let best = fresh.map(|v| text(v, "/name")).max_by_key(|name| rank(name))?;
    (rank(best) > rank(text(version, "/name"))).then_some(best)
}

fn resource(definition: &Value, version: &Value, served: &Served) -> Resource {
    let names = |field: &str| text(definition, &format!("/status/acceptedNames/{field}")).to_owned();
    let (group, plural) = (text(definition, "/spec/group").to_owned(), names("plural"));
    let stored_version = served.stored.rsplit('/').next().unwrap_or_default().to_owned();
    let hash = Sha256::digest(format!("{group}/{stored_version}/{}", served.kind));
    let verbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
    let namespaced = text(definition, "/spec/scope") == "Namespaced";
    let mut field_selectors = vec!["metadata.name".to_owned()];
    field_selectors.extend(namespaced.then(|| "metadata.namespace".to_owned()));
    let selectable = list(version, "/selectableFields").iter().map(|field| text(field, "/jsonPath"));
    field_selectors.extend(selectable.map(|path| path.strip_prefix('.').unwrap_or(path).to_owned()));
    Resource {
        version: text(version, "/name").to_owned(),
        resource: plural,
        singular: names("singular"),
        kind: served.kind.clone(),
        list_kind: names("listKind"),
        short_names: texts(definition, "/status/acceptedNames/shortNames"),
        categories: texts(definition, "/status/acceptedNames/categories"),
        namespaced,
        verbs: verbs.map(str::to_owned).to_vec(),
        subresources: subresources(&group, served, text(version, "/name")),
        stored_group: group.clone(),
        stored_version,
        generation: Some(Generation { initial: 1, watched: Vec::new() }),
        field_selectors,
        storage_version_hash: base64::engine::general_purpose::STANDARD.encode(&hash[..8]),
        reset: if served.status { vec![".status".to_owned()] } else { Vec::new() },
        schema: Some(Arc::new(served.schema.root().clone())),
        group,
        ..Resource::default()
    }
}

fn subresources(group: &str, served: &Served, version: &str) -> Vec<Subresource> {
    let verbs = || ["get", "patch", "update"].map(str::to_owned).to_vec();
    let mut out = Vec::new();
    if served.status {
        out.push(Subresource {
            name: "status".into(),
            group: group.to_owned(),
            version: version.to_owned(),
            kind: served.kind.clone(),
            verbs: verbs(),
            // Whatever else is sent does not stay either, but is recorded as who sent it has it, as in Kubernetes.
            reset: vec![".spec".to_owned()],
        });
    }
    if served.scale.is_some() {
        out.push(Subresource {
            name: "scale".into(),
            group: "autoscaling".into(),
            version: "v1".into(),
            kind: "Scale".into(),
            verbs: verbs(),
            reset: Vec::new(),
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_have_the_row_of_their_storage_even_where_it_is_not_served() {
        let found = definition("g.io", "as", "True");
        let names = |rows: Vec<(Resource, Arc<Served>)>| -> Vec<String> {
            rows.into_iter().map(|(row, _)| row.version).collect()
        };
        assert_eq!(names(rows(&found)), ["v1"]);
        assert_eq!(rows(&found)[0].0.field_selectors, ["metadata.name"], "they are in no namespace");
        assert_eq!(names(stored_row(&found).into_iter().collect()), ["v2"]);
        assert!(stored_row(&definition("g.io", "as", "False")).is_none());
    }

    #[test]
    fn through_its_status_an_object_gives_nobody_its_spec_and_nothing_else() {
        let mut found = definition("g.io", "as", "True");
        let properties = json!({"spec": {"type": "object"}, "status": {"type": "object"}, "other": {"type": "string"}});
        found["spec"]["versions"][0]["subresources"] = json!({"status": {}});
        found["spec"]["versions"][0]["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "properties": properties}});
        let row = rows(&found).remove(0).0;
        assert_eq!(row.subresource("status").unwrap().reset, [".spec"]);
        assert_eq!(row.reset, [".status"]);
    }

    #[test]
    fn what_is_there_already_is_not_served_twice() {
        let ingresses = definition("networking.k8s.io", "ingresses", "True");
        assert!(rows(&ingresses).is_empty());
        assert!(stored_row(&ingresses).is_none());
    }

    fn definition(group: &str, plural: &str, established: &str) -> Value {
        json!({
            "spec": {"group": group, "names": {"plural": plural}, "versions": [
                {"name": "v1", "served": true, "storage": false}, {"name": "v2", "served": false, "storage": true}]},
            "status": {"acceptedNames": {"plural": plural, "kind": "A"},
                "conditions": [{"type": "Established", "status": established}]},
        })
    }
}
