//! Whether masters have applied the same: each keeps the checksum of everything it applied, as it was at certain entries
//! of the log, and compares with the others.

use std::collections::VecDeque;

/// Marks kept; they are a second apart.
const KEPT: usize = 32;

/// The checksum before the entry `index` was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) index: u64,
    pub(crate) checksum: u32,
}

/// The last marks.
#[derive(Debug, Default)]
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    pub(super) fn extend(&mut self, marks: impl IntoIterator<Item = Mark>) {
        self.0.extend(marks);
        let excess = self.0.len().saturating_sub(KEPT);
        self.0.drain(..excess);
    }

    pub(super) fn to_vec(&self) -> Vec<Mark> {
        self.0.iter().copied().collect()
    }
}

/// What a comparison says about this master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing to compare, or all agree.
    Fine,
    /// Some differ, and no majority says that it is this master.
    Unclear(u64),
    /// A majority agrees with each other, and not with this master, at this entry.
    Diverged(u64),
}

/// Compares the newest mark that a majority of `voters` has, this master included.
pub(crate) fn compare(own: &[Mark], others: &[Vec<Mark>], voters: usize) -> Verdict {
    let majority = voters / 2 + 1;
    for mine in own.iter().rev() {
        let theirs: Vec<u32> = others
            .iter()
            .filter_map(|marks| marks.iter().find(|mark| mark.index == mine.index))
            .map(|mark| mark.checksum)
            .collect();
        if theirs.len() + 1 < majority {
            continue;
        }
        if theirs.iter().all(|sum| *sum == mine.checksum) {
            return Verdict::Fine;
        }
        let against =
            |sum: &u32| *sum != mine.checksum && theirs.iter().filter(|other| *other == sum).count() >= majority;
        return if theirs.iter().any(against) { Verdict::Diverged(mine.index) } else { Verdict::Unclear(mine.index) };
    }
    Verdict::Fine
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(pairs: &[(u64, u32)]) -> Vec<Mark> {
        pairs.iter().map(|&(index, checksum)| Mark { index, checksum }).collect()
    }

    #[test]
    fn only_a_majority_decides_who_is_wrong() {
        let own = marks(&[(5, 1), (9, 2)]);
        let same = marks(&[(9, 2)]);
        let other = marks(&[(9, 7)]);
        assert_eq!(compare(&own, &[same.clone(), same.clone()], 3), Verdict::Fine);
        assert_eq!(compare(&own, &[same.clone(), other.clone()], 3), Verdict::Unclear(9));
        assert_eq!(compare(&own, &[other.clone(), other.clone()], 3), Verdict::Diverged(9));
        // The third is away: one against one.
        assert_eq!(compare(&own, &[other], 3), Verdict::Unclear(9));
        assert_eq!(compare(&own, &[], 1), Verdict::Fine);
    }

    #[test]
    fn a_lagging_master_is_compared_where_it_has_been() {
        let own = marks(&[(5, 1), (9, 2)]);
        let behind = marks(&[(5, 1)]);
        assert_eq!(compare(&own, &[behind.clone(), behind], 3), Verdict::Fine);
        assert_eq!(compare(&own, &[marks(&[(3, 8)])], 3), Verdict::Fine);
    }

    #[test]
    fn the_last_marks_stay() {
        let mut kept = Marks::default();
        kept.extend((0..100).map(|index| Mark { index, checksum: 0 }));
        assert_eq!(kept.to_vec().len(), KEPT);
        assert_eq!(kept.to_vec().last(), Some(&Mark { index: 99, checksum: 0 }));
    }
}
