//! The revisions of a workload: replica sets for deployments, controller revisions for the others.

use anyhow::{Context, Result, bail};
use mainstay_api::resource;
use mainstay_client::{ListParams, Patch};
use serde_json::{Value, json};

use super::super::print;
use super::Rolled;

const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";

/// A revision's number, and what holds it.
type Revision = (i64, Value);

impl Rolled<'_> {
    /// All that are kept, the oldest first.
    async fn revisions(&self) -> Result<Vec<Revision>> {
        let holders = match self.row.kind.as_str() {
            "Deployment" => "replicasets",
            "DaemonSet" | "StatefulSet" => "controllerrevisions",
            _ => bail!("no history viewer has been implemented for \"{}.{}\"", self.row.kind, self.row.group),
        };
        let uid = self.api.get(&self.name, "").await?["metadata"]["uid"].clone();
        let holders = resource::find("apps", "v1", holders).context("this build keeps no revisions")?;
        let all = self.session.api(holders).list(&ListParams::default()).await?.items;
        Ok(owned(all, &uid))
    }

    /// Lists them.
    pub(super) async fn history(&self) -> Result<()> {
        let revisions = self.revisions().await?;
        print::line(&format!("{} ", print::kind_name(&self.row, &self.name)))?;
        print::line("REVISION  CHANGE-CAUSE")?;
        for (revision, holder) in revisions {
            let cause = holder["metadata"]["annotations"][CAUSE].as_str().unwrap_or("<none>");
            print::line(&format!("{revision:<8}  {cause}"))?;
        }
        print::line("")
    }

    /// Goes back to one of them; 0 is the one before.
    pub(super) async fn undo(&self, to: i64) -> Result<()> {
        if self.is_paused().await? {
            bail!("you cannot rollback a paused deployment; resume it first with 'rollout resume' and try again");
        }
        let revisions = self.revisions().await?;
        let (revision, holder) = self.wanted(&revisions, to)?;
        let patch = match holder.get("data") {
            Some(data) => Patch::Strategic(data.clone()),
            None => Patch::Json(json!([{"op": "replace", "path": "/spec/template", "value": template(holder)}])),
        };
        let before = self.api.get(&self.name, "").await?;
        let after = self.api.patch(&self.name, "", &patch).await?;
        let subject = print::kind_name(&self.row, &self.name);
        if before["spec"]["template"] == after["spec"]["template"] {
            return print::line(&format!(
                "{subject} skipped rollback (current template already matches revision {revision})"
            ));
        }
        print::line(&format!("{subject} rolled back"))
    }

    fn wanted<'r>(&self, revisions: &'r [Revision], to: i64) -> Result<&'r Revision> {
        if to != 0 {
            let found = revisions.iter().find(|(revision, _)| *revision == to);
            return found.with_context(|| format!("unable to find specified revision {to} in history"));
        }
        let before = revisions.iter().rev().nth(1);
        before.with_context(|| match self.row.kind.as_str() {
            "Deployment" => format!("no rollout history found for deployment {:?}", self.name),
            _ => "no last revision to roll back to".to_owned(),
        })
    }
}

/// What is the object's own and has a number.
fn owned(all: Vec<Value>, uid: &Value) -> Vec<Revision> {
    let own = |holder: &Value| {
        holder["metadata"]["ownerReferences"].as_array().is_some_and(|list| list.iter().any(|o| o["uid"] == *uid))
    };
    let number = |holder: &Value| match holder["revision"].as_i64() {
        Some(number) => Some(number),
        None => holder["metadata"]["annotations"][REVISION].as_str()?.parse().ok(),
    };
    let own = all.into_iter().filter(own);
    let mut found: Vec<Revision> = own.filter_map(|holder| Some((number(&holder)?, holder))).collect();
    found.sort_by_key(|(revision, _)| *revision);
    found
}

/// A replica set's pods without the label that tells them from those of others.
fn template(set: &Value) -> Value {
    let mut template = set["spec"]["template"].clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_the_owner_s_and_in_order() {
        let owner = |uid: &str| json!([{"uid": uid}]);
        let set = |uid: &str, revision: &str| json!({"metadata": {"ownerReferences": owner(uid), "annotations": {REVISION: revision}}});
        let kept = json!({"metadata": {"ownerReferences": owner("a")}, "revision": 3});
        let found = owned(vec![set("a", "10"), kept, set("b", "1"), set("a", "2"), set("a", "x")], &json!("a"));
        assert_eq!(found.iter().map(|(revision, _)| *revision).collect::<Vec<_>>(), [2, 3, 10]);
    }

    #[test]
    fn pods_lose_the_label_of_their_set() {
        let set = json!({"spec": {"template": {"metadata": {"labels": {"a": "b", "pod-template-hash": "c"}}}}});
        assert_eq!(template(&set), json!({"metadata": {"labels": {"a": "b"}}}));
    }
}
