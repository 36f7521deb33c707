//! `mainstay rollout`

mod status;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use mainstay_api::resource::{self, Resource};
use mainstay_client::{DynamicApi, ListParams, Patch};
use serde_json::{Value, json};

use super::print;
use super::selection;
use super::session::{Common, Session};

const POLL: Duration = Duration::from_millis(100);
const REVISION: &str = "deployment.kubernetes.io/revision";
const CAUSE: &str = "kubernetes.io/change-cause";

/// `mainstay rollout`
#[derive(Args)]
pub(crate) struct RolloutArgs {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Wait until a rollout is done
    Status {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
        /// Wait; otherwise only say how far it is
        #[arg(long, short = 'w', default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        watch: bool,
        /// Wait no longer than this; 0 for as long as it takes
        #[arg(long, default_value = "0", value_parser = super::wait::seconds)]
        timeout: u64,
    },
    /// Replace all pods, one after the other
    Restart {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
    },
    /// Go back to an earlier revision
    Undo {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
        /// Which; 0 for the one before
        #[arg(long, default_value_t = 0)]
        to_revision: i64,
    },
    /// List the revisions
    History {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
    },
    /// Stop rolling out changes
    Pause {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
    },
    /// Roll out changes again
    Resume {
        /// What: deployment/web
        #[arg(required = true)]
        what: Vec<String>,
    },
}

/// Does what the subcommand says.
pub(crate) async fn run(args: RolloutArgs) -> Result<ExitCode> {
    let session = args.common.session()?;
    let words = match &args.action {
        Action::Status { what, .. }
        | Action::Restart { what }
        | Action::Undo { what, .. }
        | Action::History { what }
        | Action::Pause { what }
        | Action::Resume { what } => what,
    };
    let (row, name) = selection::one(&session, words).await?;
    let object = Rolled { api: session.api(&row), session: &session, row, name };
    match args.action {
        Action::Status { watch, timeout, .. } => object.status(watch, timeout).await?,
        Action::Restart { .. } => {
            let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())?.to_string();
            let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
            object
                .change(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}), "restarted")
                .await?;
        }
        Action::Undo { to_revision, .. } => object.undo(to_revision).await?,
        Action::History { .. } => object.history().await?,
        Action::Pause { .. } => object.change(json!({"spec": {"paused": true}}), "paused").await?,
        Action::Resume { .. } => object.change(json!({"spec": {"paused": null}}), "resumed").await?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Rolled<'s> {
    session: &'s Session,
    api: DynamicApi,
    row: Resource,
    name: String,
}

impl Rolled<'_> {
    async fn change(&self, patch: Value, done: &str) -> Result<()> {
        self.api.patch(&self.name, "", &Patch::Merge(patch)).await?;
        print::line(&format!("{} {done}", print::kind_name(&self.row, &self.name)))
    }

    async fn status(&self, watch: bool, timeout: u64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(timeout);
        let mut said = String::new();
        loop {
            let (text, done) = status::progress(&self.row.kind, &self.name, &self.api.get(&self.name, "").await?)?;
            if text != said {
                print::line(&text)?;
                said = text;
            }
            if done || !watch {
                return Ok(());
            }
            if timeout > 0 && Instant::now() > deadline {
                bail!("timed out waiting for the condition");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The deployment's replica sets by revision.
    async fn revisions(&self) -> Result<Vec<(i64, Value)>> {
        if self.row.kind != "Deployment" {
            bail!("{} keep no revisions here; deployments do", self.row.resource);
        }
        let uid = self.api.get(&self.name, "").await?["metadata"]["uid"].clone();
        let sets = resource::find("apps", "v1", "replicasets").context("this build has no replica sets")?;
        let all = self.session.api(sets).list(&ListParams::default()).await?.items;
        let owned = |set: &Value| {
            set["metadata"]["ownerReferences"].as_array().is_some_and(|list| list.iter().any(|o| o["uid"] == uid))
        };
        let revision =
            |set: &Value| set["metadata"]["annotations"][REVISION].as_str().and_then(|text| text.parse().ok());
        let mut found: Vec<(i64, Value)> =
            all.into_iter().filter(owned).filter_map(|set| Some((revision(&set)?, set))).collect();
        found.sort_by_key(|(revision, _)| *revision);
        Ok(found)
    }

    async fn history(&self) -> Result<()> {
        print::line(&print::kind_name(&self.row, &self.name))?;
        let mut grid = vec![vec!["REVISION".to_owned(), "CHANGE-CAUSE".to_owned()]];
        for (revision, set) in self.revisions().await? {
            let cause = set["metadata"]["annotations"][CAUSE].as_str().unwrap_or("<none>").to_owned();
            grid.push(vec![revision.to_string(), cause]);
        }
        super::table::align(&grid).iter().try_for_each(|line| print::line(line))
    }

    async fn undo(&self, to: i64) -> Result<()> {
        let revisions = self.revisions().await?;
        let set = match to {
            0 => revisions
                .iter()
                .rev()
                .nth(1)
                .map(|(_, set)| set)
                .context("no rollout history found; there is nothing to go back to")?,
            _ => {
                let wanted = revisions.iter().find(|(revision, _)| *revision == to);
                wanted
                    .map(|(_, set)| set)
                    .with_context(|| format!("unable to find specified revision {to} in history"))?
            }
        };
        let mut template = set["spec"]["template"].clone();
        if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
            labels.remove("pod-template-hash");
        }
        self.api
            .patch(
                &self.name,
                "",
                &Patch::Json(json!([{"op": "replace", "path": "/spec/template", "value": template}])),
            )
            .await?;
        print::line(&format!("{} rolled back", print::kind_name(&self.row, &self.name)))
    }
}
