//! How far the order of grants kept the order of arrivals, as one number: Kendall's tau-b, and how
//! far claims were moved.

use super::line::Line;
use super::numbers::{float, index, percentile, wide};

/// Agreement of arrivals and grants, over all pairs of granted claims. Each pair is exactly one of
/// concordant, discordant, tied in arrival, tied in grant; `tied_both` is part of both ties.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Kendall {
    /// Granted claims.
    pub claims: u64,
    /// Pairs granted in the order of their arrival.
    pub concordant: u64,
    /// Pairs granted against it.
    pub discordant: u64,
    /// Pairs of one arrival key.
    pub tied_arrivals: u64,
    /// Pairs of one grant key.
    pub tied_grants: u64,
    /// Pairs of one arrival key and one grant key.
    pub tied_both: u64,
    /// From −1 (reversed) to 1 (as they came). Absent where all arrivals or all grants are equal,
    /// so also below two claims.
    pub tau_b: Option<f64>,
}

/// How many places in line claims lost or won: between the rank of arrival and the rank of grant,
/// among granted claims. Where ranks are tied, or arrivals within the slack, the smallest distance
/// that is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Displacement {
    /// 99th percentile (nearest rank) over the granted claims.
    pub p99: u64,
    /// The greatest.
    pub max: u64,
    /// Who was moved so far (the earliest such to arrive); absent if nobody was moved.
    pub worst: Option<usize>,
}

impl Line<'_> {
    /// Kendall's tau-b of arrivals and grants, by the raw keys: the slack does not count here.
    ///
    /// Source: W. R. Knight, A computer method for calculating Kendall's tau with ungrouped data,
    /// 1966: sort by arrival, then the exchanges of a merge sort by grant are the discordant pairs.
    pub fn kendall(&self) -> Kendall {
        let mut ranks: Vec<u32> = Vec::with_capacity(self.grants.len());
        let mut kendall = Kendall { claims: wide(self.grants.len()), ..Kendall::default() };
        let alike = |one: &u32, other: &u32| self.place(*one).arrived == self.place(*other).arrived;
        for arrivals in self.by_arrival.chunk_by(alike) {
            let begun = ranks.len();
            let granted = arrivals.iter().filter(|&&at| self.place(at).is_granted());
            ranks.extend(granted.map(|&at| self.rank(at)));
            let tied = &mut ranks[begun..];
            tied.sort_unstable();
            kendall.tied_arrivals += pairs(tied.len());
            kendall.tied_both += tied_pairs(tied);
        }
        kendall.discordant = exchanges(&mut ranks);
        kendall.tied_grants = tied_pairs(&ranks);
        let all = pairs(ranks.len());
        let (by_arrival, by_grant) = (all - kendall.tied_arrivals, all - kendall.tied_grants);
        // In this order, since pairs tied in both are in both of the ties.
        kendall.concordant =
            by_arrival + kendall.tied_both - kendall.tied_grants - kendall.discordant;
        kendall.tau_b = tau_b(kendall.concordant, kendall.discordant, by_arrival, by_grant);
        kendall
    }

    /// How far claims were moved between arrival and grant.
    pub fn displacement(&self) -> Displacement {
        let mut before = self.granted().peekable();
        let mut come = self.granted().peekable();
        let (mut earliest, mut latest) = (0_u32, 0_u32);
        let mut moved = Vec::with_capacity(self.grants.len());
        for at in self.granted() {
            while before.next_if(|&other| self.surely_before(other, at)).is_some() {
                earliest += 1;
            }
            while come.next_if(|&other| !self.surely_before(at, other)).is_some() {
                latest += 1;
            }
            let first = self.rank(at);
            let after = first + self.tied_grants(first);
            // Its arrival may be at `earliest..latest`, its grant at `first..after`: one of the two
            // differences is 0, both are where the ranges meet.
            let later = (first + 1).saturating_sub(latest);
            moved.push(later.max((earliest + 1).saturating_sub(after)));
        }
        let max = moved.iter().copied().max().unwrap_or(0);
        let found = self.granted().zip(&moved).find(|(_, moved)| max > 0 && **moved == max);
        Displacement {
            max: max.into(),
            worst: found.map(|(at, _)| index(at)),
            p99: percentile(&mut moved, 99).unwrap_or(0).into(),
        }
    }
}

/// `(C − D) / √((n₀ − n₁)(n₀ − n₂))`, n₀ all pairs, n₁ and n₂ those tied in either key.
fn tau_b(concordant: u64, discordant: u64, by_arrival: u64, by_grant: u64) -> Option<f64> {
    if by_arrival == 0 || by_grant == 0 {
        return None;
    }
    let over = float(concordant.abs_diff(discordant));
    // Equal factors need no root, so that a perfect order is 1 and not nearly 1.
    let below = if by_arrival == by_grant {
        float(by_arrival)
    } else {
        (float(by_arrival) * float(by_grant)).sqrt()
    };
    Some(if concordant < discordant { -over / below } else { over / below })
}

/// Pairs among so many: below 2⁶³ for fewer than 2³².
fn pairs(length: usize) -> u64 {
    let length = wide(length);
    length * length.saturating_sub(1) / 2
}

/// Pairs of equal neighbours; `sorted` ascends.
fn tied_pairs(sorted: &[u32]) -> u64 {
    sorted.chunk_by(|one, other| one == other).map(|tied| pairs(tied.len())).sum()
}

/// Sorts by merging from the bottom up; returns how many pairs stood the wrong way round.
fn exchanges(values: &mut Vec<u32>) -> u64 {
    let mut merged = Vec::with_capacity(values.len());
    let mut wrong = 0;
    let mut width = 1;
    while width < values.len() {
        for both in values.chunks(width * 2) {
            let (mut left, mut right) = both.split_at(width.min(both.len()));
            while let (Some(one), Some(other)) = (left.first(), right.first()) {
                if one <= other {
                    merged.push(*one);
                    left = &left[1..];
                } else {
                    // Whatever is left on the left is greater, and stood before it.
                    wrong += wide(left.len());
                    merged.push(*other);
                    right = &right[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(values, &mut merged);
        merged.clear();
        width *= 2;
    }
    wrong
}
