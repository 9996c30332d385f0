//! What strategies are made of: the few atomic moves of a lease store, and the words they use.
//!
//! Where leases are kept is one choice (`memory.rs`, `redis/`), how they are won another
//! (`spin.rs`, `fair.rs`). No strategy and no storage format is decided here.

use std::time::Duration;

use async_trait::async_trait;

use super::Key;

/// Longest pause between two calls of [`LeaseStore::tick`], as long as the lease is not shorter
/// than four of them.
pub const TICK: Duration = Duration::from_secs(1);

/// A place where leases are kept. Every move happens at once or not at all.
///
/// A trait because one conformance suite runs every strategy over every store. `take` and
/// `give_back` keep a plain lease; `join`, `leave`, `pass_on` and `tick` keep a line of waiters.
/// The two do not exclude each other: one key is used by one strategy.
///
/// The first poll of each returned future fixes its order among the moves of this process.
///
/// # Errors
/// Every move answers [`Fault`] when the store cannot be reached or does not reply in time. Whether
/// the move was made is then not known; each may be repeated, because all are idempotent.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes the plain lease if it is free or already `request`'s; false if another has it.
    ///
    /// # Errors
    /// [`Fault`]: no answer, so it is not known whether the move was made.
    async fn take(&self, key: &Key, request: &str) -> Result<bool, Fault>;

    /// Gives the plain lease back; false if `request` no longer had it.
    ///
    /// # Errors
    /// [`Fault`]: no answer, so it is not known whether the move was made.
    async fn give_back(&self, key: &Key, request: &str) -> Result<bool, Fault>;

    /// Joins the line, or finds the place that `request` has already. A free line grants its head.
    ///
    /// # Errors
    /// [`Fault`]: no answer, so it is not known whether the move was made.
    async fn join(&self, key: &Key, request: &str) -> Result<Joined, Fault>;

    /// Leaves the line. A grant that arrived meanwhile goes to the next in line.
    ///
    /// # Errors
    /// [`Fault`]: no answer, so it is not known whether the move was made.
    async fn leave(&self, key: &Key, request: &str) -> Result<(), Fault>;

    /// Ends `grant` and hands the line to its next waiter in the same step, waking that one only.
    /// False if the grant had ended before: by its lease, or with the store's data.
    ///
    /// # Errors
    /// [`Fault`]: no answer, so it is not known whether the move was made.
    async fn pass_on(&self, grant: &Grant) -> Result<bool, Fault>;

    /// Shows that this process lives, ends lapsed grants and repairs lost places and pushes.
    /// Returns how long the next call may wait; never fails, a later call makes up for it.
    async fn tick(&self) -> Duration;
}

/// One grant of a line, as it is pushed to the process whose waiter won it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which line.
    pub key: Key,
    /// Who may enter.
    pub request: String,
    /// Place in line: `max(last + 1, Unix time in µs)`, so it grows also across a data loss.
    pub ticket: u64,
    /// Fencing token, made like the ticket but at the grant.
    pub token: u64,
}

/// Answer to [`LeaseStore::join`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The line was free and `request` its head: it is inside.
    Granted(Grant),
    /// In line with this ticket; the grant will be pushed to [`super::waiters::Waiters`].
    Queued(u64),
}

/// The store could not be reached, did not reply in time, or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// How often a store that grants leases of `lease` must be ticked.
pub fn tick_every(lease: Duration) -> Duration {
    TICK.min(lease / 4).max(Duration::from_millis(1))
}
