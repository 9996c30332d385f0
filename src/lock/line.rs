//! The rules of one fair line, as plain data: who holds it, who is next, which numbers are given.
//!
//! No clock, no lock, no async: `memory.rs` brings those. `redis/common.lua` states the same rules.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// A moment on both clocks: deadlines use the first, tickets and tokens the second.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Monotonic.
    pub instant: Instant,
    /// Microseconds since the Unix epoch.
    pub unix_us: u64,
}

/// Somebody's right to be inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub request: String,
    /// Its place in line.
    pub ticket: u64,
    /// Its fencing token.
    pub token: u64,
    /// When it lapses.
    pub until: Instant,
}

/// One line: at most one unlapsed holder, the rest in order of tickets.
///
/// After every move: if somebody waits, somebody holds. That is what "no lost wake-up" means.
#[derive(Debug)]
pub struct Line {
    lease: Duration,
    last_ticket: u64,
    last_token: u64,
    holder: Option<Holder>,
    queue: BTreeMap<u64, String>,
    places: HashMap<String, u64>,
}

impl Line {
    /// An empty line whose grants last `lease`.
    pub fn new(lease: Duration) -> Self {
        Self {
            lease,
            last_ticket: 0,
            last_token: 0,
            holder: None,
            queue: BTreeMap::new(),
            places: HashMap::new(),
        }
    }

    /// Joins with a new ticket, or finds the place `request` has. Returns its ticket; it is inside
    /// if it is the [`Line::holder`] then. `wake` tells somebody else of a grant (see
    /// [`Line::advance`]). Asking again as the holder starts the lease anew.
    pub fn join(
        &mut self,
        request: &str,
        now: Moment,
        wake: &mut dyn FnMut(&Holder) -> bool,
    ) -> u64 {
        if let Some(holder) = &mut self.holder
            && holder.request == request
            && holder.until > now.instant
        {
            holder.until = now.instant + self.lease;
            return holder.ticket;
        }
        let known = self.places.get(request).copied();
        let ticket = known.unwrap_or_else(|| {
            self.last_ticket = next(self.last_ticket, now);
            self.queue.insert(self.last_ticket, request.to_owned());
            self.places.insert(request.to_owned(), self.last_ticket);
            self.last_ticket
        });
        // The joiner learns of its own grant from the answer, not from a wake.
        self.advance(now, &mut |holder| holder.request == request || wake(holder));
        ticket
    }

    /// Leaves the line; if `request` holds it, the next one does now.
    pub fn leave(&mut self, request: &str, now: Moment, wake: &mut dyn FnMut(&Holder) -> bool) {
        if let Some(ticket) = self.places.remove(request) {
            self.queue.remove(&ticket);
        }
        if self.holder.as_ref().is_some_and(|holder| holder.request == request) {
            self.holder = None;
        }
        self.advance(now, wake);
    }

    /// Ends the grant with this token and hands the line on. False if it had lapsed before.
    pub fn pass_on(
        &mut self,
        request: &str,
        token: u64,
        now: Moment,
        wake: &mut dyn FnMut(&Holder) -> bool,
    ) -> bool {
        let mine = self
            .holder
            .take_if(|holder| holder.request == request && holder.token == token)
            .is_some_and(|holder| holder.until > now.instant);
        self.advance(now, wake);
        mine
    }

    /// If nobody holds the line (any more), makes its head the holder. `wake` tells the head; where
    /// it answers false the head is gone, and the next one is tried.
    pub fn advance(&mut self, now: Moment, wake: &mut dyn FnMut(&Holder) -> bool) {
        if self.holder.as_ref().is_some_and(|holder| holder.until > now.instant) {
            return;
        }
        self.holder = None;
        while let Some((ticket, request)) = self.queue.pop_first() {
            self.places.remove(&request);
            self.last_token = next(self.last_token, now);
            let until = now.instant + self.lease;
            let head = Holder { request, ticket, token: self.last_token, until };
            if wake(&head) {
                self.holder = Some(head);
                return;
            }
        }
    }

    /// Who holds the line; may have lapsed since the last move.
    pub fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    /// Who waits, in order of tickets.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, &str)> {
        self.queue.iter().map(|(ticket, request)| (*ticket, request.as_str()))
    }
}

/// Strictly increasing, and ahead of every number given before a restart, unless the clock was set
/// back: a hybrid of counter and clock.
fn next(last: u64, now: Moment) -> u64 {
    (last + 1).max(now.unix_us)
}
