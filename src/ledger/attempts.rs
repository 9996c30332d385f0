//! All attempts of a run in memory, in columns: about 60 bytes each, where an [`Attempt`] with its
//! text takes 250. Reading the file is `read.rs`; what the attempts mean is not decided here.

use super::columns::{Column, Texts, folded, unfolded};
use super::request::Request;
use super::{Attempt, Doubt, Facts, Outcome, Refusal};

/// Attempts in the order of their file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attempts {
    run: String,
    vu: Vec<u32>,
    iteration: Vec<u32>,
    /// Where the request is not called after run, VU and iteration: which text it is.
    named: Column,
    names: Texts,
    user: Column,
    start: Column,
    length: Column,
    /// Where it differs from the start.
    scheduled: Column,
    outcome: Vec<u8>,
    status: Vec<u16>,
    row: Column,
    quantity: Column,
    arrival: Column,
    ticket: Column,
    token: Column,
    grant: Column,
    wait: Column,
    hold: Column,
}

/// One attempt, its request's text borrowed: how it goes into [`Attempts`].
pub type Entry<'a> = Attempt<&'a str>;

impl<S> Attempt<S> {
    /// The same with another holder of the request's text.
    fn named<T>(&self, request: T) -> Attempt<T> {
        let Self { vu, iteration, user, scheduled_us, start_us, end_us, .. } = *self;
        let Self { outcome, status, facts, .. } = *self;
        Attempt {
            vu,
            iteration,
            request,
            user,
            scheduled_us,
            start_us,
            end_us,
            outcome,
            status,
            facts,
        }
    }
}

impl<'a> From<&'a Attempt> for Entry<'a> {
    fn from(attempt: &'a Attempt) -> Self {
        attempt.named(&attempt.request)
    }
}

impl Entry<'_> {
    /// The same with a text of its own.
    pub fn to_attempt(self) -> Attempt {
        self.named(self.request.to_owned())
    }
}

impl Attempts {
    /// None yet, of the run with this id; `""` where there is none.
    pub fn new(run: &str) -> Self {
        Self { run: run.to_owned(), ..Self::default() }
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Adds one at the end. An end before the start is taken for the start.
    pub fn push(&mut self, entry: Entry<'_>) {
        let own = match Request::of(&self.run, entry.request) {
            Request::Own { vu, iteration, .. } => (vu, iteration) == (entry.vu, entry.iteration),
            Request::Text(_) => false,
        };
        let name = (!own).then(|| self.names.push(entry.request));
        self.named.push(name.and_then(|index| u64::try_from(index).ok()));
        self.vu.push(entry.vu);
        self.iteration.push(entry.iteration);
        self.user.push(Some(folded(entry.user)));
        self.start.push(Some(entry.start_us));
        self.length.push(Some(entry.end_us.saturating_sub(entry.start_us)));
        let scheduled = Some(entry.scheduled_us).filter(|time| *time != entry.start_us);
        self.scheduled.push(scheduled);
        self.outcome.push(code(entry.outcome));
        self.status.push(entry.status);
        let facts = entry.facts;
        self.row.push(facts.row.map(folded));
        self.quantity.push(facts.quantity.map(folded));
        self.arrival.push(facts.arrival);
        self.ticket.push(facts.ticket);
        self.token.push(facts.token);
        self.grant.push(facts.grant);
        self.wait.push(facts.wait_us);
        self.hold.push(facts.hold_us);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.outcome.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.outcome.is_empty()
    }

    /// The attempt at `index`, from 0.
    ///
    /// # Panics
    /// Its parts cannot be asked if `index` is not below [`Attempts::len`].
    pub fn get(&self, index: usize) -> AttemptRef<'_> {
        AttemptRef { all: self, index }
    }

    /// All of them, in order.
    pub fn iter(
        &self,
    ) -> impl ExactSizeIterator<Item = AttemptRef<'_>> + DoubleEndedIterator + Clone {
        (0..self.len()).map(|index| self.get(index))
    }
}

impl<'a> FromIterator<&'a Attempt> for Attempts {
    /// Attempts of no run in particular.
    fn from_iter<I: IntoIterator<Item = &'a Attempt>>(attempts: I) -> Self {
        let mut all = Self::default();
        for attempt in attempts {
            all.push(attempt.into());
        }
        all
    }
}

/// One attempt among all: what was asked and what was told. Each part is read when asked.
#[derive(Debug, Clone, Copy)]
pub struct AttemptRef<'a> {
    all: &'a Attempts,
    index: usize,
}

impl<'a> AttemptRef<'a> {
    /// Its place among all, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// See [`Attempt::vu`].
    pub fn vu(self) -> u32 {
        self.all.vu[self.index]
    }

    /// See [`Attempt::iteration`].
    pub fn iteration(self) -> u32 {
        self.all.iteration[self.index]
    }

    /// See [`Attempt::request`].
    pub fn request(self) -> Request<'a> {
        let name = self.all.named.get(self.index).and_then(|name| usize::try_from(name).ok());
        match name {
            Some(name) => Request::Text(self.all.names.get(name)),
            None => Request::Own { run: &self.all.run, vu: self.vu(), iteration: self.iteration() },
        }
    }

    /// See [`Attempt::user`].
    pub fn user(self) -> i64 {
        self.all.user.get(self.index).map_or(0, unfolded)
    }

    /// See [`Attempt::scheduled_us`].
    pub fn scheduled_us(self) -> u64 {
        self.all.scheduled.get(self.index).unwrap_or_else(|| self.start_us())
    }

    /// See [`Attempt::start_us`].
    pub fn start_us(self) -> u64 {
        self.all.start.get(self.index).unwrap_or(0)
    }

    /// See [`Attempt::end_us`].
    pub fn end_us(self) -> u64 {
        self.start_us().saturating_add(self.all.length.get(self.index).unwrap_or(0))
    }

    /// See [`Attempt::outcome`].
    pub fn outcome(self) -> Outcome {
        decoded(self.all.outcome[self.index])
    }

    /// See [`Attempt::status`].
    pub fn status(self) -> u16 {
        self.all.status[self.index]
    }

    /// See [`Facts::row`].
    pub fn row(self) -> Option<i64> {
        self.all.row.get(self.index).map(unfolded)
    }

    /// See [`Facts::quantity`].
    pub fn quantity(self) -> Option<i64> {
        self.all.quantity.get(self.index).map(unfolded)
    }

    /// See [`Facts::arrival`].
    pub fn arrival(self) -> Option<u64> {
        self.all.arrival.get(self.index)
    }

    /// See [`Facts::grant`].
    pub fn grant(self) -> Option<u64> {
        self.all.grant.get(self.index)
    }

    /// All that the reply said of itself.
    pub fn facts(self) -> Facts {
        Facts {
            row: self.row(),
            quantity: self.quantity(),
            arrival: self.arrival(),
            ticket: self.all.ticket.get(self.index),
            token: self.all.token.get(self.index),
            grant: self.grant(),
            wait_us: self.all.wait.get(self.index),
            hold_us: self.all.hold.get(self.index),
        }
    }

    /// The same as a value of its own.
    pub fn to_attempt(self) -> Attempt {
        Attempt {
            vu: self.vu(),
            iteration: self.iteration(),
            request: self.request().to_string(),
            user: self.user(),
            scheduled_us: self.scheduled_us(),
            start_us: self.start_us(),
            end_us: self.end_us(),
            outcome: self.outcome(),
            status: self.status(),
            facts: self.facts(),
        }
    }
}

/// Refusals begin behind this code, doubts behind [`DOUBTS`].
const REFUSALS: usize = 1;
const DOUBTS: usize = REFUSALS + Refusal::ALL.len();

fn code(outcome: Outcome) -> u8 {
    let code = match outcome {
        Outcome::Acknowledged => 0,
        Outcome::Refused(why) => REFUSALS + why as usize,
        Outcome::Unknown(why) => DOUBTS + why as usize,
    };
    u8::try_from(code).expect("there are sixteen outcomes")
}

fn decoded(code: u8) -> Outcome {
    let code = usize::from(code);
    if code == 0 {
        Outcome::Acknowledged
    } else if code < DOUBTS {
        Outcome::Refused(Refusal::ALL[code - REFUSALS])
    } else {
        Outcome::Unknown(Doubt::ALL[code - DOUBTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(n: u32, outcome: Outcome) -> Attempt {
        let facts = Facts {
            row: n.is_multiple_of(2).then_some(i64::from(n) - 3),
            quantity: Some(-i64::from(n)),
            ticket: Some(1_700_000_000_000_000 + u64::from(n)),
            ..Facts::default()
        };
        let start_us = u64::from(n) * 7;
        Attempt {
            vu: n,
            iteration: n / 2,
            request: if n.is_multiple_of(3) {
                format!("x{n}")
            } else {
                format!("run-{n}-{}", n / 2)
            },
            user: i64::from(n) - 2,
            scheduled_us: start_us.saturating_sub(u64::from(n % 2)),
            start_us,
            end_us: start_us + 5,
            outcome,
            status: 200,
            facts,
        }
    }

    /// Goal: every attempt comes back as it went in, whatever its outcome and its name.
    #[test]
    fn attempts_come_back_as_they_went_in() {
        let outcomes = std::iter::once(Outcome::Acknowledged)
            .chain(Refusal::ALL.map(Outcome::Refused))
            .chain(Doubt::ALL.map(Outcome::Unknown));
        let put: Vec<_> = (0..).zip(outcomes).map(|(n, outcome)| attempt(n, outcome)).collect();
        for run in ["run", ""] {
            let mut all = Attempts::new(run);
            for attempt in &put {
                all.push(attempt.into());
            }
            let got: Vec<_> = all.iter().map(AttemptRef::to_attempt).collect();
            assert_eq!(got, put);
            let own = |told: AttemptRef<'_>| matches!(told.request(), Request::Own { .. });
            assert_eq!(all.iter().filter(|told| own(*told)).count() > 0, run == "run");
        }
    }

    /// Goal: a request named like one of another VU keeps its text, so that it is not mistaken.
    #[test]
    fn a_borrowed_name_stays_a_text() {
        let mut all = Attempts::new("run");
        let borrowed = Attempt { request: "run-9-9".to_owned(), ..attempt(1, decoded(0)) };
        all.push((&borrowed).into());
        assert_eq!(all.get(0).request(), Request::Text("run-9-9"));
    }
}
