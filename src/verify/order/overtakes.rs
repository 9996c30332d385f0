//! Who was served past whom: inversions, overtakes, denied overtakes. One sweep counts all three;
//! they differ in whom they ask about and from when.

use super::line::Line;
use super::numbers::{index, percentile, wide};
use super::tally::Tally;
use super::{Fate, Pair};

/// How often claims that came first were passed by claims that came later. Counts of pairs stay
/// below 2⁶⁴ for fewer than 2³² places: nothing here saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passing {
    /// Claims that could be passed.
    pub claims: u64,
    /// Pairs of such a claim and a granted one that surely arrived after it, passed or not: what
    /// `pairs` is a share of.
    pub comparable: u64,
    /// Pairs in which the later arrival passed. The truth lies between this and this plus
    /// `ambiguous`.
    pub pairs: u64,
    /// Pairs that would count if the granted claim surely arrived later, but they arrived too close
    /// to each other to know (or at the same key).
    pub ambiguous: u64,
    /// Granted claims that passed at least one.
    pub overtakers: u64,
    /// Claims that were passed at least once.
    pub overtaken: u64,
    /// 99th percentile (nearest rank) over all `claims` of how often one was passed.
    pub suffered_p99: u64,
    /// How often the worst-off claim was passed.
    pub suffered_max: u64,
    /// The earliest arrival that was passed, and the first grant to pass it.
    pub first: Option<Pair>,
    /// The claim that was passed most (the earliest such), and the latest arrival that passed it.
    pub worst: Option<Pair>,
}

/// From when on a grant to somebody else passes a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Since {
    /// At any time before its own.
    Ever,
    /// While it waits.
    Waiting,
}

impl Line<'_> {
    /// Inversions: pairs of granted claims, the earlier arrival granted later, whether or not they
    /// waited at the same time.
    pub fn inversions(&self) -> Passing {
        self.passing(Since::Ever, |fate| fate == Fate::Granted)
    }

    /// Overtakes: inversions in which the earlier arrival was already waiting when the later one
    /// was granted.
    pub fn overtakes(&self) -> Passing {
        self.passing(Since::Waiting, |fate| fate == Fate::Granted)
    }

    /// Denied overtakes: the earlier arrival was refused in the end (told that nothing is left, or
    /// gave up), and a later one was granted while it waited.
    pub fn denied_overtakes(&self) -> Passing {
        self.passing(Since::Waiting, |fate| matches!(fate, Fate::Denied | Fate::GaveUp))
    }

    /// How often each place was passed while it waited, whatever became of it; by arrival.
    pub(super) fn suffered(&self) -> Vec<u32> {
        let mut suffered = Vec::with_capacity(self.places.len());
        self.sweep(Since::Waiting, |_| true, &mut suffered);
        suffered
    }

    fn passing(&self, since: Since, asked: impl Fn(Fate) -> bool + Copy) -> Passing {
        let mut suffered = Vec::new();
        let mut passing = self.sweep(since, asked, &mut suffered);
        let claims = || self.by_arrival.iter().filter(|&&at| asked(self.place(at).fate));
        if let Some((&at, _)) = claims().zip(&suffered).find(|(_, passed)| **passed > 0) {
            passing.first = self
                .past(at, since)
                .min_by_key(|&by| (self.rank(by), self.place(by).arrived, by))
                .map(|by| pair(at, by));
        }
        let worst = suffered.iter().copied().max().unwrap_or(0);
        if let Some((&at, _)) = claims().zip(&suffered).find(|(_, passed)| **passed == worst) {
            passing.worst = self
                .past(at, since)
                .max_by_key(|&by| (self.place(by).arrived, std::cmp::Reverse(by)))
                .map(|by| pair(at, by));
        }
        passing.claims = wide(suffered.len());
        passing.overtaken = wide(suffered.iter().filter(|passed| **passed > 0).count());
        passing.suffered_max = worst.into();
        passing.suffered_p99 = percentile(&mut suffered, 99).unwrap_or(0).into();
        passing
    }

    /// Goes through the arrivals once. Of the grants inside a claim's wait, those whose arrival
    /// surely came later are all of them less those that arrived up to its own arrival plus the
    /// slack; the ambiguous ones are these less those that surely came before. Three tallies over
    /// ranks of grants answer that, each in O(log n).
    ///
    /// Fills the pair counts and the overtakers; `suffered` gets one count a claim, by arrival.
    fn sweep(
        &self,
        since: Since,
        asked: impl Fn(Fate) -> bool,
        suffered: &mut Vec<u32>,
    ) -> Passing {
        let ranks = self.grants.len();
        let (mut come, mut before) = (Tally::new(ranks), Tally::new(ranks));
        // How many claims that surely came before were waiting at each grant.
        let mut waiting = Tally::new(ranks);
        let mut claims_before = 0_u64;
        let mut comings = self.by_arrival.iter().copied().peekable();
        let mut befores = self.by_arrival.iter().copied().peekable();
        let mut passing = Passing::default();
        for &at in &self.by_arrival {
            let place = self.place(at);
            while let Some(other) = comings.next_if(|&other| !self.surely_before(at, other)) {
                if self.place(other).is_granted() {
                    come.add(self.rank(other));
                }
            }
            while let Some(other) = befores.next_if(|&other| self.surely_before(other, at)) {
                if self.place(other).is_granted() {
                    before.add(self.rank(other));
                }
                if asked(self.place(other).fate) {
                    let (from, until) = self.exposed(other, since);
                    waiting.raise(from, until);
                    claims_before += 1;
                }
            }
            if place.is_granted() {
                passing.comparable += claims_before;
                passing.overtakers += u64::from(waiting.height(self.rank(at)) > 0);
            }
            if asked(place.fate) {
                let (from, until) = self.exposed(at, since);
                let not_later = come.between(from, until);
                let passed = until - from - not_later;
                passing.pairs += u64::from(passed);
                passing.ambiguous += u64::from(not_later - before.between(from, until));
                suffered.push(passed);
            }
        }
        passing
    }

    /// Ranks of the grants that pass this place, if they are of later arrivals.
    fn exposed(&self, at: u32, since: Since) -> (u32, u32) {
        let (from, until) = self.span(at);
        match since {
            Since::Ever => (0, until),
            Since::Waiting => (from, until),
        }
    }

    /// Granted places that passed this one, by arrival.
    fn past(&self, at: u32, since: Since) -> impl Iterator<Item = u32> {
        let (from, until) = self.exposed(at, since);
        self.granted()
            .filter(move |&by| self.surely_before(at, by) && (from..until).contains(&self.rank(by)))
    }
}

fn pair(overtaken: u32, overtaker: u32) -> Pair {
    Pair { overtaken: index(overtaken), overtaker: index(overtaker) }
}
