//! The places of one line, sorted once for every metric. No metric here.

use super::Place;
use super::numbers::{index, narrow};

/// A line of claims, sorted. Each metric is a method that returns in O(n log n).
///
/// Needs 20 bytes a place and 8 bytes a grant while it lives; making it, and a metric while it
/// runs, need up to 16 bytes a place more.
pub struct Line<'a> {
    /// As given; every index in a result points here.
    pub(super) places: &'a [Place],
    slack: u64,
    /// Indices of all places by arrival, equal arrivals by index.
    pub(super) by_arrival: Vec<u32>,
    /// Indices of all places by `from`.
    pub(super) by_begin: Vec<u32>,
    /// Indices of all places by `until`, of equal ones those without a grant first, then by index.
    pub(super) by_end: Vec<u32>,
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
        let place = |at: &u32| &places[index(*at)];
        let mut by_arrival: Vec<u32> = (0..narrow(places.len())).collect();
        by_arrival.sort_by_cached_key(|at| place(at).arrived);
        // Sorted from the order of arrival, since that is nearly, and often wholly, theirs.
        let mut by_begin = by_arrival.clone();
        by_begin.sort_by_cached_key(|at| place(at).from);
        let mut by_end = by_arrival.clone();
        by_end.sort_by_cached_key(|at| place(at).until);
        for tied in by_end.chunk_by_mut(|one, other| place(one).until == place(other).until) {
            tied.sort_unstable_by_key(|at| (place(at).is_granted(), *at));
        }
        let granted = by_end.iter().filter(|at| place(at).is_granted());
        let grants: Vec<u64> = granted.map(|at| place(at).until).collect();
        let spans = spans(places, &by_begin, &by_end, &grants);
        Self { places, slack, by_arrival, by_begin, by_end, grants, spans }
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

    /// How many grants share the key of the grant with this rank.
    pub(super) fn tied_grants(&self, rank: u32) -> u32 {
        let from = &self.grants[index(rank)..];
        // Nearly always one: not worth a search through all later grants.
        if from.get(1).is_none_or(|next| *next != from[0]) {
            return 1;
        }
        narrow(from.partition_point(|grant| *grant == from[0]))
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

/// [`Line::spans`], by going through the grants beside the begins and beside the ends.
fn spans(places: &[Place], by_begin: &[u32], by_end: &[u32], grants: &[u64]) -> Vec<(u32, u32)> {
    let mut spans = vec![(0, 0); places.len()];
    let mut rank = 0;
    for &at in by_end {
        let until = places[index(at)].until;
        while grants.get(rank).is_some_and(|grant| *grant < until) {
            rank += 1;
        }
        spans[index(at)].1 = narrow(rank);
    }
    rank = 0;
    for &at in by_begin {
        let from = places[index(at)].from;
        while grants.get(rank).is_some_and(|grant| *grant <= from) {
            rank += 1;
        }
        let span = &mut spans[index(at)];
        span.0 = narrow(rank).min(span.1);
    }
    spans
}
