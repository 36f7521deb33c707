//! What masters say about themselves, each asked on its own.

use std::time::Duration;

use anyhow::{Context, Result};
use mainstay_client::{Client, Config};
use mainstay_proto::v1::cluster_client::ClusterClient;
use mainstay_proto::v1::{StatusRequest, StatusResponse};

/// A master that says nothing for so long is passed over.
const LIMIT: Duration = Duration::from_secs(2);

/// Who leads, as one master sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The term; it grows with every election.
    pub term: u64,
    /// The leader's name.
    pub leader: String,
}

/// Asks one master, or the first that answers.
#[derive(Clone)]
pub struct Asker {
    client: Client,
}

impl Asker {
    /// Asks the masters of this configuration.
    ///
    /// # Errors
    /// When the configuration is unusable.
    pub fn new(config: &Config) -> Result<Self> {
        let config = Config { timeout: LIMIT, attempt_timeout: LIMIT, ..config.clone() };
        Ok(Self { client: Client::connect(&config)? })
    }

    /// The state of the masters.
    ///
    /// # Errors
    /// When no master answers in time.
    pub async fn ask(&self) -> Result<StatusResponse> {
        let mut client = ClusterClient::new(self.client.transport().service());
        let answer = tokio::time::timeout(LIMIT, client.status(StatusRequest {})).await;
        Ok(answer.context("no answer in time")?.context("asking a master for its state")?.into_inner())
    }

    /// Who leads; `None` while nobody does.
    ///
    /// # Errors
    /// When no master answers in time.
    pub async fn leadership(&self) -> Result<Option<Leadership>> {
        let status = self.ask().await?;
        let leader = status.members.iter().find(|member| member.id == status.leader_id);
        Ok(leader.map(|leader| Leadership { term: status.term, leader: leader.name.clone() }))
    }
}
