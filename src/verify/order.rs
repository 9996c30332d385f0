//! First come, first served: who was granted past somebody who was already waiting, and how long
//! claims waited and held. Facts, not a judgement.

use crate::ledger::attempts::Attempts;

/// How far grants followed arrivals, among attempts whose reply names both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Attempts that carry both an arrival and a grant number.
    pub granted: u64,
    /// Pairs in which the later arrival was granted first.
    pub overtakes: u64,
    /// Grants that went past at least one earlier arrival.
    pub overtakers: u64,
}

/// Medians of what the server says of its lock, in µs; absent where no reply says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// Median wait time: asking to grant.
    pub wait_p50_us: Option<u64>,
    /// Median hold time: grant to release.
    pub hold_p50_us: Option<u64>,
}

/// Counts overtakes in O(n log n): pairs (i, j) with `arrival_j < arrival_i` and
/// `grant_i < grant_j`, so that i was granted while j, who came first, still waited.
///
/// Meaningful for one server process: its numbers are compared with each other.
pub fn order(attempts: &Attempts) -> Order {
    let mut pairs: Vec<(u64, u64)> =
        attempts.iter().filter_map(|attempt| attempt.arrival().zip(attempt.grant())).collect();
    pairs.sort_unstable();
    let mut grants: Vec<u64> = pairs.iter().map(|(_, grant)| *grant).collect();
    grants.sort_unstable();
    grants.dedup();
    let rank = |grant: u64| grants.partition_point(|other| *other < grant);

    let mut seen = Tally::new(grants.len());
    let mut latest = None;
    let mut order = Order { granted: wide(pairs.len()), ..Order::default() };
    for group in pairs.chunk_by(|one, other| one.0 == other.0) {
        for (_, grant) in group {
            order.overtakes = order.overtakes.saturating_add(seen.above(rank(*grant)));
            order.overtakers += u64::from(latest.is_some_and(|latest| *grant < latest));
        }
        for (_, grant) in group {
            seen.add(rank(*grant));
            latest = latest.max(Some(*grant));
        }
    }
    order
}

/// Medians of wait and hold time over the attempts that carry them (the lower of two middles).
pub fn waits(attempts: &Attempts) -> Waits {
    Waits {
        wait_p50_us: median(
            attempts.iter().filter_map(|attempt| attempt.facts().wait_us).collect(),
        ),
        hold_p50_us: median(
            attempts.iter().filter_map(|attempt| attempt.facts().hold_us).collect(),
        ),
    }
}

fn median(mut values: Vec<u64>) -> Option<u64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable(middle).1)
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// How many of each rank were seen, with sums of a range in O(log n).
/// Source: P. Fenwick, A new data structure for cumulative frequency tables, 1994.
struct Tally {
    /// Place `i` (from 1) holds the sum of the `i & -i` ranks that end at `i`.
    sums: Vec<u64>,
    seen: u64,
}

impl Tally {
    fn new(ranks: usize) -> Self {
        Self { sums: vec![0; ranks + 1], seen: 0 }
    }

    fn add(&mut self, rank: usize) {
        self.seen += 1;
        let mut place = rank + 1;
        while let Some(sum) = self.sums.get_mut(place) {
            *sum += 1;
            place += place & place.wrapping_neg();
        }
    }

    /// How many were seen with a higher rank.
    fn above(&self, rank: usize) -> u64 {
        let mut upto = 0;
        let mut place = rank + 1;
        while place > 0 {
            upto += self.sums[place];
            place &= place - 1;
        }
        self.seen - upto
    }
}
