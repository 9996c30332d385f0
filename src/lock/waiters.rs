//! This process's own claims on lines: who waits here and who is inside, with which numbers.
//!
//! Stores push grants into it; `fair.rs` takes them out. It outlives a store's data: after a Redis
//! restart the line is rebuilt from here. It decides nothing about order.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Key;
use super::lease_store::Grant;

/// Everybody of this process who waits or is inside, by line and request.
#[derive(Debug, Default)]
pub struct Waiters {
    room: Mutex<Room>,
}

#[derive(Debug, Default)]
struct Room {
    entered: u64,
    lines: HashMap<Key, HashMap<String, Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    entry: u64,
    ticket: Option<u64>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Waiting(oneshot::Sender<Grant>),
    Inside { token: u64, since: Instant },
}

impl Waiter {
    fn waits(&self) -> bool {
        matches!(self.place, Place::Waiting(_))
    }
}

/// What a waiter holds while it waits.
#[derive(Debug)]
pub struct Seat {
    /// Order of entry in this process, from 1.
    pub entry: u64,
    /// Where the grant arrives. Closed without a grant: the same request was asked anew.
    pub grant: oneshot::Receiver<Grant>,
}

/// One waiter, as needed to give it its place back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which line.
    pub key: Key,
    /// Who waits.
    pub request: String,
    /// Its ticket; `None` until the store has told it.
    pub ticket: Option<u64>,
}

impl Waiters {
    /// Enters a waiter. If this request waits already, the new seat takes its place and ticket.
    pub fn enter(&self, key: &Key, request: &str) -> Seat {
        let (sender, grant) = oneshot::channel();
        let mut room = self.room();
        room.entered += 1;
        let entry = room.entered;
        let line = match room.lines.get_mut(key) {
            Some(line) => line,
            None => room.lines.entry(key.clone()).or_default(),
        };
        let ticket = line.get(request).and_then(|waiter| waiter.ticket);
        line.insert(request.to_owned(), Waiter { entry, ticket, place: Place::Waiting(sender) });
        Seat { entry, grant }
    }

    /// Forgets the claim of this seat, waiting or inside; false if a later seat of the same request
    /// took its place.
    pub fn leave(&self, key: &Key, request: &str, entry: u64) -> bool {
        let mut room = self.room();
        let Some(line) = room.lines.get_mut(key) else { return true };
        if line.get(request).is_some_and(|waiter| waiter.entry != entry) {
            return false;
        }
        line.remove(request);
        true
    }

    /// Notes the ticket that the store gave.
    pub fn seated(&self, key: &Key, request: &str, ticket: u64) {
        let mut room = self.room();
        if let Some(waiter) = room.lines.get_mut(key).and_then(|line| line.get_mut(request)) {
            waiter.ticket = Some(ticket);
        }
    }

    /// The ticket of a waiter, if it waits here and the store has told it.
    pub fn ticket(&self, key: &Key, request: &str) -> Option<u64> {
        self.room().lines.get(key)?.get(request)?.ticket
    }

    /// Whether this request waits here.
    pub fn waits(&self, key: &Key, request: &str) -> bool {
        let room = self.room();
        room.lines.get(key).and_then(|line| line.get(request)).is_some_and(Waiter::waits)
    }

    /// Hands a grant to its waiter. False if nobody here waits for it or is inside by it: then it
    /// belongs to the next in line. A grant may arrive twice (push, answer, tick).
    pub fn deliver(&self, grant: Grant) -> bool {
        let mut room = self.room();
        let line = room.lines.get_mut(&grant.key);
        let Some(waiter) = line.and_then(|line| line.get_mut(&grant.request)) else { return false };
        let inside = Place::Inside { token: grant.token, since: Instant::now() };
        match &waiter.place {
            Place::Inside { token, .. } => *token == grant.token,
            Place::Waiting(_) => {
                let Place::Waiting(seat) = std::mem::replace(&mut waiter.place, inside) else {
                    return false;
                };
                seat.send(grant).is_ok()
            }
        }
    }

    /// Forgets who was inside by this grant.
    pub fn went_out(&self, grant: &Grant) {
        let mut room = self.room();
        let Some(line) = room.lines.get_mut(&grant.key) else { return };
        let by_it =
            |place: &Place| matches!(place, Place::Inside { token, .. } if *token == grant.token);
        if line.get(&grant.request).is_some_and(|waiter| by_it(&waiter.place)) {
            line.remove(&grant.request);
        }
    }

    /// Forgets who has been inside for longer than `lease`: that right has lapsed.
    pub fn forget_lapsed(&self, lease: Duration) {
        let mut room = self.room();
        room.lines.retain(|_, line| {
            line.retain(|_, waiter| match waiter.place {
                Place::Waiting(_) => true,
                Place::Inside { since, .. } => since.elapsed() <= lease,
            });
            !line.is_empty()
        });
    }

    /// The lines on which somebody waits here whom the store has told a ticket.
    pub fn keys(&self) -> Vec<Key> {
        let seated = |waiter: &Waiter| waiter.waits() && waiter.ticket.is_some();
        let room = self.room();
        let waited = room.lines.iter().filter(|(_, line)| line.values().any(seated));
        waited.map(|(key, _)| key.clone()).collect()
    }

    /// Everybody who waits here, oldest ticket first, then those without one in order of entry.
    pub fn standing(&self) -> Vec<Standing> {
        let room = self.room();
        let mut all: Vec<(bool, u64, Standing)> = Vec::new();
        for (key, line) in &room.lines {
            for (request, waiter) in line.iter().filter(|(_, waiter)| waiter.waits()) {
                let Waiter { ticket, entry, .. } = *waiter;
                let who = Standing { key: key.clone(), request: request.clone(), ticket };
                all.push((ticket.is_none(), ticket.unwrap_or(entry), who));
            }
        }
        all.sort_by_key(|(unknown, order, _)| (*unknown, *order));
        all.into_iter().map(|(_, _, who)| who).collect()
    }

    /// A panic elsewhere leaves the maps whole, so a poisoned mutex is used on.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
