//! What is broken, when, and for how long.

use std::time::Duration;

use rand::Rng;

use super::world::MASTERS;

/// Something that goes wrong, and is mended after its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Processes end, with or without the machine's power.
    Crash { masters: Vec<usize>, power_lost: bool },
    /// Nothing gets through between two masters, either way.
    Cut(usize, usize),
    /// Nothing gets from one master to another; the way back is open.
    CutOneWay(usize, usize),
    /// A master is cut off.
    Isolate(usize),
    /// The leader of that moment is.
    IsolateLeader,
    /// What a master sends and what is sent to it waits, and then arrives at once.
    Hold(usize),
    /// Messages take long.
    Slow(Duration),
    /// Some messages are lost.
    Lossy,
    /// A master's disk is gone; it comes back empty, removed by an operator before or not.
    Wipe { master: usize, remove: bool },
    /// An operator moves leadership.
    Transfer,
    /// A master's calendar leaps.
    Clock { master: usize, by_ms: i64 },
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) fault: Fault,
    pub(super) begin: Duration,
    pub(super) end: Duration,
}

fn millis(random: &mut impl Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(range))
}

fn one(random: &mut impl Rng) -> usize {
    random.random_range(0..MASTERS.len())
}

fn fault(random: &mut impl Rng) -> Fault {
    let master = one(random);
    let other = (master + random.random_range(1..MASTERS.len())) % MASTERS.len();
    match random.random_range(0..17) {
        0..5 => {
            let count = [1, 1, 2, 3][random.random_range(0..4)];
            let masters = (0..count).map(|step| (master + step) % MASTERS.len()).collect();
            Fault::Crash { masters, power_lost: random.random() }
        }
        5 => Fault::Cut(master, other),
        6..8 => Fault::CutOneWay(master, other),
        8 => Fault::Isolate(master),
        9..11 => Fault::IsolateLeader,
        11 => Fault::Hold(master),
        12 => Fault::Slow(millis(random, 20..120)),
        13 => Fault::Lossy,
        14 => Fault::Wipe { master, remove: random.random() },
        15 => Fault::Transfer,
        _ => Fault::Clock { master, by_ms: random.random_range(-1500..1500) },
    }
}

/// Faults over `length`; they may overlap, but only one disk is lost at a time, and while nothing else is wrong: more
/// than that may lose data.
pub(super) fn plan(random: &mut impl Rng, length: Duration) -> Vec<Planned> {
    let mut planned: Vec<Planned> = Vec::new();
    let mut at = millis(random, 1_000..2_000);
    while at < length {
        let fault = fault(random);
        let lasts = match fault {
            Fault::Crash { .. } | Fault::Wipe { .. } => millis(random, 50..2_000),
            _ => millis(random, 100..2_500),
        };
        if matches!(fault, Fault::Wipe { .. }) {
            at = planned.iter().map(|other| other.end).max().unwrap_or(at).max(at) + Duration::from_secs(3);
            planned.push(Planned { fault, begin: at, end: at + lasts });
            // Until it has joined again.
            at += lasts + Duration::from_secs(5);
            continue;
        }
        planned.push(Planned { fault, begin: at, end: at + lasts });
        at += if random.random_bool(0.3) { millis(random, 0..200) } else { lasts + millis(random, 100..2_000) };
    }
    planned
}
