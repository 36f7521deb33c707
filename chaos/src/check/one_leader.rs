//! Property: at any time one leadership acts. Writes carry the term that their writer believes in; once a write of a later
//! term has been acknowledged, no write of an earlier term that is sent afterwards is.

use std::time::Duration;

use super::Violation;

/// A write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The term that it carried.
    pub term: u64,
    /// When it was sent, since the run began.
    pub sent: Duration,
    /// When it was acknowledged.
    pub answered: Duration,
}

/// Acknowledged writes of leaderships that were over.
#[must_use]
pub fn check(writes: &[Fenced]) -> Vec<Violation> {
    let mut in_order = writes.to_vec();
    in_order.sort_by_key(|write| write.answered);
    // The highest term acknowledged so far, by the time of its first acknowledgement.
    let mut begun: Vec<Fenced> = Vec::new();
    for write in &in_order {
        if begun.last().is_none_or(|last| write.term > last.term) {
            begun.push(*write);
        }
    }
    let late = |write: &&Fenced| begun.iter().any(|later| later.term > write.term && later.answered <= write.sent);
    in_order
        .iter()
        .filter(late)
        .map(|write| Violation {
            property: "one acting leader",
            seen: format!("a write of term {} at {:?} was acknowledged after a later term's", write.term, write.sent),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(term: u64, sent: u64, answered: u64) -> Fenced {
        Fenced { term, sent: Duration::from_millis(sent), answered: Duration::from_millis(answered) }
    }

    #[test]
    fn a_write_under_way_at_the_change_is_fine_and_one_sent_later_is_not() {
        assert_eq!(check(&[write(1, 0, 10), write(2, 20, 30), write(1, 25, 40)]), []);
        let violations = check(&[write(1, 0, 10), write(2, 20, 30), write(1, 31, 40), write(2, 41, 50)]);
        assert_eq!(violations.len(), 1, "{violations:?}");
    }
}
