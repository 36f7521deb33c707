//! From the words that users type (`po`, `deploy`, `deployments.apps`, `Pod`) to rows of the resource table.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use mainstay_api::resource::{self, Resource};
use mainstay_client::{DynamicApi, ListParams, Target};
use serde_json::Value;

use super::session::Session;

const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";

/// What every custom resource can do, in the order of discovery.
const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/// The kind that a word names, built in or custom.
pub(crate) async fn find(session: &Session, word: &str) -> Result<Resource> {
    let (name, group) = split(word);
    if let Some(row) = resource::builtin().iter().find(|row| matches(row, &name, group.as_deref())) {
        return Ok(row.clone());
    }
    custom(session).await?.into_iter().find(|row| matches(row, &name, group.as_deref())).with_context(|| {
        format!("the server doesn't have a resource type {word:?}; `mainstay api-resources` lists them")
    })
}

/// The kinds that a word names: one, or all of a category such as `all`, each in its first version.
pub(crate) async fn find_all(session: &Session, word: &str) -> Result<Vec<Resource>> {
    let within = |row: &&Resource| row.categories.iter().any(|category| category == word);
    let mut category: Vec<Resource> = Vec::new();
    for row in resource::builtin().iter().filter(|row| row.is_stored()).filter(within) {
        if !category.iter().any(|known| known.group == row.group && known.resource == row.resource) {
            category.push(row.clone());
        }
    }
    let (name, group) = split(word);
    let builtin = resource::builtin().iter().any(|row| matches(row, &name, group.as_deref()));
    if category.is_empty() && (builtin || group.is_some()) {
        return Ok(vec![find(session, word).await?]);
    }
    match custom(session).await {
        Ok(rows) => category.extend(rows.iter().filter(within).cloned()),
        // Who may not see the definitions still gets the rest of the category.
        Err(_) if !category.is_empty() => {}
        Err(error) => return Err(error),
    }
    if category.is_empty() { Ok(vec![find(session, word).await?]) } else { Ok(category) }
}

/// The kind of an object.
pub(crate) async fn of_object(session: &Session, object: &Value) -> Result<Resource> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version.is_empty() || kind.is_empty() {
        bail!("an object without apiVersion or kind");
    }
    let (group, version) = resource::split_api_version(api_version);
    if let Some(row) = resource::by_kind(group, version, kind) {
        return Ok(row.clone());
    }
    let fits = |row: &Resource| row.group == group && row.kind == kind;
    let row = custom(session).await?.into_iter().find(fits);
    let row = row.with_context(|| {
        format!("no matches for kind {kind:?} in version {api_version:?}; install its custom resource definition first")
    })?;
    Ok(Resource { version: version.to_owned(), ..row })
}

/// Rows of the custom resource definitions that the cluster has.
pub(crate) async fn custom(session: &Session) -> Result<Vec<Resource>> {
    let target = Target::new("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    match DynamicApi::all(session.client.clone(), target).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items.iter().filter_map(row).collect()),
        // A server without custom resources has none.
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        // Who may not see the definitions may still see what is served.
        Err(error) if error.code() == 403 => discovered(session).await,
        Err(error) => Err(error).context("cannot list custom resource definitions"),
    }
}

/// Rows of what the server says that it serves in groups that are not built in.
async fn discovered(session: &Session) -> Result<Vec<Resource>> {
    let body = session.rest.get("/apis", &[("accept", DISCOVERY)]).await?;
    let document: Value = serde_json::from_slice(&body).context("the server sent something that is not JSON")?;
    Ok(document["items"].as_array().into_iter().flatten().flat_map(served).collect())
}

/// The rows of a group, in the version that the server prefers.
fn served(group: &Value) -> Vec<Resource> {
    let (name, version) = (text(&group["metadata"]["name"]), &group["versions"][0]);
    if resource::builtin().iter().any(|row| row.group == name) {
        return Vec::new();
    }
    let row = |served: &Value| Resource {
        group: name.clone(),
        version: text(&version["version"]),
        resource: text(&served["resource"]),
        singular: text(&served["singularResource"]),
        kind: text(&served["responseKind"]["kind"]),
        short_names: texts(&served["shortNames"]),
        categories: texts(&served["categories"]),
        namespaced: served["scope"] == "Namespaced",
        verbs: texts(&served["verbs"]),
        ..Resource::default()
    };
    version["resources"].as_array().into_iter().flatten().map(row).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn row(definition: &Value) -> Option<Resource> {
    let spec = &definition["spec"];
    let version = spec["versions"].as_array()?.iter().find(|version| version["served"] == true)?;
    let names = &spec["names"];
    Some(Resource {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        resource: text(&names["plural"]),
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        verbs: VERBS.map(str::to_owned).to_vec(),
        schema: version.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new),
        ..Resource::default()
    })
}

/// `deployments.v1.apps` and `deployments.apps` name a group; the version is the served one.
fn split(word: &str) -> (String, Option<String>) {
    match word.split_once('.') {
        None => (word.to_lowercase(), None),
        Some((name, rest)) => {
            let group =
                rest.split_once('.').filter(|(version, _)| is_version(version)).map_or(rest, |(_, group)| group);
            (name.to_lowercase(), Some(group.to_owned()))
        }
    }
}

fn is_version(word: &str) -> bool {
    word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn matches(row: &Resource, name: &str, group: Option<&str>) -> bool {
    let named = row.resource == name
        || row.singular == name
        || row.kind.to_lowercase() == name
        || row.short_names.iter().any(|s| s == name);
    named && group.is_none_or(|group| row.group == group)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_served_in_other_groups_becomes_rows() {
        let resources = json!([{"resource": "foos", "singularResource": "foo", "responseKind": {"kind": "Foo"},
            "scope": "Namespaced", "shortNames": ["fo"], "verbs": ["get"]}]);
        let group =
            |name: &str| json!({"metadata": {"name": name}, "versions": [{"version": "v1", "resources": resources}]});
        assert!(served(&group("apps")).is_empty());
        let rows = served(&group("ex.io"));
        assert_eq!(rows.len(), 1);
        let row = &rows[0];
        assert_eq!((row.api_version().as_str(), row.kind.as_str(), row.namespaced), ("ex.io/v1", "Foo", true));
        assert!(matches(row, "fo", None));
    }
}
