//! The fair lock: strict arrival order, one wake a release, a ticket that survives retries.
//!
//! Ownership is handed to the next waiter inside the releaser's step, so nobody can slip in between
//! and the woken waiter asks nothing more: a contended acquire awaits two round trips (join,
//! release) and one push, whatever the length of the line. The rules of the line are in `line.rs`
//! and `redis/common.lua`; here is the waiter's side.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::lease_store::{Grant, Joined, LeaseStore};
use super::waiters::{Seat, Waiters};
use super::withdraw::Withdraw;
use super::{Key, Lease, Lock, LockError, Release, Strategy, Terms};

/// A lock with a line.
///
/// While the store is away, waiters keep their place and are granted after it returns, as long as
/// their tries last. Order is arrival order: a ticket is given once a request and never taken back;
/// only a waiter whose process is absent when its turn comes can be overtaken, and it is first
/// again when it returns.
pub struct FairLock {
    store: Arc<dyn LeaseStore>,
    waiters: Arc<Waiters>,
    terms: Terms,
    ticker: JoinHandle<()>,
}

impl FairLock {
    /// A fair lock over `store`, which pushes its grants to `waiters`. Starts the task that ticks
    /// the store; dropping the lock ends it. Must be called within a tokio runtime.
    pub fn new(store: Arc<dyn LeaseStore>, waiters: Arc<Waiters>, terms: Terms) -> Self {
        let (kept, room) = (store.clone(), waiters.clone());
        let ticker = tokio::spawn(async move {
            loop {
                let pause = kept.tick().await;
                room.forget_lapsed(terms.lease);
                sleep(pause).await;
            }
        });
        Self { store, waiters, terms, ticker }
    }

    /// Waits on `seat` until `deadline`. Asks the store first: the first time to join, later to
    /// find the same place again (and to take it anew where the store lost it).
    async fn wait(
        &self,
        key: &Key,
        request: &str,
        seat: &mut Seat,
        deadline: Instant,
    ) -> Result<Option<Grant>, LockError> {
        let join = async {
            match self.store.join(key, request).await {
                Ok(Joined::Granted(grant)) => grant,
                // In line; or the store is away, and will be told of us when it is back.
                Ok(Joined::Queued(_)) | Err(_) => pending().await,
            }
        };
        tokio::select! {
            biased;
            grant = join => Ok(Some(grant)),
            grant = &mut seat.grant => grant.map(Some).map_err(|_| {
                LockError::Store(format!("`{request}` was asked anew; only the last ask waits"))
            }),
            () = sleep_until(deadline) => Ok(None),
        }
    }

    /// Takes the ask back when its future is dropped or gives up: out of the line, or the grant
    /// that just arrived to the next one.
    fn withdraw(&self, key: &Key, request: &str, entry: u64) -> Withdraw {
        let (store, waiters) = (self.store.clone(), self.waiters.clone());
        let (key, request) = (key.clone(), request.to_owned());
        Withdraw::new(async move {
            if waiters.leave(&key, &request, entry) {
                // A store that is away is told later; see `redis/mod.rs`, debts.
                drop(store.leave(&key, &request).await);
            }
        })
    }
}

#[async_trait]
impl Lock for FairLock {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        let asked = Instant::now();
        let mut seat = self.waiters.enter(key, request);
        let entry = seat.entry;
        let withdraw = self.withdraw(key, request, entry);
        let attempts = self.terms.attempts.max(1);
        for attempt in 1..=attempts {
            // The place is kept during the pause between two tries, so a grant ends that as well.
            let pause = if attempt < attempts { self.terms.backoff } else { Duration::ZERO };
            let deadline = Instant::now() + self.terms.wait + pause;
            if let Some(grant) = self.wait(key, request, &mut seat, deadline).await? {
                // By the answer to a join it does not know of it yet.
                self.waiters.deliver(grant.clone());
                withdraw.disarm();
                return Ok(Lease {
                    key: grant.key,
                    request: grant.request,
                    ticket: Some(grant.ticket),
                    token: Some(grant.token),
                    waited: asked.elapsed(),
                    granted_at: Instant::now(),
                });
            }
        }
        match self.waiters.ticket(key, request) {
            Some(_) => Err(LockError::WaitTimeout(asked.elapsed())),
            None => Err(LockError::Store("no reply until the end of the last wait".to_owned())),
        }
    }

    async fn release(&self, lease: Lease) -> Release {
        let Lease { key, request, ticket, token, .. } = lease;
        let (Some(ticket), Some(token)) = (ticket, token) else { return Release::Lapsed };
        let grant = Grant { key, request, ticket, token };
        let passed_on = self.store.pass_on(&grant).await;
        // Only now: a push that comes late, after a tick had told the same grant, must find its
        // holder, or it would be taken for nobody's, passed on beside this release, and this
        // release told that the lease had lapsed.
        self.waiters.went_out(&grant);
        match passed_on {
            Ok(true) => Release::Clean,
            Ok(false) => Release::Lapsed,
            Err(_) => Release::Unconfirmed,
        }
    }

    fn strategy(&self) -> Strategy {
        Strategy::Fair
    }
}

impl Drop for FairLock {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}
