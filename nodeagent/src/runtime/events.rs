//! Container exits as containerd announces them, so that they are seen within milliseconds.
//!
//! The stream is only a wake-up call: what happened is read from the runtime, and a relist finds what it missed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use containerd_client::services::v1::SubscribeRequest;
use containerd_client::services::v1::events_client::EventsClient;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::transport::Channel;

/// What wakes the agent: containers that end, start or run out of memory. containerd's filter language.
const TOPICS: [&str; 3] = [r#"topic=="/tasks/exit""#, r#"topic=="/tasks/start""#, r#"topic=="/tasks/oom""#];
/// Between two attempts to subscribe.
const RETRY: Duration = Duration::from_millis(500);
/// So long after an event it is worth a look. containerd's CRI side shows an end only once it has removed the task and its
/// shim, which takes from a few milliseconds to some hundreds, and tells nobody when it does.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(20), Duration::from_millis(100), Duration::from_millis(250), Duration::from_millis(500)];

/// A subscription that renews itself and ends when dropped.
pub(super) struct ExitEvents {
    notify: Arc<Notify>,
    looks: Mutex<Looks>,
    task: JoinHandle<()>,
}

impl ExitEvents {
    /// Subscribes on this channel.
    pub fn subscribe(channel: Channel) -> ExitEvents {
        let notify = Arc::new(Notify::new());
        let task = tokio::spawn(follow(channel, Arc::clone(&notify)));
        ExitEvents { notify, looks: Mutex::default(), task }
    }

    /// Returns when something that an event told may have come to be seen, several times for each event.
    pub async fn wait(&self) {
        loop {
            let next = self.looks.lock().next();
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.notify.notified() => self.looks.lock().event(Instant::now()),
                () = due => return self.looks.lock().done(),
            }
        }
    }
}

/// When to look next.
#[derive(Default)]
struct Looks(VecDeque<Instant>);

impl Looks {
    fn next(&self) -> Option<Instant> {
        self.0.front().copied()
    }

    fn done(&mut self) {
        self.0.pop_front();
    }

    /// The look that is next stays, so that many events put none off.
    fn event(&mut self, now: Instant) {
        self.0.truncate(1);
        let after = self.next();
        self.0.extend(LOOKS.map(|wait| now + wait).into_iter().filter(|at| after.is_none_or(|after| *at > after)));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_looked_after_several_times_and_puts_no_look_off() {
        let (mut looks, began) = (Looks::default(), Instant::now());
        let at = |millis: u64| began + Duration::from_millis(millis);
        looks.event(began);
        looks.event(at(10));
        assert_eq!(looks.0, [20, 30, 110, 260, 510].map(at));
        looks.done();
        looks.event(at(300));
        assert_eq!(looks.0, [30, 320, 400, 550, 800].map(at));
        (0..5).for_each(|_| looks.done());
        assert_eq!(looks.next(), None);
    }
}
