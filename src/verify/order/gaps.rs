//! Time in which somebody waited and nobody was served: hand-over gaps, droughts, starved claims.
//! All lengths are in the unit of `from` and `until`.

use super::Place;
use super::line::Line;
use super::numbers::{index, percentile, wide};

/// From one holder's release to the next grant, while somebody waited without a break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HandOvers {
    /// Releases that somebody waited for and that a grant followed.
    pub gaps: u64,
    /// Releases that somebody waited for, but all who waited left before the next grant (or the
    /// record ends).
    pub abandoned: u64,
    /// Median gap (the lower of two middles).
    pub median: Option<u64>,
    /// 99th percentile (nearest rank).
    pub p99: Option<u64>,
    /// Sum of all gaps; saturates.
    pub total: u64,
    /// The longest gap (the first such).
    pub longest: Option<Gap>,
}

/// One hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the holder released.
    pub released: u64,
    /// Who was granted next, as an index into the places: at its `until`.
    pub granted: usize,
    /// From the one to the other.
    pub length: u64,
}

/// What waiting is too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A wait up to this long is never too long.
    pub wait: u64,
    /// Nor is one up to so many times the median wait.
    pub medians: u32,
    /// Being passed more often than this is too much.
    pub overtakes: u64,
}

/// Claims that waited too long or were passed too often, whatever became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Starvation {
    /// Claims that starved, in either way.
    pub starved: u64,
    /// Of these: waited longer than `wait_limit`.
    pub by_wait: u64,
    /// Of these: passed more often than is allowed, while it waited.
    pub by_overtakes: u64,
    /// Median wait of all claims (the lower of two middles); absent without claims.
    pub median_wait: Option<u64>,
    /// The longest wait that is allowed, from the median and the patience; saturates.
    pub wait_limit: u64,
    /// Who waited longest (the earliest such to arrive).
    pub longest_wait: Option<usize>,
    /// Who was passed most (the earliest such to arrive); absent if nobody was.
    pub most_overtaken: Option<usize>,
    /// The longest time in which somebody waited and nobody was granted (the first such).
    pub drought: Option<Drought>,
}

/// A time in which somebody waited at every moment and nobody was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drought {
    /// When it began: somebody came, or a grant left others waiting.
    pub from: u64,
    /// When it ended: with a grant, or with the last who waited.
    pub until: u64,
    /// Of those who waited at its end the one who had waited longest, as an index into the places.
    pub claim: usize,
}

/// What happens in a line. At equal times in this order, so that a claim that left, or began to
/// wait, in the moment of a release or grant is not said to have waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A wait ended without a grant.
    Left,
    Released,
    /// This place was granted.
    Granted(u32),
    /// A wait began.
    Began,
}

impl Line<'_> {
    /// Hand-over gaps of a lock that up to `permits` may hold.
    ///
    /// `releases`, in any order, are moments on the axis of `from` and `until` at which a holder
    /// let go: its release, its lapse, or its commit, as the caller wants it measured. Each grant
    /// ends the gap of the oldest release that is still open. A release while more than `permits`
    /// hold frees nothing and opens none.
    pub fn hand_overs(&self, releases: &[u64], permits: u32) -> HandOvers {
        let mut result = HandOvers::default();
        let mut lengths = Vec::new();
        let mut open = std::collections::VecDeque::new();
        let mut held = 0_i64;
        self.play(releases, |at, event, waiting| {
            match event {
                Event::Released => {
                    held -= 1;
                    if held < i64::from(permits) && waiting > 0 {
                        open.push_back(at);
                    }
                }
                Event::Granted(to) => {
                    held += 1;
                    if let Some(released) = open.pop_front() {
                        let length = at - released;
                        result.total = result.total.saturating_add(length);
                        if result.longest.is_none_or(|longest| longest.length < length) {
                            result.longest = Some(Gap { released, granted: index(to), length });
                        }
                        lengths.push(length);
                    }
                }
                Event::Left | Event::Began => {}
            }
            if waiting == 0 {
                result.abandoned += wide(open.len());
                open.clear();
            }
        });
        result.abandoned += wide(open.len());
        result.gaps = wide(lengths.len());
        result.median = percentile(&mut lengths, 50);
        result.p99 = percentile(&mut lengths, 99);
        result
    }

    /// Who waited too long, was passed too often, and when nobody was served at all.
    pub fn starvation(&self, patience: Patience) -> Starvation {
        let mut waits: Vec<u64> = self.places.iter().map(Place::wait).collect();
        let median_wait = percentile(&mut waits, 50);
        drop(waits);
        let by_median = median_wait.unwrap_or(0).saturating_mul(patience.medians.into());
        let mut result = Starvation {
            median_wait,
            wait_limit: patience.wait.max(by_median),
            drought: self.drought(),
            ..Starvation::default()
        };
        let (mut longest, mut most) = (None, 0);
        for (&at, passed) in self.by_arrival.iter().zip(self.suffered()) {
            let wait = self.place(at).wait();
            let (too_long, too_often) =
                (wait > result.wait_limit, u64::from(passed) > patience.overtakes);
            result.by_wait += u64::from(too_long);
            result.by_overtakes += u64::from(too_often);
            result.starved += u64::from(too_long || too_often);
            if longest < Some(wait) {
                (longest, result.longest_wait) = (Some(wait), Some(index(at)));
            }
            if most < passed {
                (most, result.most_overtaken) = (passed, Some(index(at)));
            }
        }
        result
    }

    fn drought(&self) -> Option<Drought> {
        let mut longest: Option<(u64, u64)> = None;
        let mut since = None;
        self.play(&[], |at, event, waiting| {
            let ends = waiting == 0 || matches!(event, Event::Granted(_));
            if let Some(begun) = since.filter(|_| ends)
                && longest.is_none_or(|(from, until)| until - from < at - begun)
            {
                longest = Some((begun, at));
            }
            if ends {
                since = None;
            }
            if waiting > 0 && since.is_none() {
                since = Some(at);
            }
        });
        let (from, until) = longest?;
        let waits_at_the_end = self.by_arrival.iter().filter(|&&at| {
            let place = self.place(at);
            place.from < until && until <= place.until
        });
        let claim = waits_at_the_end.min_by_key(|&&at| self.place(at).from)?;
        Some(Drought { from, until, claim: index(*claim) })
    }

    /// Tells every event in order, with how many wait after it. Grants are told also of claims that
    /// never waited.
    fn play(&self, releases: &[u64], mut tell: impl FnMut(u64, Event, u64)) {
        let mut releases = releases.to_vec();
        releases.sort_unstable();
        let mut releases = releases.into_iter().peekable();
        let waits = |at: &&u32| self.place(**at).waits();
        let told = |at: &&u32| self.place(**at).waits() || self.place(**at).is_granted();
        let mut begun = self.by_begin.iter().filter(waits).peekable();
        // In the order of events also at equal times.
        let mut ended = self.by_end.iter().filter(told).peekable();
        let end = |at: u32| {
            let place = self.place(at);
            (place.until, if place.is_granted() { Event::Granted(at) } else { Event::Left })
        };
        let mut waiting = 0_u64;
        loop {
            let heads = [
                ended.peek().map(|&&at| end(at)),
                releases.peek().map(|&at| (at, Event::Released)),
                begun.peek().map(|&&at| (self.place(at).from, Event::Began)),
            ];
            let Some((at, event)) = heads.into_iter().flatten().min() else { return };
            match event {
                Event::Released => drop(releases.next()),
                Event::Began => {
                    begun.next();
                    waiting += 1;
                }
                Event::Left | Event::Granted(_) => {
                    let ending = ended.next();
                    // Whoever waits began strictly before it ends, so it was counted.
                    waiting -= u64::from(ending.is_some_and(|at| self.place(*at).waits()));
                }
            }
            tell(at, event, waiting);
        }
    }
}
