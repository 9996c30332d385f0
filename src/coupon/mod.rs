//! What is issued: ids, claims, receipts, and the words for what a store can say.
//!
//! The store itself is in `store.rs` and its siblings; the one flow that moves a unit under a lock
//! is in `issue.rs`. HTTP is not known here. `flaw.rs`, `flawed.rs` and `flawed_lock.rs` break a
//! server on purpose, for testing its judges.

pub mod flaw;
pub mod flawed_lock;
pub mod issue;
pub mod store;
pub mod users;

mod db;
mod fault;
mod flawed;
mod open;
mod statements;
mod tables;

use crate::lock::{Key, LockError, Release};
use std::time::Duration;

use tokio::time::Instant;

/// Primary key of a row of `coupons`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct CouponId(pub i64);

impl CouponId {
    /// What is locked while one unit of this coupon moves.
    pub fn key(self) -> Key {
        Key::new(format!("cplock:coupon:{}", self.0))
    }
}

/// Primary key of a row of `users`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// One request for one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who asks.
    pub user: UserId,
    /// For what.
    pub coupon: CouponId,
    /// Unique name of this attempt; stored in the row, so that an unknown outcome can be decided.
    pub request: String,
}

/// How one unit moves. Independent of the lock strategy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// Read the quantity, insert the row, write quantity − 1. Right only while nobody else is
    /// between the read and the write.
    #[default]
    ReadModifyWrite,
}

impl WriteMode {
    /// Every write mode, in the order in which tables show them.
    pub const ALL: [Self; 1] = [Self::ReadModifyWrite];

    /// The name used on the command line, in scenarios and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadModifyWrite => "read-modify-write",
        }
    }
}

/// What is done for one claim once it is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// How the unit moves.
    pub write: WriteMode,
    /// Gap: the application's own time between its read and its write, as an ORM or a remote call
    /// takes it. Zero unless a scenario says otherwise.
    pub gap: Duration,
}

impl From<WriteMode> for Work {
    /// That write mode without a gap.
    fn from(write: WriteMode) -> Self {
        Self { write, gap: Duration::ZERO }
    }
}

/// What the store tells of one committed issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Primary key of the new `user_coupon` row.
    pub row: i64,
    /// The remaining quantity that was read before the write (so quantity − 1 was written).
    pub quantity: i64,
}

/// Proof of one issue, with what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The committed row.
    pub written: Written,
    /// Grant facts, for headers and the lock log.
    pub grant: GrantFacts,
    /// From grant to the end of the release.
    pub hold: Duration,
    /// How the release went.
    pub release: Release,
}

/// What was granted to one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GrantFacts {
    /// Order number of the grant in this server process, from 1; exact while one holder is inside.
    pub grant: u64,
    /// Place in line where the strategy queues.
    pub ticket: Option<u64>,
    /// Fencing token where the strategy fences.
    pub token: Option<u64>,
    /// From asking for the lock to the grant.
    pub waited: Duration,
}

/// A step of one claim, told at its moment; see [`Tell`]. In this order, each at most once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The lock is asked for now.
    Asked,
    /// The lock was granted, then.
    Granted(GrantFacts, Instant),
    /// COMMIT is sent now.
    CommitSent,
    /// The database has confirmed the commit.
    Committed,
    /// The lock is handed back now.
    ReleaseSent,
    /// It was handed back, in this way.
    Released(Release),
}

/// Who wants to know of each step. Called from within the claim: it must be quick.
pub type Tell<'a> = &'a mut (dyn FnMut(Step) + Send);

/// Stock and counts of one coupon, read in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Which coupon.
    pub coupon: CouponId,
    /// Units at the start, column `initial_quantity`.
    pub initial: i64,
    /// Units left, column `quantity`. Negative if the service let it.
    pub remaining: i64,
    /// Rows of `user_coupon` for this coupon.
    pub issued: i64,
    /// Highest `user_coupon_id` of this coupon, 0 without rows.
    pub last_row: i64,
}

/// One row of `user_coupon`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuedRow {
    /// Column `user_coupon_id`.
    pub row: i64,
    /// Column `user_id`.
    pub user: UserId,
    /// Column `coupon_id`.
    pub coupon: CouponId,
    /// Column `request_id`: the claim that this row answers.
    pub request: String,
    /// Column `created_us`: microseconds since the Unix epoch, the server's clock.
    pub created_us: i64,
}

/// What a store can say instead of doing it. Each variant says what is now true of the data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No such coupon. Nothing written.
    #[error("coupon {} does not exist", .0.0)]
    UnknownCoupon(CouponId),
    /// No such user. Nothing written.
    #[error("user {} does not exist", .0.0)]
    UnknownUser(UserId),
    /// No unit left. Nothing written.
    #[error("coupon {} is sold out", .0.0)]
    SoldOut(CouponId),
    /// This user holds one already, or this value must be unique. Nothing written.
    #[error("already there: {0}")]
    Duplicate(String),
    /// The database chose this transaction as a deadlock victim (1213, 40P01). Rolled back.
    #[error("deadlock: this transaction was rolled back")]
    Deadlock,
    /// Waited too long for a row lock (1205, 55P03). Rolled back.
    #[error("waited too long for a row lock; rolled back")]
    LockWait,
    /// Somebody else committed since the snapshot (1020, 40001, `SQLITE_BUSY_SNAPSHOT`). Rolled
    /// back.
    #[error("the row changed since it was read; rolled back")]
    Conflict,
    /// No pooled connection became free in time. Nothing written.
    #[error("no database connection became free in time")]
    PoolTimeout,
    /// The database refused because it is busy (`SQLITE_BUSY`, too many connections). Rolled back.
    #[error("the database is busy; rolled back")]
    Busy,
    /// Failed before the commit was sent. Nothing written.
    #[error("the database failed before the commit: {0}")]
    Failed(String),
    /// Failed while committing: written or not, only the database knows.
    #[error("the database failed during the commit: {0}")]
    CommitUnknown(String),
    /// The database cannot be used at all; the text says why and what to do.
    #[error("{0}")]
    Unusable(String),
}

/// Why a claim got no receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The lock was not granted. Nothing written.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The store said no, failed, or does not know (see its variants).
    #[error(transparent)]
    Store(#[from] StoreError),
}
