//! Pods that wait for a node: ready, pausing after a failure, or set aside until something changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::filter::Rule;
use crate::pod::PodInfo;

/// After the first failure; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A pod is tried again after this long even when nothing seems to have changed.
const SET_ASIDE_LIMIT: Duration = Duration::from_secs(300);

/// What happened in the cluster that may make room for a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A node came or changed.
    Node,
    /// A pod came to a node, or its labels changed.
    PodPlaced,
    /// A pod left its node.
    PodGone,
    /// Claims, or the devices that there are, changed.
    Devices,
}

impl Happening {
    /// Whether it may change what a rule says.
    fn concerns(self, rule: Rule) -> bool {
        match self {
            Self::Node => true,
            Self::PodPlaced => matches!(rule, Rule::PodAffinity | Rule::Spread),
            Self::PodGone => matches!(rule, Rule::PodAffinity | Rule::Spread | Rule::Fit | Rule::Ports),
            Self::Devices => rule == Rule::Devices,
        }
    }
}

#[derive(Debug)]
enum Place {
    /// In `ready`, under this rank.
    Ready(Rank),
    /// Until this moment.
    Pausing(Instant),
    /// Until something happens that concerns one of these rules.
    SetAside { rules: BTreeSet<Rule>, since: Instant },
    /// The same, and then there is no pause: the pod was not tried.
    Held { rules: BTreeSet<Rule>, since: Instant },
}

/// Higher priority first, then first come.
type Rank = (std::cmp::Reverse<i32>, u64);

#[derive(Debug)]
struct Waiting {
    pod: Arc<PodInfo>,
    place: Place,
    attempts: u32,
    tried: Instant,
}

/// The pods without a node, by uid.
#[derive(Debug, Default)]
pub struct Queue {
    pods: HashMap<String, Waiting>,
    ready: BTreeMap<Rank, String>,
    arrivals: u64,
}

impl Queue {
    /// Adds a pod, or takes over its new state: a changed pod is tried again at once.
    pub fn add(&mut self, pod: Arc<PodInfo>, now: Instant) {
        let attempts = self.remove(pod.uid()).map_or(0, |waiting| waiting.attempts);
        let place = Place::Ready(self.rank(&pod));
        self.insert(Waiting { pod, place, attempts, tried: now });
    }

    /// Takes over a pod's new state where it waits, if only its status changed.
    pub fn refresh(&mut self, pod: Arc<PodInfo>) {
        if let Some(waiting) = self.pods.get_mut(pod.uid()) {
            waiting.pod = pod;
        }
    }

    /// The pod that waits under this uid.
    #[must_use]
    pub fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.pods.get(uid).map(|waiting| &waiting.pod)
    }

    /// Forgets a pod.
    pub fn forget(&mut self, uid: &str) {
        self.remove(uid);
    }

    /// The next pod to decide on, with how often it was tried before.
    pub fn pop(&mut self, now: Instant) -> Option<(Arc<PodInfo>, u32)> {
        self.wake_due(now);
        let uid = self.ready.values().next()?.clone();
        self.remove(&uid).map(|waiting| (waiting.pod, waiting.attempts))
    }

    /// Sets a pod aside that no node takes.
    pub fn set_aside(&mut self, pod: Arc<PodInfo>, attempts: u32, rules: BTreeSet<Rule>, now: Instant) {
        let place = Place::SetAside { rules, since: now };
        self.insert(Waiting { pod, place, attempts: attempts.saturating_add(1), tried: now });
    }

    /// Sets a pod aside that cannot be tried yet.
    pub fn hold(&mut self, pod: Arc<PodInfo>, attempts: u32, rules: BTreeSet<Rule>, now: Instant) {
        let place = Place::Held { rules, since: now };
        self.insert(Waiting { pod, place, attempts, tried: now });
    }

    /// Tries a pod again after a pause: something failed that is not about the pod.
    pub fn retry(&mut self, pod: Arc<PodInfo>, attempts: u32, now: Instant) {
        let attempts = attempts.saturating_add(1);
        let place = Place::Pausing(now + pause(attempts));
        self.insert(Waiting { pod, place, attempts, tried: now });
    }

    /// Something happened: pods that it may help are tried again, once their pause is over.
    pub fn wake(&mut self, happening: Happening) {
        let concerned = |rules: &BTreeSet<Rule>| rules.iter().any(|rule| happening.concerns(*rule));
        for waiting in self.pods.values_mut() {
            match &waiting.place {
                Place::SetAside { rules, .. } if concerned(rules) => {
                    waiting.place = Place::Pausing(waiting.tried + pause(waiting.attempts));
                }
                Place::Held { rules, .. } if concerned(rules) => waiting.place = Place::Pausing(waiting.tried),
                _ => {}
            }
        }
    }

    /// When a pausing pod becomes ready.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = |waiting: &Waiting| match &waiting.place {
            Place::Ready(_) => None,
            Place::Pausing(until) => Some(*until),
            Place::SetAside { since, .. } | Place::Held { since, .. } => Some(*since + SET_ASIDE_LIMIT),
        };
        self.pods.values().filter_map(due).min()
    }

    fn wake_due(&mut self, now: Instant) {
        let due = |waiting: &Waiting| match &waiting.place {
            Place::Ready(_) => false,
            Place::Pausing(until) => *until <= now,
            Place::SetAside { since, .. } | Place::Held { since, .. } => *since + SET_ASIDE_LIMIT <= now,
        };
        let uids: Vec<_> = self.pods.iter().filter(|(_, w)| due(w)).map(|(uid, _)| uid.clone()).collect();
        for uid in uids {
            if let Some(mut waiting) = self.pods.remove(&uid) {
                waiting.place = Place::Ready(self.rank(&waiting.pod));
                self.insert(waiting);
            }
        }
    }

    fn rank(&mut self, pod: &PodInfo) -> Rank {
        self.arrivals += 1;
        (std::cmp::Reverse(pod.priority()), self.arrivals)
    }

    fn insert(&mut self, waiting: Waiting) {
        let uid = waiting.pod.uid().to_owned();
        self.remove(&uid);
        if let Place::Ready(rank) = &waiting.place {
            self.ready.insert(*rank, uid.clone());
        }
        self.pods.insert(uid, waiting);
    }

    fn remove(&mut self, uid: &str) -> Option<Waiting> {
        let waiting = self.pods.remove(uid)?;
        if let Place::Ready(rank) = &waiting.place {
            self.ready.remove(rank);
        }
        Some(waiting)
    }
}

fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(10)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{info, named_pod};

    fn waiting(name: &str, priority: i32) -> Arc<PodInfo> {
        Arc::new(info(named_pod(name, &json!({}), &format!(r#"{{"priority":{priority}}}"#))))
    }

    fn pop(queue: &mut Queue, now: Instant) -> Option<String> {
        queue.pop(now).map(|(pod, _)| pod.name().to_owned())
    }

    #[test]
    fn priority_comes_first_then_order() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for (name, priority) in [("a", 0), ("b", 0), ("c", 9)] {
            queue.add(waiting(name, priority), now);
        }
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut queue, now)).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[test]
    fn a_pod_set_aside_wakes_for_what_concerns_it_after_its_pause() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.set_aside(waiting("a", 0), 0, BTreeSet::from([Rule::Fit]), now);
        queue.wake(Happening::PodPlaced);
        assert_eq!(pop(&mut queue, now + Duration::from_secs(60)), None);
        queue.wake(Happening::PodGone);
        assert_eq!(pop(&mut queue, now), None);
        assert_eq!(queue.next_due(), Some(now + FIRST_PAUSE));
        assert_eq!(pop(&mut queue, now + FIRST_PAUSE), Some("a".into()));
    }

    #[test]
    fn a_pod_that_was_not_tried_wakes_at_once() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.hold(waiting("a", 0), 3, BTreeSet::from([Rule::Devices]), now);
        queue.wake(Happening::PodGone);
        assert_eq!(pop(&mut queue, now), None);
        queue.wake(Happening::Devices);
        assert_eq!(queue.pop(now).map(|(_, attempts)| attempts), Some(3));
    }

    #[test]
    fn nothing_is_forgotten_for_ever() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.set_aside(waiting("a", 0), 3, BTreeSet::new(), now);
        assert_eq!(pop(&mut queue, now + SET_ASIDE_LIMIT), Some("a".into()));
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        assert_eq!([pause(1), pause(2), pause(9)].map(|p| p.as_secs()), [1, 2, 10]);
    }
}
