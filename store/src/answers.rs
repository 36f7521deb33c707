//! Answers on their way to those who wait for them.
//!
//! The store has a thread of its own, and who asks it waits on others. To wake somebody there takes a lock of theirs and
//! often a system call; to wake a neighbour takes neither. So the answers to a batch of proposals go there together, and are
//! handed out there: with 64 clients and more that is an eighth to a fifth more writes. Readers, who do most of their work
//! after they are woken, are better off woken one by one.

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Batches on their way at once; the store's thread hands out what is more.
const ON_THEIR_WAY: usize = 64;
/// Fewer answers are not worth the way.
const FEW: usize = 4;

type HandOut = Box<dyn FnOnce() + Send>;

/// Where the answers of a batch are handed out.
pub(crate) struct Answers(Option<mpsc::Sender<HandOut>>);

impl Answers {
    /// Where they come from.
    pub(crate) fn here() -> Self {
        Self(None)
    }

    /// On the threads of those who ask, by a task that ends with `stop`.
    pub(crate) fn on(runtime: &Handle, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (answers, queue) = mpsc::channel(ON_THEIR_WAY);
        tasks.spawn_on(run(queue, stop), runtime);
        Self(Some(answers))
    }

    /// Has `all` called, which hands out so many answers, now or soon.
    pub(crate) fn hand_out(&self, count: usize, all: impl FnOnce() + Send + 'static) {
        let Some(queue) = self.0.as_ref().filter(|_| count >= FEW) else { return all() };
        if let Err(TrySendError::Full(all) | TrySendError::Closed(all)) = queue.try_send(Box::new(all)) {
            all();
        }
    }
}

async fn run(mut queue: mpsc::Receiver<HandOut>, stop: CancellationToken) {
    while let Some(Some(all)) = stop.run_until_cancelled(queue.recv()).await {
        all();
    }
    queue.close();
    while let Some(all) = queue.recv().await {
        all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn many_answers_are_handed_out_by_those_who_ask() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let answers = Answers::on(&Handle::current(), &tasks, stop.clone());
        let by = |answers: Answers, count| async move {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let store = thread::spawn(move || {
                answers.hand_out(count, move || sender.send(thread::current().id()).unwrap());
                thread::current().id()
            });
            (receiver.await.unwrap(), store.join().unwrap())
        };
        let (few, store) = by(Answers(answers.0.clone()), FEW - 1).await;
        assert_eq!(few, store);
        let (many, _) = by(Answers(answers.0.clone()), FEW).await;
        assert_eq!(many, thread::current().id());
        let (here, store) = by(Answers::here(), FEW).await;
        assert_eq!(here, store);
    }

    #[tokio::test]
    async fn none_is_lost_when_nobody_takes_them_or_the_end_comes() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let answers = Answers::on(&Handle::current(), &tasks, stop.clone());
        let given = Arc::new(AtomicUsize::new(0));
        let hand_out = || {
            let given = given.clone();
            answers.hand_out(FEW, move || {
                given.fetch_add(1, Ordering::Relaxed);
            });
        };
        (0..=ON_THEIR_WAY).for_each(|_| hand_out());
        assert_eq!(given.load(Ordering::Relaxed), 1, "the queue is full");
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(given.load(Ordering::Relaxed), ON_THEIR_WAY + 1);
        hand_out();
        assert_eq!(given.load(Ordering::Relaxed), ON_THEIR_WAY + 2);
    }
}
