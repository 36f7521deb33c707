//! What a new cluster holds from its first moment: namespaces, roles, priorities, flow schemas, the service of the API itself.
//! The leader makes what is missing each time it begins to act; what users changed stays.

mod kubernetes_service;

pub use kubernetes_service::MasterEndpoint;

use crate::strategy::Reader;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use mainstay_api::resource;
use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

/// One object a line; in the order in which they can be made.
const TABLE: &str = include_str!("../../tables/bootstrap.jsonl");
/// So many creates are under way at once; they share the Raft entries.
const CONCURRENCY: usize = 32;

/// Where the objects are made: the verb engine, as the cluster itself.
#[async_trait]
pub trait Target: Send + Sync {
    /// Creates an object; its kind, namespace and name are in it.
    async fn create(&self, object: Value) -> ApiResult<()>;
    /// Replaces an object without looking at its resource version.
    async fn replace(&self, object: Value) -> ApiResult<()>;
    /// Replaces the status of an object.
    async fn write_status(&self, object: Value) -> ApiResult<()>;
}

/// Makes what is missing.
///
/// # Errors
/// The first refusal other than that the object is there already.
pub async fn ensure(target: &dyn Target, reader: &dyn Reader, masters: &[MasterEndpoint]) -> ApiResult<()> {
    let (namespaces, rest): (Vec<Value>, Vec<Value>) = objects().partition(|object| object["kind"] == "Namespace");
    create_missing(target, reader, namespaces).await?;
    create_missing(target, reader, rest).await?;
    kubernetes_service::ensure(target, reader, masters).await
}

/// The objects of the table.
pub fn objects() -> impl Iterator<Item = Value> {
    TABLE
        .lines()
        .map(|line| with_status(serde_json::from_str(line).expect("the table is generated and a test parses it")))
}

/// Flow schemas say that the level exists which they refer to.
fn with_status(mut object: Value) -> Value {
    if object["kind"] == "FlowSchema" {
        let level = object["spec"]["priorityLevelConfiguration"]["name"].as_str().unwrap_or_default();
        let message =
            format!("This FlowSchema references the PriorityLevelConfiguration object named \"{level}\" and it exists");
        object["status"] = serde_json::json!({"conditions": [
            {"type": "Dangling", "status": "False", "reason": "Found", "message": message},
        ]});
    }
    object
}

async fn create_missing(target: &dyn Target, reader: &dyn Reader, objects: Vec<Value>) -> ApiResult<()> {
    let missing = objects.into_iter().filter(|object| stored(reader, object).is_none());
    stream::iter(missing.map(|object| create_whole(target, object)))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await
}

/// Creates an object and gives it the status that it comes with, as of now.
async fn create_whole(target: &dyn Target, mut object: Value) -> ApiResult<()> {
    create(target, object.clone()).await?;
    let now = mainstay_api::time::seconds(jiff::Timestamp::now());
    let Some(conditions) = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else {
        return Ok(());
    };
    for condition in conditions {
        condition["lastTransitionTime"] = now.as_str().into();
    }
    target.write_status(object).await
}

/// Creates; that it is there already is as good.
async fn create(target: &dyn Target, object: Value) -> ApiResult<()> {
    let what = format!(
        "{} {}",
        object["kind"].as_str().unwrap_or_default(),
        object["metadata"]["name"].as_str().unwrap_or_default()
    );
    match target.create(object).await {
        Err(status) if status.is("AlreadyExists") => Ok(()),
        Err(status) => {
            tracing::warn!(what, error = %status.message, "cannot make an object of the cluster");
            Err(status)
        }
        Ok(()) => Ok(()),
    }
}

fn stored(reader: &dyn Reader, object: &Value) -> Option<std::sync::Arc<Value>> {
    let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let row = resource::by_kind(group, version, &text(&object["kind"]))?;
    reader.get(group, &row.resource, &text(&object["metadata"]["namespace"]), &text(&object["metadata"]["name"]))
}

/// Whether all objects of the table that are of these kinds are there.
pub(crate) fn are_made(reader: &dyn Reader, kinds: &[&str]) -> bool {
    let is_asked = |object: &Value| object["kind"].as_str().is_some_and(|kind| kinds.contains(&kind));
    objects().filter(is_asked).all(|object| stored(reader, &object).is_some())
}

/// Whether a refusal may pass with time, so that the leader should try again.
#[must_use]
pub fn is_transient(status: &Status) -> bool {
    matches!(status.code, 409 | 429 | 500..=599)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_the_table_is_of_a_kind_that_is_served() {
        for object in objects() {
            let api_version = object["apiVersion"].as_str().unwrap();
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            assert!(resource::by_kind(group, version, object["kind"].as_str().unwrap()).is_some(), "{object}");
        }
    }

    #[test]
    fn the_administrators_role_is_there() {
        let has = |kind: &str, name: &str| objects().any(|o| o["kind"] == kind && o["metadata"]["name"] == name);
        assert!(has("ClusterRole", "cluster-admin") && has("ClusterRoleBinding", "cluster-admin"));
        assert!(has("Namespace", "kube-system") && has("PriorityClass", "system-node-critical"));
    }
}
