//! Chance, which can be repeated.

use std::collections::BTreeSet;

use rand::rngs::StdRng;

/// Chooses victims.
pub struct Dice {
    /// From the seed.
    pub random: StdRng,
    /// Workers with ready endpoints of the steady deployment: a fault that hits others would show nothing.
    pub serving: BTreeSet<String>,
}
