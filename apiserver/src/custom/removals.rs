//! What the leader remembers of the removal of definitions' objects, and no definition says.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// How long objects may be there after all of them were deleted, before it is said that they still are.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between the first two tries of a removal that fails; twice as long before each that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Between two tries, at the most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The removals under way, by the uid of the definition.
#[derive(Default)]
pub(super) struct Removals(HashMap<String, Removal>);

#[derive(Default)]
struct Removal {
    /// Since when its objects are waited for.
    waited_since: Option<Instant>,
    /// How often it has failed in a row.
    failures: u32,
    /// Before that it is not tried again.
    due: Option<Instant>,
}

impl Removals {
    /// Whether it is time to try.
    pub fn is_due(&self, uid: &str, now: Instant) -> bool {
        self.0.get(uid).and_then(|removal| removal.due).is_none_or(|due| now >= due)
    }

    /// A try has failed: what fails again and again is not told of again and again.
    pub fn failed(&mut self, uid: &str, now: Instant) {
        let removal = self.0.entry(uid.to_owned()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(removal.failures)).min(LONGEST_PAUSE);
        *removal = Removal { waited_since: None, failures: removal.failures.saturating_add(1), due: Some(now + pause) };
    }

    /// All objects are deleted, but some are still there: whether that has been so for too long. From then on the time
    /// is counted anew.
    pub fn wait(&mut self, uid: &str, now: Instant) -> bool {
        let removal = self.0.entry(uid.to_owned()).or_default();
        let since = *removal.waited_since.get_or_insert(now);
        let over = now.saturating_duration_since(since) >= PATIENCE;
        *removal = Removal { waited_since: (!over).then_some(since), ..Removal::default() };
        over
    }

    /// Forgets all other definitions.
    pub fn keep(&mut self, uids: &HashSet<&str>) {
        self.0.retain(|uid, _| uids.contains(uid.as_str()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_tried_less_and_less_often() {
        let (mut removals, start) = (Removals::default(), Instant::now());
        let after = |millis: u64| start + Duration::from_millis(millis);
        assert!(removals.is_due("u", start));
        removals.failed("u", start);
        assert!(!removals.is_due("u", after(499)) && removals.is_due("u", after(500)) && removals.is_due("v", start));
        removals.failed("u", after(500));
        assert!(!removals.is_due("u", after(1_499)) && removals.is_due("u", after(1_500)));
        (0..100).for_each(|_| removals.failed("u", start));
        assert!(!removals.is_due("u", after(59_999)) && removals.is_due("u", after(60_000)));
        removals.wait("u", start);
        removals.failed("u", start);
        assert!(removals.is_due("u", after(500)), "it went well in between");
    }

    #[test]
    fn objects_that_stay_are_told_of_once_a_minute() {
        let (mut removals, start) = (Removals::default(), Instant::now());
        let mut told = |seconds: u64| removals.wait("u", start + Duration::from_secs(seconds));
        assert_eq!([0, 59, 60, 61, 120, 121].map(&mut told), [false, false, true, false, false, true]);
        removals.keep(&HashSet::new());
        assert!(!removals.wait("u", start + Duration::from_secs(300)), "another definition of the name");
    }
}
