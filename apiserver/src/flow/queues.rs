//! Shuffle sharding: a flow's hand of queues, the same each time, so that two flows rarely share all of theirs.

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

/// The queues of a flow: `hand` different ones out of `queues`.
pub(super) fn hand(schema: &str, flow: &str, queues: usize, hand: usize) -> SmallVec<[usize; 8]> {
    let mut digest = Sha256::new();
    digest.update(schema.as_bytes());
    digest.update([0]);
    digest.update(flow.as_bytes());
    let digest = digest.finalize();
    let mut cards = u64::from_be_bytes(*digest.first_chunk().expect("a SHA-256 has 32 bytes"));
    let mut dealt: SmallVec<[usize; 8]> = SmallVec::new();
    for left in (1..=queues as u64).rev().take(hand) {
        let mut card = usize::try_from(cards % left).unwrap_or(0);
        cards /= left;
        // Its number among those that are not dealt yet.
        let mut before: SmallVec<[usize; 8]> = dealt.clone();
        before.sort_unstable();
        for earlier in before {
            if earlier <= card {
                card += 1;
            }
        }
        dealt.push(card);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_is_of_different_queues_and_always_the_same() {
        for flow in 0..200 {
            let flow = format!("user-{flow}");
            let cards = hand("schema", &flow, 64, 6);
            let mut different = cards.to_vec();
            different.sort_unstable();
            different.dedup();
            assert_eq!(different.len(), 6);
            assert!(cards.iter().all(|card| *card < 64));
            assert_eq!(cards, hand("schema", &flow, 64, 6));
        }
    }

    #[test]
    fn hands_are_spread() {
        let mut used = [0; 64];
        for flow in 0..2000 {
            hand("schema", &format!("user-{flow}"), 64, 6).iter().for_each(|card| used[*card] += 1);
        }
        assert!(used.iter().all(|count| (100..280).contains(count)), "{used:?}");
    }

    #[test]
    fn a_hand_is_never_larger_than_the_deck() {
        assert_eq!(hand("s", "f", 3, 6).len(), 3);
        assert!(hand("s", "f", 0, 6).is_empty());
    }
}
