//! `mainstay rollout`

mod history;
mod status;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use mainstay_api::resource::Resource;
use mainstay_client::{DynamicApi, ListParams, Patch};
use serde_json::{Value, json};

use super::print;
use super::selection::{self, Selected};
use super::session::{Common, Session};

const POLL: Duration = Duration::from_millis(100);

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
    for Selected { row, names } in selection::parse(&session, words).await? {
        let api = session.api(&row);
        let names = if names.is_empty() { every(&api).await? } else { names };
        for name in names {
            Rolled { api: api.clone(), session: &session, row: row.clone(), name }.act(&args.action).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn every(api: &DynamicApi) -> Result<Vec<String>> {
    let items = api.list(&ListParams::default()).await?.items;
    Ok(items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect())
}

struct Rolled<'s> {
    session: &'s Session,
    api: DynamicApi,
    row: Resource,
    name: String,
}

impl Rolled<'_> {
    async fn act(&self, action: &Action) -> Result<()> {
        match action {
            Action::Status { watch, timeout, .. } => self.status(*watch, *timeout).await,
            Action::Restart { .. } => self.restart().await,
            Action::Undo { to_revision, .. } => self.undo(*to_revision).await,
            Action::History { .. } => self.history().await,
            Action::Pause { .. } => self.pause(true).await,
            Action::Resume { .. } => self.pause(false).await,
        }
    }

    async fn restart(&self) -> Result<()> {
        if !matches!(self.row.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
            bail!("{} restarting is not supported", self.subject());
        }
        if self.is_paused().await? {
            bail!("{} can't restart paused deployment (run rollout resume first)", self.subject());
        }
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second())?.to_string();
        let annotations = json!({"kubectl.kubernetes.io/restartedAt": now});
        self.change(json!({"spec": {"template": {"metadata": {"annotations": annotations}}}}), "restarted").await
    }

    async fn pause(&self, pause: bool) -> Result<()> {
        if self.row.kind != "Deployment" {
            bail!("{} {} is not supported", self.subject(), if pause { "pausing" } else { "resuming" });
        }
        match (self.is_paused().await?, pause) {
            (true, true) => bail!("{} is already paused", self.subject()),
            (false, false) => bail!("{} is not paused", self.subject()),
            (_, true) => self.change(json!({"spec": {"paused": true}}), "paused").await,
            (_, false) => self.change(json!({"spec": {"paused": null}}), "resumed").await,
        }
    }

    async fn is_paused(&self) -> Result<bool> {
        Ok(self.api.get(&self.name, "").await?["spec"]["paused"] == true)
    }

    /// As kubectl names what it complains of.
    fn subject(&self) -> String {
        let Resource { resource, group, .. } = &self.row;
        let kind = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        format!("{kind} {:?}", self.name)
    }

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
}
