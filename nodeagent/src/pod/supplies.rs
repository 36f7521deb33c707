//! What a pod's containers need of the masters: ConfigMaps, Secrets and tokens, and the volumes made of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use mainstay_client::EventType;

use super::Shared;
use crate::checkpoint::Checkpoint;
use crate::identity::identity;
use crate::plan::Waiting;
use crate::runtime::{PodRuntime, State};
use crate::sources::Sources;
use crate::volumes::{self, Paths, TokenKey, Tokens};

/// So long a container waits for masters that it could do without.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// What was fetched for one pod.
pub(super) struct Supplies {
    shared: Arc<Shared>,
    tokens: BTreeMap<TokenKey, (String, Instant)>,
    /// As last fetched: a container can be restarted while no master answers.
    fetched: Option<Sources>,
}

impl Supplies {
    pub fn new(shared: Arc<Shared>) -> Supplies {
        Supplies { shared, tokens: BTreeMap::new(), fetched: None }
    }

    /// What the pod refers to; as last fetched, if no master answers.
    pub async fn sources(&mut self, pod: &Pod) -> Result<Sources, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Sources::default());
        }
        let uid = identity(pod).uid;
        let known = self.fetched.clone().or_else(|| self.checkpoint().sources(uid));
        match (in_time(known.is_some(), self.shared.cluster.sources(pod)).await, known) {
            (Ok(sources), _) => {
                if self.fetched.as_ref() != Some(&sources) {
                    self.checkpoint().put_sources(uid, &sources);
                    self.fetched = Some(sources.clone());
                }
                Ok(sources)
            }
            (Err(error), Some(known)) if silent(&error) => {
                tracing::debug!(%error, "no master answers; what was fetched before has to do");
                Ok(known)
            }
            (Err(error), _) => Err(Waiting::new("ContainerCreating", &error.to_string())),
        }
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::new(&self.shared.config.root_dir)
    }

    /// Makes or refreshes the volumes.
    pub async fn volumes(&mut self, pod: &Pod, sources: &Sources) -> Result<Paths, Waiting> {
        if self.shared.runtime.hollow() {
            return Ok(Paths::new());
        }
        let root = &self.shared.config.root_dir.clone();
        // A container that is started again finds its volumes as they were.
        let there = volumes::existing(root, pod);
        let made = match in_time(there.is_some(), self.tokens(pod)).await {
            Ok(tokens) => volumes::set_up(root, pod, sources, &tokens),
            Err(error) if silent(&error) => there.ok_or_else(|| no_token(&error)),
            Err(error) => Err(no_token(&error)),
        };
        made.map_err(|text| {
            self.shared.event(pod, None, EventType::Warning, "FailedMount", text);
            Waiting { reason: "ContainerCreating", message: String::new() }
        })
    }

    /// The tokens that the volumes want, renewed when most of their life is over.
    async fn tokens(&mut self, pod: &Pod) -> Result<Tokens, mainstay_client::Error> {
        for key in volumes::token_requests(pod) {
            if self.tokens.get(&key).is_some_and(|(_, renew)| Instant::now() < *renew) {
                continue;
            }
            match self.shared.cluster.token(pod, &key).await {
                Ok((token, life)) => drop(self.tokens.insert(key, (token, Instant::now() + life))),
                Err(error) if silent(&error) && self.tokens.contains_key(&key) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.tokens.iter().map(|(key, (token, _))| (key.clone(), token.clone())).collect())
    }

    /// Brings changed ConfigMaps, Secrets and tokens to a pod that runs.
    pub async fn refresh(&mut self, pod: &Pod, runtime: &PodRuntime) {
        let running = runtime.containers.iter().any(|c| c.state == State::Running);
        let files = pod.spec.iter().flat_map(|s| s.volumes.iter().flatten());
        let mut files = files.filter(|v| v.empty_dir.is_none() && v.host_path.is_none());
        if !running || files.next().is_none() || pod.metadata.deletion_timestamp.is_some() {
            return;
        }
        if let Ok(sources) = self.sources(pod).await
            && let Err(waiting) = self.volumes(pod, &sources).await
        {
            tracing::debug!(?waiting, "volumes not refreshed");
        }
    }
}

/// Whether the masters did not answer, or had no leader to answer with: that says nothing about what was asked for.
fn silent(error: &mainstay_client::Error) -> bool {
    matches!(error.code(), 0 | 429 | 500..)
}

/// Asks the masters, and no longer than a container can wait if there is something to go on with: masters that are frozen
/// or cut off neither answer nor refuse.
async fn in_time<T>(
    can_go_on: bool,
    question: impl Future<Output = Result<T, mainstay_client::Error>>,
) -> Result<T, mainstay_client::Error> {
    if !can_go_on {
        return question.await;
    }
    let unanswered = |_| Err(mainstay_client::Error::Unavailable(format!("no answer within {ANSWER_LIMIT:?}")));
    tokio::time::timeout(ANSWER_LIMIT, question).await.unwrap_or_else(unanswered)
}

fn no_token(error: &mainstay_client::Error) -> String {
    format!("failed to fetch token: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_who_has_something_to_go_on_with_stops_waiting_for_a_silent_master() {
        let began = tokio::time::Instant::now();
        let error = in_time(true, std::future::pending::<Result<(), mainstay_client::Error>>()).await.unwrap_err();
        assert!(silent(&error) && began.elapsed() == ANSWER_LIMIT);
        let slow = async {
            tokio::time::sleep(ANSWER_LIMIT * 3).await;
            Ok(7)
        };
        assert_eq!(in_time(false, slow).await.unwrap(), 7);
    }
}
