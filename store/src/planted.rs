//! Known bugs, planted in test builds only, to show that the checks catch them.

use std::cell::Cell;

/// What may be wrong with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The log answers before its write is on disk.
    AckBeforeSync,
    /// A leader answers reads without asking whether it still is one.
    StaleRead,
    /// A watch that resumes misses the next revision.
    GapOnResume,
    /// One master applies the transactions of an entry in another order.
    ApplyOrder,
}

thread_local! {
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in everything that runs on this thread, or removes it.
pub(crate) fn plant(bug: Option<Bug>) {
    BUG.set(bug);
}

/// Whether this bug is planted.
pub(crate) fn planted(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}
