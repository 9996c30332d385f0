//! Who got a unit and who did not: the first to arrive, those refused before others had asked, and
//! how evenly groups were served.

use std::collections::BTreeMap;

use super::line::Line;
use super::numbers::{float, index, wide};
use super::{Fate, Pair};

/// Whether the units went to those who came first. Claims with [`Fate::Gone`] are not eligible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FirstCome {
    /// Eligible claims.
    pub eligible: u64,
    /// Of the first to arrive, as many as there are units: surely among them, and got none.
    pub passed_over: u64,
    /// Surely not among them, and got one.
    pub served_instead: u64,
    /// Arrived so close to the last of the first that nobody knows which side they are on.
    pub undecided: u64,
    /// The earliest arrival that was passed over, as an index into the places.
    pub earliest_without: Option<usize>,
    /// The latest arrival that was served instead.
    pub latest_with: Option<usize>,
}

/// Claims that began only after somebody had already been told that nothing is left, and were
/// granted: unfair whatever the network did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServedAfterRefusal {
    /// Granted claims that began after a denied one had ended.
    pub served: u64,
    /// Denied claims that had ended before a granted one began.
    pub refused: u64,
    /// Pairs of these.
    pub pairs: u64,
    /// The first denied claim to end, and the first granted one to begin after that.
    pub first: Option<Pair>,
    /// The first denied claim to end, and the last granted one to begin.
    pub worst: Option<Pair>,
}

/// How evenly groups were served: `(Σx)² / (m Σx²)` over m groups, 1 if all alike, 1/m if one had
/// everything. Claims without a group do not count.
///
/// Source: R. Jain, D. Chiu, W. Hawe, A quantitative measure of fairness and discrimination, 1984.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Jain {
    /// Groups that claimed at all.
    pub groups: u64,
    /// Over the number of grants of each group; absent if nobody was granted.
    pub grants: Option<f64>,
    /// Over the mean wait of each group's claims; absent if nobody waited.
    pub waits: Option<f64>,
    /// The group with the fewest grants, and how many (the lowest number of such).
    pub fewest: Option<(u16, u64)>,
    /// The group with the most grants, and how many (the lowest number of such).
    pub most: Option<(u16, u64)>,
}

impl Line<'_> {
    /// Of the first `units` eligible claims to arrive, how many got none.
    pub fn first_come(&self, units: u64) -> FirstCome {
        let eligible = || {
            let all = self.by_arrival.iter().copied();
            all.filter(|&at| self.place(at).fate != Fate::Gone)
        };
        let (mut befores, mut comings) = (eligible().peekable(), eligible().peekable());
        let (mut before, mut come) = (0_u64, 0_u64);
        let mut result = FirstCome::default();
        for at in eligible() {
            while befores.next_if(|&other| self.surely_before(other, at)).is_some() {
                before += 1;
            }
            while comings.next_if(|&other| !self.surely_before(at, other)).is_some() {
                come += 1;
            }
            result.eligible += 1;
            let granted = self.place(at).is_granted();
            if come <= units {
                if !granted {
                    result.passed_over += 1;
                    result.earliest_without = result.earliest_without.or(Some(index(at)));
                }
            } else if before >= units {
                if granted {
                    result.served_instead += 1;
                    result.latest_with = Some(index(at));
                }
            } else {
                result.undecided += 1;
            }
        }
        result
    }

    /// Claims granted although they began only after a refusal for want of units had ended.
    ///
    /// Compares `from` with `until`, so it needs no server and no slack where these two are the
    /// sending and the reply on one client clock.
    pub fn served_after_refusal(&self) -> ServedAfterRefusal {
        let denied = |at: &u32| self.place(*at).fate == Fate::Denied;
        let mut ends: Vec<u64> = self
            .places
            .iter()
            .filter(|place| place.fate == Fate::Denied)
            .map(|place| place.until)
            .collect();
        ends.sort_unstable();
        let ended_before = |moment: u64| wide(ends.partition_point(|end| *end < moment));
        let mut result = ServedAfterRefusal::default();
        let Some(&refusal) = self
            .by_arrival
            .iter()
            .filter(|at| denied(at))
            .min_by_key(|&&at| (self.place(at).until, at))
        else {
            return result;
        };
        let began = |at: u32| self.place(at).from;
        let (mut first, mut last): (Option<u32>, Option<u32>) = (None, None);
        for at in self.granted() {
            let refused = ended_before(began(at));
            if refused == 0 {
                continue;
            }
            result.served += 1;
            result.pairs += refused;
            if first.is_none_or(|first| (began(at), at) < (began(first), first)) {
                first = Some(at);
            }
            if last.is_none_or(|last| began(last) < began(at)) {
                last = Some(at);
            }
        }
        result.refused = last.map_or(0, |last| ended_before(began(last)));
        let pair = |served: u32| Pair { overtaken: index(refusal), overtaker: index(served) };
        (result.first, result.worst) = (first.map(pair), last.map(pair));
        result
    }

    /// Jain's index over the groups that the places name.
    pub fn jain(&self) -> Jain {
        #[derive(Default)]
        struct Group {
            claims: u64,
            grants: u64,
            waited: u128,
        }
        let mut groups: BTreeMap<u16, Group> = BTreeMap::new();
        for place in self.places {
            if let Some(group) = place.group {
                let group = groups.entry(group).or_default();
                group.claims += 1;
                group.grants += u64::from(place.is_granted());
                group.waited += u128::from(place.wait());
            }
        }
        let grants = || groups.iter().map(|(number, group)| (*number, group.grants));
        let mean = |group: &Group| {
            let waited = u64::try_from(group.waited).unwrap_or(u64::MAX);
            float(waited) / float(group.claims)
        };
        Jain {
            groups: wide(groups.len()),
            grants: evenness(grants().map(|(_, grants)| float(grants))),
            waits: evenness(groups.values().map(mean)),
            fewest: grants().min_by_key(|&(number, grants)| (grants, number)),
            most: grants().max_by_key(|&(number, grants)| (grants, std::cmp::Reverse(number))),
        }
    }
}

/// Jain's index of these shares; absent if all are 0. A sum of waits beyond 2⁶⁴ has saturated.
fn evenness(shares: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for share in shares {
        count += 1.0;
        sum += share;
        squares += share * share;
    }
    (sum > 0.0).then(|| sum * sum / (count * squares))
}
