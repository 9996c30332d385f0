//! Planted flaws: a closed set of known ways to be wrong, for testing whoever judges a service.
//!
//! For testers: `cplock serve --flaw D07 --i-want-a-broken-server` serves with one of them, on
//! SQLite. The server counts how often its flaw came out (`cplock_flaw_manifestations_total` in
//! `/metrics`, and a last line on stderr), so that a test knows what had to be found; no verdict
//! sees that count. Triggers are counters, not chance: most flaws strike every tenth claim.
//!
//! Here: their names, and the count. What they do is in `flawed.rs` (desk and store),
//! `flawed_lock.rs` (locks) and `server/flawed.rs` (replies).

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::store::Coupon;
use super::{CouponId, UserId, Written};
use crate::lock::{Strategy, Terms};

/// One way to be wrong.
///
/// The codes are those of a longer list, which names flaws that this server cannot have:
/// - D05 (two units with one serial), serials: rows carry no serial, their key is the database's;
/// - D12, D13, D27 (slot taken and never published, compensated twice, dropped by a consumer):
///   there is no queue and no slot outside the database;
/// - D18 (lease without an end): the lease stores set owner and end in one step;
/// - D19 (semaphore given back too often): there are no semaphores; a foreign unlock is D15;
/// - D20 (snapshot read, blind write): is what `read-modify-write` does without its lock, D01;
/// - D26 (an instance that never wins): one server is one instance;
/// - D28 (wrong only while the pool is empty): the store refuses then, before it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// D01: no lock at all, whatever was asked for. Bites in the lock; counts lost updates.
    NoLock,
    /// D02: the stock is looked at before the lock, then decremented without a look. Bites at the
    /// desk, with the last unit; counts decrements below 0.
    UnguardedDecrement,
    /// D03: the lock is released before the commit. Bites at the desk, in every claim; counts
    /// commits after the release.
    EarlyRelease,
    /// D04: "has this user one already?" is asked before the lock and not again. Bites at the
    /// desk, for one-per-user coupons; counts rows of users who hold one.
    UnlockedCheck,
    /// D06: another program writes a row (and takes a unit) that no client asked for. Bites at the
    /// desk; counts such rows.
    ForeignRow,
    /// D07: committed, then an exception that is answered as sold out. Bites in the reply; counts
    /// such answers.
    CommitToldSoldOut,
    /// D08: answered 200 before the commit, which is then a rollback; the told row may become the
    /// next claim's. Bites at the desk; counts rollbacks.
    ToldThenRolledBack,
    /// D09: a deadlock victim is swallowed and answered 200. Bites at the desk; counts such
    /// answers.
    SwallowedFailure,
    /// D10: the write is sent again after its commit, and no key stops it: a second row with the
    /// same request id. Bites at the desk; counts second rows.
    RepeatedWrite,
    /// D11: the decrement is committed by itself, then the insert fails. Bites at the desk; counts
    /// units that nobody got.
    LeakedUnit,
    /// D14: "this user has asked" is remembered before the stock is looked at, so a user who was
    /// told sold out is told duplicate next. Bites at the desk; counts such answers, exactly while
    /// no user asks twice at once.
    EarlyMarker,
    /// D15: the lock is unlocked without saying by whom: a holder that was paused beyond its lease
    /// frees the next one's. Bites in the lock; counts foreign unlocks.
    OwnerlessUnlock,
    /// D16: the lease is shorter than the work, and a paused holder writes after it has lapsed.
    /// Bites at the desk; counts late writes.
    ShortLease,
    /// D17: as D16 under the fair lock, whose fencing tokens nobody checks.
    UncheckedToken,
    /// D21: the remaining quantity is cached for a second. Bites in the reply; counts answers that
    /// were wrong by then.
    CachedStock,
    /// D22: the own coupons are those of a second ago. Bites in the reply; counts lists that lack
    /// a row.
    LaggingList,
    /// D23: the stock is cut in halves, and one of them gets three quarters of the claims. Bites
    /// at the desk; counts sold-outs while the coupon had units left.
    StockShards,
    /// D24: the told quantity is one too high or one too low. Bites in the reply; counts both.
    WrongNumber,
    /// D25: the newest waiter is granted first. Bites in the lock; counts grants that passed
    /// somebody by.
    NewestFirst,
    /// D29: the answer of another user's claim is replayed, and nothing is written. Bites at the
    /// desk; counts replays.
    SharedReplay,
    /// D30: the answer names the row of the claim before. Bites in the reply; counts such answers.
    WrongRow,
    /// D31: the last ten acknowledged rows are lost at shutdown. Bites when the server stops;
    /// counts those rows.
    LostBatch,
    /// D32: a lost decrement, ten claims later a leaked one, so that the sum is right in the end,
    /// as long as there is stock. Bites at the desk; counts both.
    CancellingErrors,
}

impl Flaw {
    /// Every flaw, in the order of the codes.
    pub const ALL: [Self; 23] = [
        Self::NoLock,
        Self::UnguardedDecrement,
        Self::EarlyRelease,
        Self::UnlockedCheck,
        Self::ForeignRow,
        Self::CommitToldSoldOut,
        Self::ToldThenRolledBack,
        Self::SwallowedFailure,
        Self::RepeatedWrite,
        Self::LeakedUnit,
        Self::EarlyMarker,
        Self::OwnerlessUnlock,
        Self::ShortLease,
        Self::UncheckedToken,
        Self::CachedStock,
        Self::LaggingList,
        Self::StockShards,
        Self::WrongNumber,
        Self::NewestFirst,
        Self::SharedReplay,
        Self::WrongRow,
        Self::LostBatch,
        Self::CancellingErrors,
    ];

    /// Code, and what goes wrong in one sentence.
    fn parts(self) -> (&'static str, &'static str) {
        match self {
            Self::NoLock => ("D01", "nothing is locked"),
            Self::UnguardedDecrement => ("D02", "the stock is decremented without a look at it"),
            Self::EarlyRelease => ("D03", "the lock is released before the commit"),
            Self::UnlockedCheck => ("D04", "one-per-user is checked before the lock only"),
            Self::ForeignRow => ("D06", "another program writes rows nobody asked for"),
            Self::CommitToldSoldOut => ("D07", "committed claims are told sold out"),
            Self::ToldThenRolledBack => ("D08", "claims are told 200, then rolled back"),
            Self::SwallowedFailure => ("D09", "deadlock victims are told 200"),
            Self::RepeatedWrite => ("D10", "writes are sent twice and no key stops it"),
            Self::LeakedUnit => ("D11", "units are taken, then their rows fail"),
            Self::EarlyMarker => ("D14", "users who own nothing are told duplicate"),
            Self::OwnerlessUnlock => ("D15", "late holders unlock what others hold"),
            Self::ShortLease => ("D16", "holders write after their lease"),
            Self::UncheckedToken => ("D17", "fencing tokens are issued and not checked"),
            Self::CachedStock => ("D21", "the remaining quantity is a second old"),
            Self::LaggingList => ("D22", "own coupons are a second old"),
            Self::StockShards => ("D23", "half the stock sells out early"),
            Self::WrongNumber => ("D24", "told quantities repeat and skip"),
            Self::NewestFirst => ("D25", "the newest waiter is served first"),
            Self::SharedReplay => ("D29", "answers of other users are replayed"),
            Self::WrongRow => ("D30", "answers name the row of another claim"),
            Self::LostBatch => ("D31", "the last rows are lost at shutdown"),
            Self::CancellingErrors => ("D32", "lost and leaked decrements cancel out"),
        }
    }

    /// Its code, like `D07`.
    pub fn code(self) -> &'static str {
        self.parts().0
    }

    /// What goes wrong, as a fragment of a sentence.
    pub fn sentence(self) -> &'static str {
        self.parts().1
    }

    /// The strategy that a server with this flaw really has where `asked` was asked for.
    #[must_use]
    pub fn strategy(self, asked: Strategy) -> Strategy {
        match self {
            Self::NoLock => Strategy::None,
            Self::UncheckedToken => Strategy::Fair,
            _ => asked,
        }
    }

    /// The terms that it really has: a flaw of leases makes them short.
    #[must_use]
    pub fn terms(self, asked: Terms) -> Terms {
        let lease = if self.pauses() { SHORT_LEASE } else { asked.lease };
        Terms { lease, ..asked }
    }

    /// Whether a holder is paused beyond its lease now and then.
    pub(super) fn pauses(self) -> bool {
        matches!(self, Self::OwnerlessUnlock | Self::ShortLease | Self::UncheckedToken)
    }
}

/// The lease of a server whose flaw is about leases.
pub const SHORT_LEASE: Duration = Duration::from_millis(60);

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

impl FromStr for Flaw {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|flaw| flaw.code() == text);
        let codes = || Self::ALL.map(Self::code).join(", ");
        found.ok_or_else(|| format!("no flaw `{text}` can be planted; there is {}", codes()))
    }
}

/// A flaw in a running server: what it remembers, and how often it came out.
#[derive(Debug)]
pub struct Planted {
    flaw: Flaw,
    chances: AtomicU64,
    manifested: AtomicU64,
    memory: Mutex<Memory>,
}

/// What flaws remember; each uses one part.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What clients are told in place of what was done, by request.
    pub(super) told: HashMap<String, Written>,
    /// Users who have asked, and whether they got something.
    pub(super) marked: HashMap<UserId, bool>,
    /// Units given out by each half of the stock.
    pub(super) sold: [i64; 2],
    /// The newest acknowledged claim.
    pub(super) last: Option<(UserId, Written)>,
    /// The newest one of another user than that.
    pub(super) other: Option<(UserId, Written)>,
    /// The newest rows, oldest first.
    pub(super) rows: VecDeque<(CouponId, i64)>,
    /// What was last shown of a coupon, and when it was read.
    pub(super) shown: Option<(Instant, Coupon)>,
    /// Where the decrement was left out and not yet made up for.
    pub(super) owed: Option<CouponId>,
}

/// Most flaws strike once in so many chances.
const EVERY: u64 = 10;

impl Planted {
    /// `flaw`, which has not come out yet.
    pub fn new(flaw: Flaw) -> Self {
        let (chances, manifested) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { flaw, chances, manifested, memory: Mutex::default() }
    }

    /// Which flaw.
    pub fn flaw(&self) -> Flaw {
        self.flaw
    }

    /// How often it came out until now.
    pub fn manifestations(&self) -> u64 {
        self.manifested.load(Relaxed)
    }

    /// Counts one more time.
    pub fn manifested(&self) {
        self.manifested.fetch_add(1, Relaxed);
    }

    /// The number of this chance, from 1.
    pub(super) fn chance(&self) -> u64 {
        self.chances.fetch_add(1, Relaxed) + 1
    }

    /// Whether it strikes at this chance.
    pub fn strikes(&self) -> bool {
        self.chance().is_multiple_of(EVERY)
    }

    /// A panic elsewhere leaves it whole, so a poisoned mutex is used on.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
