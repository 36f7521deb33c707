//! The segment that is written next, made while the one before it is in use.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::segment::Segment;

/// Segments that are kept to be used again.
const KEPT: usize = 4;

/// Who makes segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Making {
    /// A thread, ahead of time.
    Thread,
    /// Who needs them.
    #[cfg(test)]
    Inline,
}

/// What a segment is to be made of.
struct Order {
    number: u64,
    used: Option<Segment>,
}

/// The workshop; its thread ends with it.
pub(super) struct Spares {
    shop: Shop,
    /// Found at the start, with the numbers that come next.
    ready: VecDeque<Segment>,
    /// Not needed any more, the oldest first.
    free: VecDeque<Arc<Segment>>,
    thread: Option<Maker>,
    /// Something was ordered and not taken yet.
    ordered: bool,
}

#[derive(Clone)]
struct Shop {
    dir: PathBuf,
    bytes: usize,
}

impl Shop {
    fn make(&self, order: Order) -> std::io::Result<Segment> {
        match order.used {
            Some(used) => used.renumbered(&self.dir, order.number, self.bytes),
            None => Segment::create(&self.dir, order.number, self.bytes),
        }
    }
}

impl Spares {
    pub(super) fn new(dir: &Path, bytes: usize, making: Making, ready: VecDeque<Segment>) -> std::io::Result<Self> {
        let shop = Shop { dir: dir.to_path_buf(), bytes };
        let thread = match making {
            Making::Thread => Some(Maker::start(shop.clone())?),
            #[cfg(test)]
            Making::Inline => None,
        };
        Ok(Self { shop, ready, free: VecDeque::new(), thread, ordered: false })
    }

    /// The segment with this number, which is the one after the last that was taken.
    pub(super) fn take(&mut self, number: u64) -> std::io::Result<Segment> {
        if let Some(ready) = self.ready.pop_front() {
            debug_assert_eq!(ready.number, number, "a segment is not the next one");
            return Ok(ready);
        }
        let ordered = std::mem::take(&mut self.ordered);
        if let Some(maker) = self.thread.as_ref().filter(|_| ordered)
            && let Ok(Ok(made)) = maker.made.recv()
        {
            return Ok(made);
        }
        // What failed then, for want of space say, may go well now; if not, this tells why.
        let used = self.oldest();
        self.shop.make(Order { number, used })
    }

    /// Has the segment with this number made.
    pub(super) fn order(&mut self, number: u64) {
        if !self.ready.is_empty() || self.thread.is_none() {
            return;
        }
        let order = Order { number, used: self.oldest() };
        if let Some(maker) = &self.thread {
            self.ordered = maker.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        }
    }

    /// Takes back segments that are not needed any more; they are older than all that are.
    pub(super) fn give_back(&mut self, segments: impl Iterator<Item = Arc<Segment>>) {
        self.free.extend(segments);
        self.collect();
        // The one that is being made may still have its old number, which is the lowest.
        while !self.ordered && self.free.len() > KEPT {
            self.free.pop_front().into_iter().for_each(|segment| segment.remove());
        }
    }

    /// Takes what was ordered, if it is done.
    fn collect(&mut self) {
        let Some(maker) = self.thread.as_ref().filter(|_| self.ordered) else { return };
        if let Ok(made) = maker.made.try_recv() {
            self.ordered = false;
            self.ready.extend(made.ok());
        }
    }

    /// The oldest goes first: there is never a number missing between two that are there.
    fn oldest(&mut self) -> Option<Segment> {
        let oldest = self.free.pop_front()?;
        // Whoever still reads it goes on reading what it was.
        Arc::try_unwrap(oldest).map_err(|segment| segment.remove()).ok()
    }

    /// Segments that are not in use, with the one that is being made.
    pub(super) fn len(&self) -> usize {
        self.free.len() + self.ready.len() + usize::from(self.ordered)
    }
}

/// The thread. It is waited for at the end: what it makes belongs to who has the directory locked.
struct Maker {
    orders: Option<Sender<Order>>,
    made: Receiver<std::io::Result<Segment>>,
    thread: Option<JoinHandle<()>>,
}

impl Maker {
    fn start(shop: Shop) -> std::io::Result<Self> {
        let (orders, queue) = channel::<Order>();
        let (out, made) = channel();
        let work = move || {
            for order in queue {
                if out.send(shop.make(order)).is_err() {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("raft-log-spare".to_owned()).spawn(work)?;
        Ok(Self { orders: Some(orders), made, thread: Some(thread) })
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.orders = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that makes segments of the log panicked");
        }
    }
}
