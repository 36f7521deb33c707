//! Calls on registers.

use std::time::Duration;

/// The value of a register before any write.
pub const INITIAL: u64 = 0;

/// One call of a client on one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which register.
    pub register: u32,
    /// What was asked.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
    /// When it was sent, since the run began.
    pub sent: Duration,
    /// When the answer came, or the client gave up.
    pub answered: Duration,
}

/// What a client may do to a register. Values are unique within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What is its value?
    Read,
    /// If it holds `expected`, set it to `new`.
    CompareAndSet {
        /// The value that the client saw last.
        expected: u64,
        /// The value that nobody else writes.
        new: u64,
    },
    /// Set it, whatever it holds. Deleting is setting to [`INITIAL`].
    Set(u64),
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A read's value.
    Value(u64),
    /// The write is acknowledged.
    Done,
    /// The write was refused because the register held something else.
    Refused,
    /// No answer, or an error that leaves it open whether the write took effect.
    Unknown,
}
