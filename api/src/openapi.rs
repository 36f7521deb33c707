//! OpenAPI documents, made from resource rows and the type table: v3 per group and version with an index, and one v2 document.

mod custom;
mod operation;
mod phrase;
mod plain;
mod prose;
pub mod protobuf;
mod schema;
mod shared;
mod words;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha512};

use crate::resource::Resource;
use operation::Edition;
use plain::Plain;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The documents that exist beside those of groups.
const PLAIN: [&str; 5] = [".well-known/openid-configuration", "api", "apis", "openid/v1/jwks", "version"];

/// `/openapi/v3`: where each document is, with a hash that changes when the document does.
pub fn v3_index(rows: &[Resource]) -> Value {
    let mut paths = Map::new();
    let mut add = |place: String, hash: String| {
        let url = v3_url(&place, &hash);
        paths.insert(place, json!({"serverRelativeURL": url}));
    };
    for place in PLAIN {
        add(place.to_owned(), hash(place, &[]));
    }
    for (place, served) in places(rows) {
        let group = place.rsplit_once('/').filter(|(group, _)| group.contains('/') && is_plain(rows, group));
        if let Some((group, _)) = group {
            add(group.to_owned(), hash(group, &[]));
        }
        let hash = hash(&place, &served);
        add(place, hash);
    }
    json!({"paths": paths})
}

/// Where a document with this hash is.
pub fn v3_url(place: &str, hash: &str) -> String {
    format!("/openapi/v3/{place}?hash={hash}")
}

/// The hash that the index names for the document of a place; None if nothing is served there.
pub fn v3_hash(rows: &[Resource], place: &str) -> Option<String> {
    let found = places(rows).into_iter().find(|(known, _)| known == place);
    match found {
        Some((_, served)) => Some(hash(place, &served)),
        None => is_plain(rows, place).then(|| hash(place, &[])),
    }
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/<group>/<version>`; None if nothing is served there.
pub fn v3_group_version(rows: &[Resource], place: &str) -> Option<Value> {
    let found = places(rows).into_iter().find(|(known, _)| known == place);
    let served = match found {
        Some((_, served)) => served,
        None if is_plain(rows, place) => Vec::new(),
        None => return None,
    };
    let edition = Edition::V3;
    let plain: Vec<Plain> =
        plain::of(place).filter(|_| served.iter().all(|row| !row.is_custom())).into_iter().collect();
    let custom = !served.is_empty() && served.iter().all(|row| row.is_custom());
    let mut document = json!({
        "openapi": "3.0.0",
        "info": if custom { custom_info() } else { info() },
        "paths": paths(&served, &plain, edition),
        "components": {"schemas": schema::closure(&served, &bodies(&plain), edition)},
    });
    if !custom {
        document["components"]["securitySchemes"] = json!({"BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}});
    }
    Some(document)
}

/// `/openapi/v2`: everything in one document, for old clients.
pub fn v2(rows: &[Resource]) -> Value {
    let served: Vec<&Resource> = rows.iter().collect();
    let plain = everything_plain(rows);
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": paths(&served, &plain, Edition::V2),
        "definitions": schema::closure(&served, &bodies(&plain), Edition::V2),
        "security": [{"BearerToken": []}],
        "securityDefinitions": {"BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}},
    })
}

/// The paths of rows, and those beside them.
fn paths(rows: &[&Resource], plain: &[Plain], edition: Edition) -> Map<String, Value> {
    let mut out = operation::paths(rows, edition);
    out.extend(plain.iter().map(|plain| (plain.path.clone(), plain.document(edition))));
    out
}

/// The types that plain paths answer with.
fn bodies(plain: &[Plain]) -> Vec<&str> {
    plain.iter().filter_map(|plain| plain.body.as_deref()).collect()
}

/// What there is beside the objects of all groups.
fn everything_plain(rows: &[Resource]) -> Vec<Plain> {
    let mut all: BTreeSet<String> = PLAIN.iter().map(|place| (*place).to_owned()).collect();
    for row in rows.iter().filter(|row| !row.is_custom()) {
        all.insert(root(row));
        all.extend((!row.group.is_empty()).then(|| format!("apis/{}", row.group)));
    }
    all.iter().filter_map(|place| plain::of(place)).collect()
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.36.1"})
}

/// What a document is about that is made of definitions alone.
fn custom_info() -> Value {
    json!({"title": "Kubernetes CRD Swagger", "version": "v0.1.0"})
}

fn is_plain(rows: &[Resource], place: &str) -> bool {
    let group = place.strip_prefix("apis/");
    PLAIN.contains(&place) || rows.iter().any(|r| Some(r.group.as_str()) == group && !r.is_custom())
}

/// The rows of each group and version, by the path of their document.
fn places(rows: &[Resource]) -> Vec<(String, Vec<&Resource>)> {
    let mut out: Vec<(String, Vec<&Resource>)> = Vec::new();
    for row in rows {
        let place = root(row);
        match out.iter_mut().find(|(known, _)| *known == place) {
            Some((_, served)) => served.push(row),
            None => out.push((place, vec![row])),
        }
    }
    out
}

/// `api/v1` or `apis/<group>/<version>`.
fn root(row: &Resource) -> String {
    let prefix = if row.group.is_empty() { "api" } else { "apis" };
    format!("{prefix}/{}", row.api_version())
}

fn hash(place: &str, rows: &[&Resource]) -> String {
    let mut digest = Sha512::new();
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(place);
    for row in rows {
        digest.update(format!("{row:?}"));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

/// The name of a row's kind among the schemas.
fn schema_name(row: &Resource) -> String {
    if row.is_custom() { custom_name(row, &row.kind) } else { row.type_name.clone() }
}

/// The name of a custom kind among the schemas, or that of its lists.
fn custom_name(row: &Resource, kind: &str) -> String {
    let reversed: Vec<&str> = row.group.rsplit('.').collect();
    format!("{}.{}.{kind}", reversed.join("."), row.version)
}

/// The schema name of a kind that a path's body has.
fn kind_name(row: &Resource, group: &str, version: &str, kind: &str) -> String {
    if (group, version, kind) == (&row.group, &row.version, &row.kind) {
        return schema_name(row);
    }
    let known = crate::types::type_of(group, version, kind);
    known.map_or_else(|| format!("{META}.Status"), |t| t.name.to_owned())
}

#[cfg(test)]
mod tests;
