//! The places of one line, sorted once for every metric. No metric here.

use super::Place;
use super::numbers::{index, narrow};

/// A line of claims, sorted. Each metric is a method that returns in O(n log n).
///
/// Needs 12 bytes a place and 8 bytes a grant while it lives; a metric needs up to 16 bytes a place
/// more while it runs.
pub struct Line<'a> {
    /// As given; every index in a result points here.
    pub(super) places: &'a [Place],
    pub(super) slack: u64,
    /// Indices of all places by arrival, equal arrivals by index.
    pub(super) by_arrival: Vec<u32>,
    /// Order keys of the grants, ascending, equal ones kept: the position of a grant is its rank.
    pub(super) grants: Vec<u64>,
    /// For each place, in the order given, the ranks `from..until` of grants strictly inside its
    /// wait. A granted place's own rank is the `until`.
    spans: Vec<(u32, u32)>,
}

impl<'a> Line<'a> {
    /// Sorts the places.
    ///
    /// `slack` is how far apart, in the unit of `arrived`, two arrivals may be and yet have come in
    /// either order: 0 with a server's own numbers, the measured uncertainty with clients' clocks.
    /// Only pairs further apart than this count; the rest is called ambiguous.
    pub fn new(places: &'a [Place], slack: u64) -> Self {
        let mut by_arrival: Vec<u32> = (0..narrow(places.len())).collect();
        by_arrival.sort_unstable_by_key(|&at| (places[index(at)].arrived, at));
        let granted = places.iter().filter(|place| place.is_granted());
        let mut grants: Vec<u64> = granted.map(|place| place.until).collect();
        grants.sort_unstable();
        let mut spans = vec![(0, 0); places.len()];
        // By arrival, since neighbours in time then look at the same part of `grants`.
        for &at in &by_arrival {
            let place = &places[index(at)];
            let until = narrow(grants.partition_point(|grant| *grant < place.until));
            let from = narrow(grants.partition_point(|grant| *grant <= place.from));
            spans[index(at)] = (from.min(until), until);
        }
        Self { places, slack, by_arrival, grants, spans }
    }

    pub(super) fn place(&self, at: u32) -> &'a Place {
        &self.places[index(at)]
    }

    /// Ranks of the grants strictly inside the wait of this place.
    pub(super) fn span(&self, at: u32) -> (u32, u32) {
        self.spans[index(at)]
    }

    /// How many grants came before this one; equal ones share the number. For a granted place.
    pub(super) fn rank(&self, at: u32) -> u32 {
        self.span(at).1
    }

    /// Granted places by arrival.
    pub(super) fn granted(&self) -> impl Iterator<Item = u32> {
        self.by_arrival.iter().copied().filter(|&at| self.place(at).is_granted())
    }

    /// Whether `one` surely arrived before `other`.
    pub(super) fn surely_before(&self, one: u32, other: u32) -> bool {
        self.place(one).arrived.saturating_add(self.slack) < self.place(other).arrived
    }
}
