//! The counts of a run while it goes: atomics that VUs add to and the progress reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::ledger::{Doubt, Outcome, Refusal};

/// Live counts. Each is exact; together they are a moment's picture, not a consistent cut.
#[derive(Debug, Default)]
pub(super) struct Tally {
    vus: AtomicU32,
    vus_max: AtomicU32,
    ended: AtomicU32,
    lost: AtomicU32,
    starved: AtomicU32,
    acknowledged: AtomicU64,
    refused: [AtomicU64; Refusal::ALL.len()],
    unknown: [AtomicU64; Doubt::ALL.len()],
    last_us: AtomicU64,
}

/// Attempts by what the client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
}

impl Counts {
    pub(super) fn attempts(self) -> u64 {
        self.acknowledged + self.refused + self.unknown
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            acknowledged: self.acknowledged - before.acknowledged,
            refused: self.refused - before.refused,
            unknown: self.unknown - before.unknown,
        }
    }
}

impl Tally {
    pub(super) fn began(&self) {
        let now = self.vus.fetch_add(1, Relaxed) + 1;
        self.vus_max.fetch_max(now, Relaxed);
    }

    /// A life is over; `sound` unless it panicked.
    pub(super) fn ended(&self, sound: bool) {
        self.vus.fetch_sub(1, Relaxed);
        if !sound {
            self.lost.fetch_add(1, Relaxed);
        }
        self.ended.fetch_add(1, Relaxed);
    }

    /// A VU found no unused user.
    pub(super) fn starved(&self) {
        self.starved.fetch_add(1, Relaxed);
    }

    /// An attempt ended.
    pub(super) fn count(&self, outcome: Outcome, end_us: u64) {
        let counter = match outcome {
            Outcome::Acknowledged => &self.acknowledged,
            Outcome::Refused(reason) => &self.refused[reason as usize],
            Outcome::Unknown(reason) => &self.unknown[reason as usize],
        };
        counter.fetch_add(1, Relaxed);
        self.last_us.fetch_max(end_us, Relaxed);
    }

    /// VUs active now.
    pub(super) fn vus(&self) -> u32 {
        self.vus.load(Relaxed)
    }

    pub(super) fn vus_max(&self) -> u32 {
        self.vus_max.load(Relaxed)
    }

    /// VUs whose life is over.
    pub(super) fn vus_ended(&self) -> u32 {
        self.ended.load(Relaxed)
    }

    pub(super) fn vus_lost(&self) -> u32 {
        self.lost.load(Relaxed)
    }

    pub(super) fn vus_starved(&self) -> u32 {
        self.starved.load(Relaxed)
    }

    /// End of the latest attempt, µs since the run's start.
    pub(super) fn last_us(&self) -> u64 {
        self.last_us.load(Relaxed)
    }

    pub(super) fn counts(&self) -> Counts {
        let sum = |counters: &[AtomicU64]| counters.iter().map(|one| one.load(Relaxed)).sum();
        Counts {
            acknowledged: self.acknowledged.load(Relaxed),
            refused: sum(&self.refused),
            unknown: sum(&self.unknown),
        }
    }

    /// Refusals that occurred, by word.
    pub(super) fn refused(&self) -> BTreeMap<String, u64> {
        let counts = self.refused.iter().map(|one| one.load(Relaxed));
        occurred(Refusal::ALL.iter().map(|reason| reason.name()).zip(counts))
    }

    /// Doubts that occurred, by word.
    pub(super) fn unknown(&self) -> BTreeMap<String, u64> {
        let counts = self.unknown.iter().map(|one| one.load(Relaxed));
        occurred(Doubt::ALL.iter().map(|reason| reason.name()).zip(counts))
    }
}

fn occurred(counts: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}
