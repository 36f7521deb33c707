//! What runs only on the leader: it starts when this master may act, stops when it may not, and every write of it carries
//! the term, so that a deposed leader changes nothing.

use std::sync::Arc;
use std::time::Duration;

use mainstay_apiserver::pki::JoinToken;
use mainstay_client::{Client, Term};
use mainstay_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::running::Running;
use super::{Part, ServerArgs};

/// The leader's tasks end within this; what does not is left behind by its term anyway.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What the leader runs, and with what.
#[derive(Clone)]
pub(super) struct Leading {
    store: Store,
    server: Arc<Running>,
    disabled: Vec<Part>,
    first_token: Option<JoinToken>,
}

impl Leading {
    /// From the command line.
    pub(super) fn new(args: &ServerArgs, store: &Store, server: &Arc<Running>, first_token: Option<JoinToken>) -> Self {
        Self { store: store.clone(), server: server.clone(), disabled: args.disable.clone(), first_token }
    }
}

/// Starts and stops the leader's work as leadership comes and goes.
pub(super) async fn follow(leading: Leading, stop: CancellationToken) {
    let mut leadership = leading.store.leadership();
    let mut acting: Option<(Term, CancellationToken, TaskTracker)> = None;
    loop {
        let now = leadership.borrow_and_update().clone();
        let wanted = now.acting.then_some(Term(now.term.0));
        if acting.as_ref().map(|(term, ..)| *term) != wanted {
            if let Some((term, token, tasks)) = acting.take() {
                tracing::info!(term = term.0, "no longer leading");
                end(&token, &tasks).await;
            }
            acting = wanted.map(|term| begin(&leading, term));
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = leadership.changed() => if changed.is_err() { break },
        }
    }
    if let Some((_, token, tasks)) = acting {
        end(&token, &tasks).await;
    }
}

fn begin(leading: &Leading, term: Term) -> (Term, CancellationToken, TaskTracker) {
    tracing::info!(term = term.0, "leading");
    let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
    let client = leading.server.client().with_term(term);
    tasks.spawn(prepare(leading.clone(), term, token.clone()));
    if !leading.disabled.contains(&Part::Scheduler) {
        tasks.spawn(scheduler(client.clone(), token.clone()));
    }
    if !leading.disabled.contains(&Part::Controllers) {
        tasks.spawn(controllers(leading.clone(), client, token.clone()));
    }
    (term, token, tasks)
}

async fn end(token: &CancellationToken, tasks: &TaskTracker) {
    token.cancel();
    tasks.close();
    if tokio::time::timeout(STOP_PATIENCE, tasks.wait()).await.is_err() {
        tracing::warn!("some of the leader's tasks do not end; their term has");
    }
}

/// The cluster's own objects, tried until they are there.
async fn prepare(leading: Leading, term: Term, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = leading.server.ensure_objects(&leading.store, term, leading.first_token.as_ref());
        let outcome = tokio::select! {
            outcome = attempt => outcome,
            () = stop.cancelled() => return,
        };
        match outcome {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the cluster's own objects are not all there yet")
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn scheduler(client: Client, stop: CancellationToken) {
    mainstay_scheduler::run(client, stop).await;
}

async fn controllers(leading: Leading, client: Client, stop: CancellationToken) {
    let config = leading.server.controller_config();
    if let Err(error) = mainstay_controllers::run(client, config, stop).await {
        tracing::error!(%error, "the controllers ended");
    }
}
