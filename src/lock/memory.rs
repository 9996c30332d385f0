//! Leases in this process: one mutex, lines by key, tokio's clock.
//!
//! The upper bound for any other store. Strategies and the rules of a line are elsewhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::time::Instant;

use super::Key;
use super::lease_store::{Fault, Grant, Joined, LeaseStore, tick_every};
use super::line::{Holder, Line, Moment};
use super::waiters::Waiters;

/// Leases of one process. Every move is made within the first poll and never faults.
pub struct MemoryStore {
    lease: Duration,
    waiters: Arc<Waiters>,
    leases: Mutex<Leases>,
}

/// Grows by one entry a key ever used, and keys are few: one a coupon.
#[derive(Default)]
struct Leases {
    plain: HashMap<Key, Plain>,
    lines: HashMap<Key, Line>,
}

struct Plain {
    request: String,
    until: Instant,
}

impl MemoryStore {
    /// An empty store whose grants last `lease` and are pushed to `waiters`.
    pub fn new(lease: Duration, waiters: Arc<Waiters>) -> Self {
        Self { lease, waiters, leases: Mutex::default() }
    }

    /// A panic elsewhere leaves the maps whole, so a poisoned mutex is used on.
    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one move on the line of `key`, creating it if need be.
    fn on_line<T>(
        &self,
        key: &Key,
        act: impl FnOnce(&mut Line, Moment, &mut dyn FnMut(&Holder) -> bool) -> T,
    ) -> T {
        let mut leases = self.leases();
        // Read under the mutex, so that moments are ordered as moves are.
        let now = moment();
        let line = match leases.lines.get_mut(key) {
            Some(line) => line,
            None => leases.lines.entry(key.clone()).or_insert_with(|| Line::new(self.lease)),
        };
        act(line, now, &mut |holder| self.waiters.deliver(grant(key, holder)))
    }
}

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn take(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        let mut leases = self.leases();
        let now = Instant::now();
        let held = leases.plain.get(key);
        if held.is_some_and(|plain| plain.until > now && plain.request != request) {
            return Ok(false);
        }
        let plain = Plain { request: request.to_owned(), until: now + self.lease };
        leases.plain.insert(key.clone(), plain);
        Ok(true)
    }

    async fn give_back(&self, key: &Key, request: &str) -> Result<bool, Fault> {
        let mut leases = self.leases();
        if leases.plain.get(key).is_none_or(|plain| plain.request != request) {
            return Ok(false);
        }
        let ended = leases.plain.remove(key);
        Ok(ended.is_some_and(|plain| plain.until > Instant::now()))
    }

    async fn join(&self, key: &Key, request: &str) -> Result<Joined, Fault> {
        Ok(self.on_line(key, |line, now, wake| {
            let ticket = line.join(request, now, wake);
            match line.holder() {
                Some(holder) if holder.request == request => Joined::Granted(grant(key, holder)),
                _ => {
                    self.waiters.seated(key, request, ticket);
                    Joined::Queued(ticket)
                }
            }
        }))
    }

    async fn leave(&self, key: &Key, request: &str) -> Result<(), Fault> {
        self.on_line(key, |line, now, wake| line.leave(request, now, wake));
        Ok(())
    }

    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault> {
        Ok(self.on_line(&grant.key, |line, now, wake| {
            line.pass_on(&grant.request, grant.token, now, wake)
        }))
    }

    async fn tick(&self) -> Duration {
        let mut leases = self.leases();
        let now = moment();
        let mut pause = tick_every(self.lease);
        for (key, line) in &mut leases.lines {
            line.advance(now, &mut |holder| self.waiters.deliver(grant(key, holder)));
            if let Some(holder) = line.holder() {
                pause = pause.min(holder.until - now.instant);
            }
        }
        pause
    }
}

fn moment() -> Moment {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let unix_us = u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX / 2);
    Moment { instant: Instant::now(), unix_us }
}

fn grant(key: &Key, holder: &Holder) -> Grant {
    let Holder { request, ticket, token, .. } = holder;
    Grant { key: key.clone(), request: request.clone(), ticket: *ticket, token: *token }
}
