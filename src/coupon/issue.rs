//! The one flow that moves a unit: acquire, write and commit, release. In this order, here only.
//!
//! Which lock and which database is not known here, nor who asked over which protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::store::Store;
use super::{Claim, GrantFacts, IssueError, Receipt, Step, Tell, Work};
use crate::lock::{Lock, Release};

/// Where claims are answered: one lock, one store, one way to work.
pub struct Desk {
    lock: Arc<dyn Lock>,
    store: Store,
    work: Work,
    /// Grants so far. The next one is stamped with one more.
    grants: AtomicU64,
    /// Asks so far: makes each ask's name unique, whatever the client called its claim.
    asks: AtomicU64,
}

/// A claim that got no receipt, with what it went through.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Denied {
    /// Why.
    pub error: IssueError,
    /// What was granted; `None` if the lock never was.
    pub grant: Option<GrantFacts>,
    /// From grant to the end of the release; zero without a grant.
    pub hold: Duration,
    /// How the release went; `None` without a grant.
    pub release: Option<Release>,
}

impl Desk {
    /// A desk that has granted nothing yet.
    pub fn new(lock: Arc<dyn Lock>, store: Store, work: Work) -> Self {
        Self { lock, store, work, grants: AtomicU64::new(0), asks: AtomicU64::new(0) }
    }

    /// The store behind the desk, for everything that moves no unit.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Answers `claim`. The first poll takes its place in line: callers that poll in arrival
    /// order are queued in arrival order.
    ///
    /// To be run in a task of its own. Dropped half-way, the transaction is rolled back unless its
    /// commit was already sent, and the lease lapses instead of being handed back.
    ///
    /// # Errors
    /// [`Denied`]. Nothing was written, unless its error is
    /// [`CommitUnknown`](super::StoreError::CommitUnknown).
    pub async fn issue(&self, claim: &Claim) -> Result<Receipt, Denied> {
        self.issue_telling(claim, &mut |_| ()).await
    }

    /// [`Desk::issue`], telling of each step at its moment.
    ///
    /// # Errors
    /// As there.
    pub async fn issue_telling(&self, claim: &Claim, tell: Tell<'_>) -> Result<Receipt, Denied> {
        // Two claims that carry the same client-made name must not share one grant.
        let ask = format!("{}#{}", claim.request, self.asks.fetch_add(1, Ordering::Relaxed));
        tell(Step::Asked);
        let lease = match self.lock.acquire(&claim.coupon.key(), &ask).await {
            Ok(lease) => lease,
            Err(error) => {
                let error = error.into();
                return Err(Denied { error, grant: None, hold: Duration::ZERO, release: None });
            }
        };
        let granted_at = lease.granted_at;
        let grant = GrantFacts {
            grant: self.grants.fetch_add(1, Ordering::Relaxed) + 1,
            ticket: lease.ticket,
            token: lease.token,
            waited: lease.waited,
        };
        tell(Step::Granted(grant, granted_at));

        // Committed, or rolled back, when this returns: only then may somebody else enter.
        let result = self.store.issue_telling(claim, self.work, tell).await;
        tell(Step::ReleaseSent);
        let release = self.lock.release(lease).await;
        tell(Step::Released(release));

        let hold = granted_at.elapsed();
        match result {
            Ok(written) => Ok(Receipt { written, grant, hold, release }),
            Err(error) => {
                let error = error.into();
                Err(Denied { error, grant: Some(grant), hold, release: Some(release) })
            }
        }
    }
}
