//! Calls and ends of all requests in the order of time, each with its process. No format here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::ledger::Outcome;
use crate::ledger::attempts::Attempts;
use crate::ledger::probes::{Kind, Probe, Saw};

/// One beginning or end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// When, in µs since the run's start; never falls.
    pub(super) at_us: u64,
    /// Whose: from 0 on, one request at a time. New after an unknown outcome.
    pub(super) process: u32,
    /// Which request: from 0 on, in the order of their beginnings.
    pub(super) id: u64,
    /// What was asked.
    pub(super) op: Op,
    /// Whether it ends here.
    pub(super) end: bool,
}

/// What was asked, by its index in the ledger or among the probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Op {
    /// A claim.
    Claim(usize),
    /// A probe.
    Probe(usize),
    /// The books before or after the run.
    Books,
}

/// Who asks one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lane {
    Vu(u32),
    Stock,
    Own,
}

/// A request under way, the next one to end first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    end_us: u64,
    id: u64,
    process: u32,
    op: Op,
}

/// All moments of a run.
pub(super) struct Moments<'a> {
    attempts: &'a Attempts,
    probes: &'a [Probe],
    /// Indices by ascending beginning.
    claims: std::vec::IntoIter<usize>,
    /// The same of probes.
    asked: std::vec::IntoIter<usize>,
    under_way: BinaryHeap<Reverse<Open>>,
    /// The process of each lane, and whether it is free.
    seats: HashMap<Lane, (u32, bool)>,
    processes: u32,
    calls: u64,
    last_us: u64,
}

impl<'a> Moments<'a> {
    /// Those of `attempts`, and of the `probes` that `wanted` takes and that got an answer.
    pub(super) fn new(
        attempts: &'a Attempts,
        probes: &'a [Probe],
        wanted: impl Fn(Kind) -> bool,
    ) -> Self {
        let mut claims: Vec<usize> = (0..attempts.len()).collect();
        claims.sort_by_key(|index| attempts.get(*index).start_us());
        let told = |index: &usize| match &probes[*index].saw {
            Saw::Failed { .. } => false,
            saw => wanted(saw.kind()),
        };
        let mut asked: Vec<usize> = (0..probes.len()).filter(told).collect();
        asked.sort_by_key(|index| probes[*index].start_us);
        Self {
            attempts,
            probes,
            claims: claims.into_iter(),
            asked: asked.into_iter(),
            under_way: BinaryHeap::new(),
            seats: HashMap::new(),
            processes: 0,
            calls: 0,
            last_us: 0,
        }
    }

    /// The call of a reading of the books, by a process of its own, now. It ends before anything
    /// else is taken from here.
    pub(super) fn books(&mut self) -> Moment {
        let (process, id) = (self.process(), self.call_id());
        Moment { at_us: self.last_us, process, id, op: Op::Books, end: false }
    }

    fn process(&mut self) -> u32 {
        self.processes += 1;
        self.processes - 1
    }

    fn call_id(&mut self) -> u64 {
        self.calls += 1;
        self.calls - 1
    }

    /// The next beginning: of two at once the claim's.
    fn next_call(&self) -> Option<(u64, Op)> {
        let claim = self.claims.as_slice().first();
        let claim = claim.map(|index| (self.attempts.get(*index).start_us(), Op::Claim(*index)));
        let probe = self.asked.as_slice().first();
        let probe = probe.map(|index| (self.probes[*index].start_us, Op::Probe(*index)));
        claim.into_iter().chain(probe).min()
    }

    fn call(&mut self, at_us: u64, op: Op, end_us: u64) -> Moment {
        let lane = self.lane(op);
        let process = match self.seats.get(&lane) {
            Some((process, true)) => *process,
            _ => self.process(),
        };
        self.seats.insert(lane, (process, false));
        let id = self.call_id();
        self.under_way.push(Reverse(Open { end_us, id, process, op }));
        Moment { at_us, process, id, op, end: false }
    }

    fn end(&mut self) -> Option<Moment> {
        let Reverse(Open { end_us, id, process, op }) = self.under_way.pop()?;
        let lane = self.lane(op);
        let free = !self.unknown(op);
        if let Some(seat) = self.seats.get_mut(&lane).filter(|seat| seat.0 == process) {
            seat.1 = free;
        }
        Some(Moment { at_us: end_us, process, id, op, end: true })
    }

    fn lane(&self, op: Op) -> Lane {
        match op {
            Op::Claim(index) => Lane::Vu(self.attempts.get(index).vu()),
            Op::Probe(index) if self.probes[index].saw.kind() == Kind::Own => Lane::Own,
            // The quantity, and both in one transaction, are asked for in turn.
            Op::Probe(_) | Op::Books => Lane::Stock,
        }
    }

    fn unknown(&self, op: Op) -> bool {
        let outcome = match op {
            Op::Claim(index) => Some(self.attempts.get(index).outcome()),
            Op::Probe(_) | Op::Books => None,
        };
        matches!(outcome, Some(Outcome::Unknown(_)))
    }
}

impl Iterator for Moments<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        let end = self.under_way.peek().map(|Reverse(open)| open.end_us);
        let moment = match self.next_call() {
            Some((at_us, op)) if end.is_none_or(|end| at_us <= end) => {
                let end_us = match op {
                    Op::Claim(_) => self.claims.next().map(|at| self.attempts.get(at).end_us()),
                    _ => self.asked.next().map(|at| self.probes[at].end_us),
                };
                self.call(at_us, op, end_us?)
            }
            _ => self.end()?,
        };
        self.last_us = moment.at_us;
        Some(moment)
    }
}
