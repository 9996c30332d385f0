//! The one flow that moves a unit: acquire, write and commit, release. In this order, here only.
//!
//! Which lock and which database is not known here, nor who asked over which protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::flaw::Planted;
use super::store::Store;
use super::{Claim, GrantFacts, IssueError, Receipt, Step, StoreError, Tell, Work, Written};
use crate::lock::{Lease, Lock, Release};

/// Where claims are answered: one lock, one store, one way to work.
pub struct Desk {
    lock: Arc<dyn Lock>,
    store: Store,
    pub(super) work: Work,
    /// What is wrong with this desk, on purpose; nothing but in tests of judges.
    planted: Option<Arc<Planted>>,
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
        let (grants, asks) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { lock, store, work, planted: None, grants, asks }
    }

    /// The same desk with a flaw, if there is one. Its lock is to be made with
    /// [`flawed_lock::over`](super::flawed_lock::over).
    #[must_use]
    pub fn with(self, planted: Option<Arc<Planted>>) -> Self {
        Self { planted, ..self }
    }

    /// The flaw of this desk, if it has one.
    pub fn planted(&self) -> Option<&Planted> {
        self.planted.as_deref()
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
        if let Some(planted) = &self.planted {
            return planted.issue(self, claim, tell).await;
        }
        let (lease, grant) = self.enter(claim, tell).await?;
        // Committed, or rolled back, when this returns: only then may somebody else enter.
        let result = self.store.issue_telling(claim, self.work, tell).await;
        self.leave(lease, grant, result, tell).await
    }

    /// Waits for the lock.
    pub(super) async fn enter(
        &self,
        claim: &Claim,
        tell: Tell<'_>,
    ) -> Result<(Lease, GrantFacts), Denied> {
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
        let grant = GrantFacts {
            grant: self.grants.fetch_add(1, Ordering::Relaxed) + 1,
            ticket: lease.ticket,
            token: lease.token,
            waited: lease.waited,
        };
        tell(Step::Granted(grant, lease.granted_at));
        Ok((lease, grant))
    }

    /// Hands the lock back, and sums up.
    pub(super) async fn leave(
        &self,
        lease: Lease,
        grant: GrantFacts,
        result: Result<Written, StoreError>,
        tell: Tell<'_>,
    ) -> Result<Receipt, Denied> {
        let granted_at = lease.granted_at;
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
