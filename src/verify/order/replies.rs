//! The short form for reports, from what replies say of themselves: who was granted past an earlier
//! arrival, and how long claims waited and held. Places and their witnesses are in the siblings.

use super::numbers::{narrow, percentile, wide};
use super::tally::Tally;
use crate::ledger::attempts::{AttemptRef, Attempts};

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
    let rank = |grant: u64| narrow(grants.partition_point(|other| *other < grant));

    let ranks = narrow(grants.len());
    let mut seen = Tally::new(grants.len());
    let mut latest = None;
    let mut order = Order { granted: wide(pairs.len()), ..Order::default() };
    for group in pairs.chunk_by(|one, other| one.0 == other.0) {
        for (_, grant) in group {
            order.overtakes += u64::from(seen.between(rank(*grant) + 1, ranks));
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
        wait_p50_us: median(attempts, |attempt| attempt.facts().wait_us),
        hold_p50_us: median(attempts, |attempt| attempt.facts().hold_us),
    }
}

fn median(attempts: &Attempts, length: impl Fn(AttemptRef<'_>) -> Option<u64>) -> Option<u64> {
    let mut values: Vec<u64> = attempts.iter().filter_map(length).collect();
    percentile(&mut values, 50)
}
