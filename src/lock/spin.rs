//! The spin lock: try, sleep, try again. No order, no fencing token, no wake-up.
//!
//! The usual lock of Lettuce tutorials (`SET NX PX`, 100 ms sleep), without their faults: it gives
//! up after a time, and only the owner can give it back. Leases are kept by a [`LeaseStore`].

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::lease_store::LeaseStore;
use super::withdraw::Withdraw;
use super::{Key, Lease, Lock, LockError, Release, Strategy, Terms};

/// A lock that polls its store.
///
/// While the store is away it keeps trying, as long as `wait` allows: an outage shorter than that
/// costs waiting time and no refusal. Its tries are idempotent, so a try whose reply was lost is
/// recognised by the next one instead of locking itself out.
pub struct SpinLock {
    store: Arc<dyn LeaseStore>,
    terms: Terms,
}

impl SpinLock {
    /// A spin lock over `store`; uses `wait`, `lease` (through the store) and `poll` of `terms`.
    pub fn new(store: Arc<dyn LeaseStore>, terms: Terms) -> Self {
        Self { store, terms }
    }
}

#[async_trait]
impl Lock for SpinLock {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        let asked = Instant::now();
        let deadline = asked + self.terms.wait;
        let withdraw = {
            let (store, key, request) = (self.store.clone(), key.clone(), request.to_owned());
            // Not even a fault matters here: what could not be given back lapses.
            Withdraw::new(async move { drop(store.give_back(&key, &request).await) })
        };
        let mut failure = "no reply until the end of the wait".to_owned();
        let mut refused = false;
        loop {
            // One poll of grace: the last try starts at the deadline and needs its answer.
            let last_moment = deadline + self.terms.poll;
            match timeout_at(last_moment, self.store.take(key, request)).await {
                Ok(Ok(true)) => {
                    withdraw.disarm();
                    return Ok(Lease {
                        key: key.clone(),
                        request: request.to_owned(),
                        ticket: None,
                        token: None,
                        waited: asked.elapsed(),
                        granted_at: Instant::now(),
                    });
                }
                Ok(Ok(false)) => refused = true,
                Ok(Err(fault)) => (refused, failure) = (false, fault.to_string()),
                // Says nothing new: the answer before it stands.
                Err(_late) => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(if refused {
                    LockError::WaitTimeout(asked.elapsed())
                } else {
                    LockError::Store(failure)
                });
            }
            sleep_until((now + self.terms.poll).min(deadline)).await;
        }
    }

    async fn release(&self, lease: Lease) -> Release {
        match self.store.give_back(&lease.key, &lease.request).await {
            Ok(true) => Release::Clean,
            Ok(false) => Release::Lapsed,
            Err(_) => Release::Unconfirmed,
        }
    }

    fn strategy(&self) -> Strategy {
        Strategy::Spin
    }
}
