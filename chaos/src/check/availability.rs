//! Property: a service goes on answering. Of the fetches of a client that tries every node, no more may fail than its
//! error budget allows.

use super::Violation;

/// Whether more fetches failed than the budget, in percent of all, allows.
#[must_use]
pub fn check(answered: u64, failed: u64, budget_percent: f64) -> Vec<Violation> {
    let all = answered + failed;
    // Counts of fetches are far below what a float holds exactly.
    #[allow(clippy::cast_precision_loss)]
    let share = if all == 0 { 0.0 } else { failed as f64 * 100.0 / all as f64 };
    if share <= budget_percent {
        return Vec::new();
    }
    let seen = format!("{failed} of {all} fetches failed: {share:.2}%, more than {budget_percent}%");
    vec![Violation { property: "a service goes on answering", seen }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_the_limit() {
        assert_eq!(check(99, 1, 1.0), []);
        assert_eq!(check(98, 2, 1.0).len(), 1);
        assert_eq!(check(0, 0, 0.0), []);
    }
}
