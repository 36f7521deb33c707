//! Property: some time after the last fault everything is as it is wanted. Each deployment and StatefulSet has as many
//! ready pods as it asks for and no others, and pods that were deleted are gone.

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use mainstay_client::{Api, Client, ListParams};
use tokio::time::Instant;

use super::Violation;
use crate::pod::is_ready;
use crate::workload::namespace::NAMESPACE;

/// How long that may take, replacements and graceful ends included.
const BOUND: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// What is not as wanted when the time is over; and how long it took until all was.
///
/// # Errors
/// When the cluster cannot be read at the end.
pub async fn check(client: &Client) -> Result<(Vec<Violation>, Duration)> {
    let began = Instant::now();
    loop {
        let now = differences(client).await;
        match now {
            Ok(differences) if differences.is_empty() => return Ok((Vec::new(), began.elapsed())),
            other if began.elapsed() > BOUND => {
                let words = other?.into_iter();
                let named = |seen| Violation { property: "all is as wanted after the last fault", seen };
                return Ok((words.map(named).collect(), began.elapsed()));
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn differences(client: &Client) -> Result<Vec<String>> {
    let all = ListParams::default();
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE).list(&all).await?.items;
    let mut wanted: Vec<(String, i32)> = Vec::new();
    for deployment in Api::<Deployment>::namespaced(client.clone(), NAMESPACE).list(&all).await?.items {
        let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
        wanted.push((deployment.metadata.name.unwrap_or_default(), replicas));
    }
    for set in Api::<StatefulSet>::namespaced(client.clone(), NAMESPACE).list(&all).await?.items {
        wanted.push((set.metadata.name.unwrap_or_default(), set.spec.and_then(|spec| spec.replicas).unwrap_or(1)));
    }
    Ok(compare(&wanted, &pods))
}

/// Pods belong to a workload by their label `app`, which is its name.
fn compare(wanted: &[(String, i32)], pods: &[Pod]) -> Vec<String> {
    let of = |pod: &&Pod, name: &str| {
        pod.metadata.labels.as_ref().and_then(|labels| labels.get("app")).is_some_and(|app| app == name)
    };
    let mut differences = Vec::new();
    for (name, replicas) in wanted {
        let own: Vec<&Pod> = pods.iter().filter(|pod| of(pod, name)).collect();
        let ready = own.iter().filter(|pod| is_ready(pod)).count();
        let number = usize::try_from(*replicas).unwrap_or(0);
        if ready != number || own.len() != number {
            differences.push(format!("{name} wants {number} pods and has {}, of which {ready} are ready", own.len()));
        }
    }
    let leaving = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_some());
    differences.extend(leaving.map(|pod| format!("{} does not go", pod.metadata.name.as_deref().unwrap_or_default())));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_too_many_and_what_does_not_go_are_named() {
        let pod = |name: &str, ready: &str| -> Pod {
            serde_json::from_value(serde_json::json!({"metadata": {"name": name, "labels": {"app": "a"}},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
            .unwrap()
        };
        let wanted = [("a".to_owned(), 2)];
        assert_eq!(compare(&wanted, &[pod("1", "True"), pod("2", "True")]), Vec::<String>::new());
        assert_eq!(compare(&wanted, &[pod("1", "True"), pod("2", "False")]).len(), 1);
        assert_eq!(compare(&wanted, &[pod("1", "True"), pod("2", "True"), pod("3", "False")]).len(), 1);
        let mut leaving = pod("9", "True");
        leaving.metadata.labels = None;
        leaving.metadata.deletion_timestamp =
            serde_json::from_value(serde_json::json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(compare(&[], &[leaving]), ["9 does not go"]);
    }
}
