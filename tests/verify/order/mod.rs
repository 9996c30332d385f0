//! First come, first served: known answers by hand, and every count against its definition.
//!
//! This file holds the builders; `known.rs` the answers by hand, `oracle.rs` the definitions in
//! O(n²) and their comparison on random lines, `replies.rs` the short form for reports.

mod known;
mod oracle;
mod replies;

use cplock::verify::order::{Fate, Place};

/// A place without a group.
pub(super) fn place(arrived: u64, from: u64, until: u64, fate: Fate) -> Place {
    Place { arrived, from, until, fate, group: None }
}

/// Granted claims that all wait from the start: the n-th arrival is granted at `grants[n]`.
pub(super) fn granted_at(grants: &[u64]) -> Vec<Place> {
    let places = (1..).zip(grants);
    places.map(|(arrived, &until)| place(arrived, 0, until, Fate::Granted)).collect()
}

/// Random numbers that a seed repeats: `SplitMix64` (G. Steele, D. Lea, C. Flood, 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 below `sides`.
    pub(super) fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }
}
