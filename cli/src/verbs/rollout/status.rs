//! What `mainstay rollout status` says, in kubectl's words.

use anyhow::{Result, bail};
use serde_json::Value;

/// What is said of a rollout, and whether it is done.
pub(super) fn progress(kind: &str, name: &str, object: &Value) -> Result<(String, bool)> {
    let of = match kind {
        "Deployment" => deployment,
        "DaemonSet" => daemon_set,
        "StatefulSet" => stateful_set,
        other => bail!("{other} has no rollouts; deployments, daemon sets and stateful sets have"),
    };
    if kind != "Deployment" && object["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
        bail!("rollout status is only available for RollingUpdate strategy type");
    }
    let words = if kind == "DaemonSet" { "daemon set".to_owned() } else { kind.to_lowercase() };
    let observed = number(&object["status"]["observedGeneration"]);
    if observed == 0 || number(&object["metadata"]["generation"]) > observed {
        return Ok((format!("Waiting for {words} spec update to be observed..."), false));
    }
    of(name, &object["spec"], &object["status"])
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

fn deployment(name: &str, spec: &Value, status: &Value) -> Result<(String, bool)> {
    let late = status["conditions"].as_array().is_some_and(|list| {
        list.iter().any(|c| c["type"] == "Progressing" && c["reason"] == "ProgressDeadlineExceeded")
    });
    if late {
        bail!("deployment \"{name}\" exceeded its progress deadline");
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let [updated, all, available] =
        ["updatedReplicas", "replicas", "availableReplicas"].map(|field| number(&status[field]));
    let waiting = format!("Waiting for deployment \"{name}\" rollout to finish: ");
    Ok(if updated < wanted {
        (format!("{waiting}{updated} out of {wanted} new replicas have been updated..."), false)
    } else if all > updated {
        (format!("{waiting}{} old replicas are pending termination...", all - updated), false)
    } else if available < updated {
        (format!("{waiting}{available} of {updated} updated replicas are available..."), false)
    } else {
        (format!("deployment \"{name}\" successfully rolled out"), true)
    })
}

fn daemon_set(name: &str, _spec: &Value, status: &Value) -> Result<(String, bool)> {
    let [wanted, updated, available] =
        ["desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"].map(|field| number(&status[field]));
    let waiting = format!("Waiting for daemon set \"{name}\" rollout to finish: ");
    Ok(if updated < wanted {
        (format!("{waiting}{updated} out of {wanted} new pods have been updated..."), false)
    } else if available < wanted {
        (format!("{waiting}{available} of {wanted} updated pods are available..."), false)
    } else {
        (format!("daemon set \"{name}\" successfully rolled out"), true)
    })
}

fn stateful_set(_name: &str, spec: &Value, status: &Value) -> Result<(String, bool)> {
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let [ready, updated] = ["readyReplicas", "updatedReplicas"].map(|field| number(&status[field]));
    if ready < wanted {
        return Ok((format!("Waiting for {} pods to be ready...", wanted - ready), false));
    }
    let rolling = &spec["updateStrategy"]["rollingUpdate"];
    if rolling.is_object() {
        // Pods below the partition keep the old revision.
        let new = wanted - number(&rolling["partition"]);
        return Ok(if updated < new {
            let waiting = "Waiting for partitioned roll out to finish";
            (format!("{waiting}: {updated} out of {new} new pods have been updated..."), false)
        } else {
            (format!("partitioned roll out complete: {updated} new pods have been updated..."), true)
        });
    }
    let revision = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    let (current, update) = (revision("currentRevision"), revision("updateRevision"));
    Ok(if current == update {
        let pods = number(&status["currentReplicas"]);
        (format!("statefulset rolling update complete {pods} pods at revision {current}..."), true)
    } else {
        (format!("waiting for statefulset rolling update to complete {updated} pods at revision {update}..."), false)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(kind: &str, spec: Value, mut status: Value) -> (String, bool) {
        status["observedGeneration"] = json!(2);
        let object = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
        progress(kind, "web", &object).unwrap()
    }

    #[test]
    fn a_daemon_set_is_done_when_all_pods_are_new_and_available() {
        let spec = json!({"updateStrategy": {"type": "RollingUpdate"}});
        let status = |updated, available| {
            json!({"desiredNumberScheduled": 3, "numberReady": 3,
                "updatedNumberScheduled": updated, "numberAvailable": available})
        };
        let waiting = "Waiting for daemon set \"web\" rollout to finish: ";
        let seen = |updated, available| said("DaemonSet", spec.clone(), status(updated, available));
        assert_eq!(seen(1, 3), (format!("{waiting}1 out of 3 new pods have been updated..."), false));
        assert_eq!(seen(3, 2), (format!("{waiting}2 of 3 updated pods are available..."), false));
        assert_eq!(seen(3, 3), ("daemon set \"web\" successfully rolled out".to_owned(), true));
    }

    #[test]
    fn a_stateful_set_is_done_when_the_pods_above_its_partition_are_new() {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        let spec = json!({"replicas": 3, "updateStrategy": strategy});
        let seen = |ready, updated| {
            said("StatefulSet", spec.clone(), json!({"readyReplicas": ready, "updatedReplicas": updated}))
        };
        assert_eq!(seen(2, 2), ("Waiting for 1 pods to be ready...".to_owned(), false));
        let waiting = "Waiting for partitioned roll out to finish: 1 out of 2 new pods have been updated...";
        assert_eq!(seen(3, 1), (waiting.to_owned(), false));
        let complete = "partitioned roll out complete: 2 new pods have been updated...";
        assert_eq!(seen(3, 2), (complete.to_owned(), true));
    }

    #[test]
    fn what_nobody_has_looked_at_yet_is_waited_for() {
        let spec = json!({"updateStrategy": {"type": "RollingUpdate"}});
        let object = json!({"metadata": {"generation": 3}, "spec": spec, "status": {"observedGeneration": 2}});
        let said = |kind: &str| progress(kind, "web", &object).unwrap();
        assert_eq!(said("DaemonSet"), ("Waiting for daemon set spec update to be observed...".to_owned(), false));
        assert_eq!(said("Deployment"), ("Waiting for deployment spec update to be observed...".to_owned(), false));
        let on_delete = json!({"spec": {"updateStrategy": {"type": "OnDelete"}}});
        assert!(progress("DaemonSet", "web", &on_delete).is_err());
    }
}
