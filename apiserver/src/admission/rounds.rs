//! The two rounds of the mutating phase: if what users configured changes the object, every plugin sees it once more.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

/// Where the mutating phase of a request is, and what plugins have to know of the round before.
#[derive(Debug, Default)]
pub struct Rounds {
    is_second: bool,
    is_wanted: bool,
    plugins: HashMap<&'static str, Calls>,
}

/// What one plugin that calls what users configured knows of its calls.
#[derive(Debug, Default)]
struct Calls {
    /// The object as the plugin left it.
    left: Option<Value>,
    /// Those that have been called and want to see later changes.
    waiting: BTreeSet<String>,
    /// Those that there has been a later change for.
    due: BTreeSet<String>,
}

impl Calls {
    fn remind(&mut self) {
        self.due.append(&mut self.waiting);
    }
}

impl Rounds {
    /// A plugin begins its calls; in the second round others may have changed the object meanwhile.
    pub(crate) fn begin(&mut self, plugin: &'static str, object: Option<&Value>) {
        let is_second = self.is_second;
        let calls = self.plugins.entry(plugin).or_default();
        if is_second && calls.left.as_ref() != object {
            calls.remind();
        }
    }

    /// Whether a plugin makes a call; in the second round only those are made that want it, and nothing for the first time.
    pub(crate) fn calls(&self, plugin: &str, key: &str) -> bool {
        !self.is_second || self.plugins.get(plugin).is_some_and(|calls| calls.due.contains(key))
    }

    /// A call has been made; `again` is whether it wants to be made once more after later changes.
    pub(crate) fn called(&mut self, plugin: &'static str, key: String, changed: bool, again: bool) {
        if changed {
            self.changed(plugin);
        }
        if again {
            self.plugins.entry(plugin).or_default().waiting.insert(key);
        }
    }

    /// The object is no longer what those that have been called saw.
    pub(crate) fn changed(&mut self, plugin: &'static str) {
        self.plugins.entry(plugin).or_default().remind();
        self.is_wanted = true;
    }

    /// A plugin has made its calls. The object is kept only for those that want to see what becomes of it.
    pub(crate) fn end(&mut self, plugin: &'static str, object: Option<&Value>) {
        if self.is_second {
            return;
        }
        if let Some(calls) = self.plugins.get_mut(plugin).filter(|calls| !calls.waiting.is_empty()) {
            calls.left = object.cloned();
        }
    }

    /// Which round it is, from zero on.
    pub(crate) fn number(&self) -> usize {
        usize::from(self.is_second)
    }

    /// Whether there is a second round, which begins with that.
    pub(super) fn repeat(&mut self) -> bool {
        let begins = self.is_wanted && !self.is_second;
        self.is_second |= begins;
        begins
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLUGIN: &str = "p";

    #[test]
    fn nothing_is_repeated_without_a_change() {
        let mut rounds = Rounds::default();
        rounds.begin(PLUGIN, None);
        assert!(rounds.calls(PLUGIN, "a"));
        rounds.called(PLUGIN, "a".to_owned(), false, true);
        assert!(!rounds.repeat());
    }

    #[test]
    fn who_wants_to_see_later_changes_is_called_again_once() {
        let mut rounds = Rounds::default();
        let object = json!({"x": 1});
        rounds.begin(PLUGIN, Some(&object));
        rounds.called(PLUGIN, "early".to_owned(), true, true);
        rounds.called(PLUGIN, "indifferent".to_owned(), true, false);
        rounds.called(PLUGIN, "late".to_owned(), false, true);
        rounds.end(PLUGIN, Some(&object));
        assert!(rounds.repeat());
        rounds.begin(PLUGIN, Some(&object));
        assert!(rounds.calls(PLUGIN, "early"));
        assert!(!rounds.calls(PLUGIN, "indifferent") && !rounds.calls(PLUGIN, "late") && !rounds.calls(PLUGIN, "new"));
        rounds.called(PLUGIN, "early".to_owned(), true, true);
        assert!(!rounds.repeat(), "there was a third round");
    }

    #[test]
    fn a_change_by_other_plugins_counts_too() {
        let mut rounds = Rounds::default();
        rounds.begin(PLUGIN, Some(&json!(1)));
        rounds.called(PLUGIN, "a".to_owned(), true, true);
        rounds.end(PLUGIN, Some(&json!(2)));
        assert!(rounds.repeat());
        rounds.begin(PLUGIN, Some(&json!(3)));
        assert!(rounds.calls(PLUGIN, "a"));
    }

    #[test]
    fn the_object_is_copied_only_for_who_waits() {
        let kept = |again: bool| {
            let mut rounds = Rounds::default();
            rounds.begin(PLUGIN, Some(&json!(1)));
            rounds.called(PLUGIN, "a".to_owned(), false, again);
            rounds.end(PLUGIN, Some(&json!(1)));
            rounds.plugins[PLUGIN].left.is_some()
        };
        assert!(kept(true));
        assert!(!kept(false));
    }

    #[test]
    fn who_is_called_without_a_change_since_is_not_called_again() {
        let mut rounds = Rounds::default();
        rounds.begin(PLUGIN, Some(&json!(1)));
        rounds.called(PLUGIN, "a".to_owned(), true, true);
        rounds.end(PLUGIN, Some(&json!(2)));
        assert!(rounds.repeat());
        rounds.begin(PLUGIN, Some(&json!(2)));
        assert!(!rounds.calls(PLUGIN, "a"));
    }
}
