//! Counts by rank with sums of a range in O(log n).
//!
//! Source: P. Fenwick, A new data structure for cumulative frequency tables, 1994.

use super::numbers::index;

/// How often each rank was counted. Sums wrap, so that a range may be opened with +1 and closed
/// with −1: every sum that is asked for is between 0 and 2³² − 1 and therefore right.
pub(super) struct Tally {
    /// Place `i` (from 1) holds the sum of the `i & -i` ranks that end at `i`.
    sums: Vec<u32>,
    /// Ranges raised from rank 0: kept apart, since each would walk the whole height of the tree.
    whole: u32,
}

impl Tally {
    /// For ranks from 0 below `ranks`.
    pub(super) fn new(ranks: usize) -> Self {
        Self { sums: vec![0; ranks + 1], whole: 0 }
    }

    /// Counts `rank` once more; a rank beyond the last is no matter.
    pub(super) fn add(&mut self, rank: u32) {
        self.change(rank, 1);
    }

    /// Counts each rank of `from..until` once more, for [`Tally::height`] alone.
    pub(super) fn raise(&mut self, from: u32, until: u32) {
        if from == 0 {
            self.whole += 1;
        } else {
            self.change(from, 1);
        }
        self.change(until, u32::MAX);
    }

    fn change(&mut self, rank: u32, by: u32) {
        let mut place = index(rank) + 1;
        while let Some(sum) = self.sums.get_mut(place) {
            *sum = sum.wrapping_add(by);
            place += place & place.wrapping_neg();
        }
    }

    /// How many were counted with a rank below `rank`.
    pub(super) fn below(&self, rank: u32) -> u32 {
        let mut place = index(rank);
        let mut sum = 0_u32;
        while place > 0 {
            sum = sum.wrapping_add(self.sums[place]);
            place &= place - 1;
        }
        sum
    }

    /// How many were counted with a rank in `from..until`, which must not be upside down.
    pub(super) fn between(&self, from: u32, until: u32) -> u32 {
        self.below(until).wrapping_sub(self.below(from))
    }

    /// How many raised ranges hold `rank`.
    pub(super) fn height(&self, rank: u32) -> u32 {
        self.whole.wrapping_add(self.below(rank + 1))
    }
}
