//! Who may enter: strategies, their terms, leases. Knows nothing of coupons, HTTP or SQL.
//!
//! The door of the room: its words and the one trait that strategies implement. Each strategy is a
//! sibling file; where leases are kept (`memory.rs`, `redis.rs`) is a second, independent choice.

pub mod fair;
pub mod lease_store;
pub mod line;
pub mod memory;
pub mod none;
pub mod redis;
pub mod spin;
pub mod waiters;
mod withdraw;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::lease_store::LeaseStore;
use self::waiters::Waiters;

/// Opens a lock: `strategy` over leases in the Redis at `redis`, or in this process without one.
///
/// Dropping the lock ends its background tasks and connections. Leases still held then lapse.
/// `none` needs no store, so it does not connect.
///
/// # Errors
/// [`LockError::Store`] if Redis cannot be used; one line with the URL (without its password) and
/// the remedy. Nothing is left behind.
pub async fn open(
    strategy: Strategy,
    terms: Terms,
    redis: Option<&str>,
) -> Result<Arc<dyn Lock>, LockError> {
    if strategy == Strategy::None {
        return Ok(Arc::new(none::NoLock));
    }
    let waiters = Arc::new(Waiters::default());
    let store: Arc<dyn LeaseStore> = match redis {
        Some(url) => Arc::new(redis::RedisStore::open(url, terms.lease, waiters.clone()).await?),
        None => Arc::new(memory::MemoryStore::new(terms.lease, waiters.clone())),
    };
    Ok(match strategy {
        Strategy::None => Arc::new(none::NoLock),
        Strategy::Spin => Arc::new(spin::SpinLock::new(store, terms)),
        Strategy::Fair => Arc::new(fair::FairLock::new(store, waiters, terms)),
    })
}

/// Mutual exclusion over one key, granted as a lease that lapses on its own.
///
/// A trait because strategies are chosen at run time and one conformance suite runs over all of
/// them. An implementor promises: at most one unlapsed lease a key (except `none`), and that a
/// dropped `acquire` future leaves no waiter and no lease behind for longer than one lease.
#[async_trait]
pub trait Lock: Send + Sync {
    /// Asks for `key` and waits as the strategy's [`Terms`] allow.
    ///
    /// `request` names the claim and must be unique for each one: asking again with the same name
    /// is the same question (same ticket), never a second one. The first poll of the future takes
    /// the place in line, so callers that poll in arrival order are queued in arrival order.
    ///
    /// # Errors
    /// [`LockError::WaitTimeout`]: nothing is held and nothing was written.
    /// [`LockError::Store`]: the lease store did not answer; nothing is held as far as is known,
    /// and what may be held lapses by itself.
    async fn acquire(&self, key: &Key, request: &str) -> Result<Lease, LockError>;

    /// Hands `lease` back and tells how that went. Cannot fail: the work is already done.
    async fn release(&self, lease: Lease) -> Release;

    /// The strategy this lock implements.
    fn strategy(&self) -> Strategy;
}

/// Which rule decides who may enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Lets everyone in: the control experiment.
    None,
    /// Polls `SET NX PX` until it wins or gives up (the Lettuce way).
    Spin,
    /// Strict arrival order, ownership handed over inside the releaser's step.
    Fair,
}

impl Strategy {
    /// Every strategy, in the order in which tables show them.
    pub const ALL: [Self; 3] = [Self::None, Self::Spin, Self::Fair];

    /// The name used on the command line, in scenarios and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Spin => "spin",
            Self::Fair => "fair",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = LockError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == text)
            .ok_or_else(|| LockError::UnknownStrategy(text.to_owned()))
    }
}

/// The name of what is locked, for example `cplock:coupon:1`. At most one holder a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(String);

impl Key {
    /// A key from its name; braces are not allowed in it (they mark a Redis cluster slot).
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into().replace(['{', '}'], "_"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long to wait, to hold, and between tries. Every strategy uses the parts that concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Longest wait of one try.
    pub wait: Duration,
    /// How long a grant lasts unless it is handed back; it then lapses.
    pub lease: Duration,
    /// `spin`: pause between two polls.
    pub poll: Duration,
    /// `fair`: how many tries of `wait` before giving up; at least 1.
    pub attempts: u32,
    /// `fair`: pause between two tries. The ticket is kept: the place in line is not lost.
    pub backoff: Duration,
}

impl Default for Terms {
    /// The published runs' values: wait 10 s, lease 10 s, poll 100 ms, 3 tries 200 ms apart.
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            lease: Duration::from_secs(10),
            poll: Duration::from_millis(100),
            attempts: 3,
            backoff: Duration::from_millis(200),
        }
    }
}

/// The right to be inside for a time. Give it back with [`Lock::release`]; a lease that is merely
/// dropped lapses after [`Terms::lease`].
#[derive(Debug)]
pub struct Lease {
    /// What is held.
    pub key: Key,
    /// The claim that holds it.
    pub request: String,
    /// Place in line, strictly increasing by arrival; only queueing strategies give one.
    pub ticket: Option<u64>,
    /// Fencing token, strictly increasing by grant; only strategies that fence give one.
    pub token: Option<u64>,
    /// Wait time: from asking to the grant.
    pub waited: Duration,
    /// When the grant arrived here; hold time counts from it.
    pub granted_at: Instant,
}

/// How a release went. A written coupon is never turned into an error by a bad release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// We held it until now.
    Clean,
    /// The lease had lapsed: somebody else may have been inside meanwhile.
    Lapsed,
    /// The lease store did not answer; the lease lapses by itself.
    Unconfirmed,
}

/// Why nothing was granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Waited as long as the terms allow. Nothing is held, nothing was written.
    #[error("waited {} without being granted the lock", humantime::format_duration(*.0))]
    WaitTimeout(Duration),
    /// The lease store failed or did not answer. Nothing was written.
    #[error("the lease store did not answer: {0}")]
    Store(String),
    /// No strategy has this name.
    #[error("unknown strategy `{0}`; there are none, spin and fair")]
    UnknownStrategy(String),
}
