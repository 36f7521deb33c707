//! Container exits as containerd announces them, so that they are seen within milliseconds.
//!
//! The stream is only a wake-up call: what happened is read from the runtime, and a relist finds what it missed.

use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tonic::transport::Channel;

/// What wakes the agent: containers that end, start or run out of memory. containerd's CRI side shows an end only once it
/// has deleted the task, a good while after it. containerd's filter language.
const TOPICS: [&str; 4] =
    [r#"topic=="/tasks/exit""#, r#"topic=="/tasks/delete""#, r#"topic=="/tasks/start""#, r#"topic=="/tasks/oom""#];
/// Between two attempts to subscribe.
const RETRY: Duration = Duration::from_millis(500);
/// After an event, containerd's CRI side needs a moment until it shows what happened.
const SETTLE: Duration = Duration::from_millis(20);

/// A subscription that renews itself and ends when dropped.
pub(super) struct ExitEvents {
    notify: Arc<Notify>,
    task: JoinHandle<()>,
}

impl ExitEvents {
    /// Subscribes on this channel.
    pub fn subscribe(channel: Channel) -> ExitEvents {
        let notify = Arc::new(Notify::new());
        let task = tokio::spawn(follow(channel, Arc::clone(&notify)));
        ExitEvents { notify, task }
    }

    /// Returns after the next event.
    pub async fn wait(&self) {
        self.notify.notified().await;
        tokio::time::sleep(SETTLE).await;
    }
}

impl Drop for ExitEvents {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(channel: Channel, notify: Arc<Notify>) {
    loop {
        let request = SubscribeRequest { filters: TOPICS.map(str::to_owned).to_vec() };
        match EventsClient::new(channel.clone()).subscribe(request).await {
            Ok(stream) => {
                let mut stream = stream.into_inner();
                // Whatever happened while there was no stream is looked for at once.
                notify.notify_one();
                while let Ok(Some(_)) = stream.message().await {
                    notify.notify_one();
                }
            }
            Err(error) => tracing::debug!(%error, "no event stream from the container runtime"),
        }
        notify.notify_one();
        tokio::time::sleep(RETRY).await;
    }
}
