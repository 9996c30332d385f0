//! Locks with a planted flaw: an unlock that does not say by whom, and a line that is a stack.
//!
//! Which flaw there is and how often it came out is in `flaw.rs`. Sound locks are in `lock`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::flaw::{Flaw, Planted};
use crate::lock::{Key, Lease, Lock, LockError, Release, Strategy, Terms};

/// `lock`, or what a flaw of locks makes of it.
pub fn over(planted: &Arc<Planted>, lock: Arc<dyn Lock>, terms: Terms) -> Arc<dyn Lock> {
    let planted = Arc::clone(planted);
    match planted.flaw() {
        Flaw::OwnerlessUnlock => Arc::new(Ownerless { lock, planted, inside: Mutex::default() }),
        Flaw::NewestFirst => {
            let longest = terms.wait * terms.attempts.max(1);
            let strategy = lock.strategy();
            Arc::new(NewestFirst { stack: Arc::default(), planted, longest, strategy })
        }
        _ => lock,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Flaw D15 over any lock and any lease store: a plain `DEL`. What is released is whatever lease
/// was granted last, be it the caller's or not.
struct Ownerless {
    lock: Arc<dyn Lock>,
    planted: Arc<Planted>,
    /// The newest lease that nobody has released yet, by what it locks.
    inside: Mutex<HashMap<Key, Lease>>,
}

/// A second hold of the same lease, to release it in its holder's name.
fn copy(lease: &Lease) -> Lease {
    Lease { key: lease.key.clone(), request: lease.request.clone(), ..*lease }
}

#[async_trait]
impl Lock for Ownerless {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        let lease = self.lock.acquire(key, request).await?;
        locked(&self.inside).insert(key.clone(), copy(&lease));
        Ok(lease)
    }

    async fn release(&self, lease: Lease) -> Release {
        let Some(newest) = locked(&self.inside).remove(&lease.key) else { return Release::Clean };
        if newest.request != lease.request {
            self.planted.manifested();
        }
        self.lock.release(newest).await;
        // `DEL` says that it deleted a key, not whose.
        Release::Clean
    }

    fn strategy(&self) -> Strategy {
        self.lock.strategy()
    }
}

/// Flaw D25: exclusive, with tickets and tokens, and last come is first served. One stack for all
/// keys, in this process; leases do not lapse.
struct NewestFirst {
    stack: Arc<Mutex<Stack>>,
    planted: Arc<Planted>,
    longest: Duration,
    strategy: Strategy,
}

#[derive(Default)]
struct Stack {
    held: bool,
    last_ticket: u64,
    last_token: u64,
    waiting: Vec<oneshot::Sender<Pass>>,
}

/// The right to be inside, on its way to a waiter: dropped there, it goes to the next one.
struct Pass(Option<Arc<Mutex<Stack>>>);

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(stack) = self.0.take() {
            pass_on(&stack);
        }
    }
}

/// Wakes the newest waiter that is still there. True if it passed somebody by.
fn pass_on(stack: &Arc<Mutex<Stack>>) -> bool {
    loop {
        let newest = locked(stack).waiting.pop();
        let Some(newest) = newest else {
            let mut stack = locked(stack);
            // Somebody may have come between the two looks.
            if stack.waiting.is_empty() {
                stack.held = false;
                return false;
            }
            continue;
        };
        let passed_by = locked(stack).waiting.iter().any(|older| !older.is_closed());
        match newest.send(Pass(Some(Arc::clone(stack)))) {
            Ok(()) => return passed_by,
            // Gave up. Not to be dropped: that would pass it on within this call.
            Err(mut pass) => pass.0 = None,
        }
    }
}

#[async_trait]
impl Lock for NewestFirst {
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError> {
        let asked = Instant::now();
        let (ticket, turn) = {
            let mut stack = locked(&self.stack);
            stack.last_ticket += 1;
            let turn = stack.held.then(|| {
                let (sender, turn) = oneshot::channel();
                stack.waiting.push(sender);
                turn
            });
            stack.held = true;
            (stack.last_ticket, turn)
        };
        if let Some(turn) = turn {
            let late = || LockError::WaitTimeout(asked.elapsed());
            let pass = timeout(self.longest, turn).await.map_err(|_| late())?;
            pass.map_err(|_| late())?.0 = None;
        }
        let mut stack = locked(&self.stack);
        stack.last_token += 1;
        Ok(Lease {
            key: key.clone(),
            request: request.to_owned(),
            ticket: Some(ticket),
            token: Some(stack.last_token),
            waited: asked.elapsed(),
            granted_at: Instant::now(),
        })
    }

    async fn release(&self, _lease: Lease) -> Release {
        if pass_on(&self.stack) {
            self.planted.manifested();
        }
        Release::Clean
    }

    fn strategy(&self) -> Strategy {
        self.strategy
    }
}
