//! Finding an attempt by its request, among millions. No judgement.

use std::collections::HashMap;

use crate::ledger::attempts::{AttemptRef, Attempts};
use crate::ledger::request::Request;

/// The first attempt of each request.
///
/// Requests named after run, VU and iteration are found by these numbers: each VU's attempts are
/// in the order of its iterations as a rule, so that the position is the iteration.
pub(crate) struct Index<'a> {
    run: &'a str,
    /// For each VU: (iteration, first attempt), by ascending iteration.
    own: HashMap<u32, Vec<(u32, u32)>>,
    named: HashMap<&'a str, u32>,
    repeats: bool,
}

impl<'a> Index<'a> {
    pub(crate) fn new(attempts: &'a Attempts) -> Self {
        let mut index = Self {
            run: attempts.run(),
            own: HashMap::new(),
            named: HashMap::new(),
            repeats: false,
        };
        for attempt in attempts.iter() {
            let place = u32::try_from(attempt.index()).unwrap_or(u32::MAX);
            match index.key(attempt.request()) {
                Request::Own { vu, iteration, .. } => {
                    index.own.entry(vu).or_default().push((iteration, place));
                }
                Request::Text("") => {}
                Request::Text(name) => {
                    let first = *index.named.entry(name).or_insert(place);
                    index.repeats |= first != place;
                }
            }
        }
        for places in index.own.values_mut() {
            if !places.is_sorted() {
                places.sort_unstable();
            }
            let before = places.len();
            places.dedup_by_key(|(iteration, _)| *iteration);
            index.repeats |= places.len() < before;
        }
        index
    }

    /// Whether any request was sent more than once.
    pub(crate) fn has_repeats(&self) -> bool {
        self.repeats
    }

    /// The first attempt of the same request; itself where it has no name.
    pub(crate) fn leader(&self, attempt: AttemptRef<'a>) -> usize {
        if !self.repeats {
            return attempt.index();
        }
        self.find(attempt.request()).unwrap_or(attempt.index())
    }

    /// The first attempt of a request.
    pub(crate) fn find(&self, request: Request<'_>) -> Option<usize> {
        let text;
        let request = match request {
            Request::Own { run, .. } if run == self.run => request,
            Request::Own { .. } => {
                text = request.to_string();
                Request::of(self.run, &text)
            }
            Request::Text(text) => Request::of(self.run, text),
        };
        let place = match request {
            Request::Own { vu, iteration, .. } => {
                let places = self.own.get(&vu)?;
                let likely = usize::try_from(iteration).ok().and_then(|at| places.get(at));
                match likely {
                    Some((found, place)) if *found == iteration => *place,
                    _ => {
                        let at = places.binary_search_by_key(&iteration, |(found, _)| *found);
                        places[at.ok()?].1
                    }
                }
            }
            Request::Text(name) => *self.named.get(name)?,
        };
        usize::try_from(place).ok()
    }

    /// A name that looks like one of the run's is found as such, whoever used it.
    fn key(&self, request: Request<'a>) -> Request<'a> {
        match request {
            Request::Own { .. } => request,
            Request::Text(text) => Request::of(self.run, text),
        }
    }
}
