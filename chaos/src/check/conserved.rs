//! Property: a transaction happens whole or not at all. Clients move amounts between accounts, each move one transaction
//! over two objects; whoever lists all accounts sees one revision, in which the sum is what it was at the beginning.

use super::Violation;

/// What each account holds at the beginning.
pub const EACH: i64 = 1000;

/// The sums that lists showed and that cannot be.
#[must_use]
pub fn check(sums: &[i64], accounts: usize) -> Vec<Violation> {
    let whole = EACH * i64::try_from(accounts).unwrap_or(i64::MAX);
    let wrong: Vec<&i64> = sums.iter().filter(|sum| **sum != whole).collect();
    let Some(first) = wrong.first() else { return Vec::new() };
    let seen = format!("{} of {} lists had another sum than {whole}, the first {first}", wrong.len(), sums.len());
    vec![Violation { property: "transactions are whole", seen }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_transaction_is_seen() {
        assert_eq!(check(&[3000, 3000], 3), []);
        assert!(check(&[3000, 2990], 3)[0].seen.contains("first 2990"));
    }
}
