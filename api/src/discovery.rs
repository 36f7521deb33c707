//! Discovery documents, made from resource rows; rows of custom resources are like any other.

use serde_json::{Map, Value, json};

use crate::resource::{self, Resource, Subresource, api_version};

/// `/api`: the versions of the core group.
pub fn api_versions(server_address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    })
}

/// `/apis`: all groups but the core group.
pub fn groups(rows: &[Resource]) -> Value {
    let groups: Vec<Value> =
        group_versions(rows).iter().filter(|(group, _)| !group.is_empty()).map(|(g, v)| group_entry(g, v)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`; None for a group without rows.
pub fn group(rows: &[Resource], group: &str) -> Option<Value> {
    let all = group_versions(rows);
    let (name, versions) = all.iter().find(|(name, _)| *name == group && !name.is_empty())?;
    let mut entry = group_entry(name, versions);
    entry["kind"] = "APIGroup".into();
    entry["apiVersion"] = "v1".into();
    Some(entry)
}

/// `/api/v1` and `/apis/<group>/<version>`: the resources and, after them, their subresources.
pub fn resources(rows: &[Resource], group: &str, version: &str) -> Value {
    let served = || rows.iter().filter(|r| r.group == group && r.version == version);
    let mut entries: Vec<Value> = Vec::new();
    for row in served() {
        entries.push(resource_entry(row));
        entries.extend(row.subresources.iter().map(|sub| subresource_entry(row, sub)));
    }
    let mut list = json!({
        "kind": "APIResourceList", "groupVersion": api_version(group, version), "resources": entries,
    });
    // The core group's list is older than the field.
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

/// The aggregated form (`apidiscovery.k8s.io/v2`): of the core group, or of all others.
pub fn aggregated(rows: &[Resource], core: bool) -> Value {
    let items: Vec<Value> = group_versions(rows)
        .iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| aggregated_group(rows, group, versions))
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

/// Groups with their versions, best first: built-in ones in the table's order, others by name after them.
fn group_versions(rows: &[Resource]) -> Vec<(&str, Vec<&str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for known in resource::groups() {
        if rows.iter().any(|r| r.group == known.name) {
            out.push((&known.name, known.versions.iter().map(String::as_str).collect()));
        }
    }
    let known = out.len();
    for row in rows {
        let at = out.iter().position(|(g, _)| *g == row.group).unwrap_or_else(|| {
            out.push((&row.group, Vec::new()));
            out.len() - 1
        });
        if !out[at].1.contains(&row.version.as_str()) {
            out[at].1.push(&row.version);
        }
    }
    out[known..].sort();
    for (_, versions) in &mut out[known..] {
        versions.sort_by(|a, b| priority(b).cmp(&priority(a)).then_with(|| a.cmp(b)));
    }
    out
}

/// Kubernetes' order of versions: v2 before v1 before v1beta2 before v1alpha1 before anything else.
pub fn version_rank(version: &str) -> impl Ord + use<> {
    (priority(version), std::cmp::Reverse(version.to_owned()))
}

fn priority(version: &str) -> (u8, u64, u64) {
    parse_version(version).unwrap_or((0, 0, 0))
}

fn parse_version(version: &str) -> Option<(u8, u64, u64)> {
    let rest = version.strip_prefix('v')?;
    for (word, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word) {
            return Some((rank, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((3, rest.parse().ok()?, 0))
}

fn group_entry(group: &str, versions: &[&str]) -> Value {
    let entry = |v: &&str| json!({"groupVersion": api_version(group, v), "version": v});
    let all: Vec<Value> = versions.iter().map(entry).collect();
    json!({"name": group, "versions": all, "preferredVersion": all.first()})
}

fn resource_entry(row: &Resource) -> Value {
    let mut entry = json!({
        "name": row.resource, "singularName": row.singular, "namespaced": row.namespaced,
        "kind": row.kind, "verbs": row.verbs,
    });
    put_names(&mut entry, row);
    if !row.storage_version_hash.is_empty() {
        entry["storageVersionHash"] = row.storage_version_hash.as_str().into();
    }
    entry
}

fn put_names(entry: &mut Value, row: &Resource) {
    if !row.short_names.is_empty() {
        entry["shortNames"] = row.short_names.clone().into();
    }
    if !row.categories.is_empty() {
        entry["categories"] = row.categories.clone().into();
    }
}

fn foreign(row: &Resource, sub: &Subresource) -> bool {
    (&sub.group, &sub.version) != (&row.group, &row.version)
}

fn subresource_entry(row: &Resource, sub: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", row.resource, sub.name), "singularName": "",
        "namespaced": row.namespaced, "kind": sub.kind, "verbs": sub.verbs,
    });
    if foreign(row, sub) {
        entry["group"] = sub.group.as_str().into();
        entry["version"] = sub.version.as_str().into();
    }
    entry
}

fn aggregated_group(rows: &[Resource], group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| {
            let all: Vec<&Resource> = rows.iter().filter(|r| r.group == group && r.version == *version).collect();
            if !all.is_empty() && all.iter().all(|row| is_unknown(row)) {
                return json!({"version": version, "freshness": "Stale"});
            }
            let served = all.into_iter().filter(|row| !is_unknown(row));
            json!({"version": version, "resources": served.map(aggregated_resource).collect::<Vec<_>>(), "freshness": "Current"})
        })
        .collect();
    let metadata = if group.is_empty() { Map::new() } else { Map::from_iter([("name".to_owned(), group.into())]) };
    json!({"metadata": metadata, "versions": versions})
}

/// The row that stands for a group and version of which nobody knows yet, or any longer, what is in it.
pub fn unknown(group: &str, version: &str) -> Resource {
    Resource { group: group.to_owned(), version: version.to_owned(), ..Resource::default() }
}

fn is_unknown(row: &Resource) -> bool {
    row.resource.is_empty()
}

fn aggregated_resource(row: &Resource) -> Value {
    let mut entry = json!({
        "resource": row.resource,
        "responseKind": response_kind(row, "", "", &row.kind),
        "scope": if row.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular,
        "verbs": row.verbs,
    });
    put_names(&mut entry, row);
    let subresources: Vec<Value> = row.subresources.iter().map(|sub| aggregated_subresource(row, sub)).collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

/// The kind of an answer; custom resources name their own group and version too.
fn response_kind(row: &Resource, group: &str, version: &str, kind: &str) -> Value {
    if row.schema.is_some() && group.is_empty() && version.is_empty() {
        return json!({"group": row.group, "version": row.version, "kind": kind});
    }
    json!({"group": group, "version": version, "kind": kind})
}

fn aggregated_subresource(row: &Resource, sub: &Subresource) -> Value {
    let (group, version) = if foreign(row, sub) { (sub.group.as_str(), sub.version.as_str()) } else { ("", "") };
    json!({
        "subresource": sub.name,
        "responseKind": response_kind(row, group, version, &sub.kind),
        "verbs": sub.verbs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apiregistration_comes_first_and_the_core_group_stays_out() {
        let value = groups(resource::builtin());
        assert_eq!(value["groups"][0]["name"], "apiregistration.k8s.io");
        assert_eq!(group(resource::builtin(), "autoscaling").unwrap()["preferredVersion"]["version"], "v2");
        assert!(group(resource::builtin(), "").is_none());
    }

    #[test]
    fn what_is_not_known_is_listed_and_stale() {
        let mut rows = resource::builtin().to_vec();
        rows.push(unknown("x.io", "v1"));
        assert_eq!(group(&rows, "x.io").unwrap()["preferredVersion"]["groupVersion"], "x.io/v1");
        let list = aggregated(&rows, false);
        let item = list["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == "x.io").unwrap();
        assert_eq!(item["versions"], json!([{"version": "v1", "freshness": "Stale"}]));
    }

    #[test]
    fn a_subresource_of_another_group_carries_it() {
        let value = resources(resource::builtin(), "", "v1");
        let entries = value["resources"].as_array().unwrap();
        let eviction = entries.iter().find(|e| e["name"] == "pods/eviction").unwrap();
        assert_eq!(eviction["group"], "policy");
        let status = entries.iter().find(|e| e["name"] == "pods/status").unwrap();
        assert!(status.get("group").is_none());
    }

    #[test]
    fn versions_of_custom_groups_are_ordered_by_stability() {
        let row = |version: &str| Resource { group: "x.io".into(), version: version.into(), ..Resource::default() };
        let rows = [row("v1alpha1"), row("v1"), row("v2beta1"), row("v10")];
        let value = group(&rows, "x.io").unwrap();
        let order: Vec<&str> =
            value["versions"].as_array().unwrap().iter().filter_map(|v| v["version"].as_str()).collect();
        assert_eq!(order, ["v10", "v1", "v2beta1", "v1alpha1"]);
    }
}
