//! What clients were told: one [`Attempt`] a request, its [`Outcome`], and what was measured.
//!
//! `file.rs` writes `ledger.ndjson`; `read.rs` (with `scan.rs`) reads it into `attempts.rs`, which
//! keeps millions of them close together (`columns.rs`, `request.rs`); `timing.rs` keeps the
//! latency histograms; `measured.rs` the finished numbers of a run. `locks/` and `probes.rs` hold
//! the evidence taken during a run; all files are written and read by way of `lines.rs`. Nothing
//! here knows HTTP or a database.

pub mod attempts;
pub mod columns;
pub mod file;
mod lines;
pub mod locks;
pub mod measured;
pub mod probes;
pub mod read;
pub mod request;
mod scan;
pub mod timing;

pub use lines::EvidenceError;

/// One try of one VU, from its first byte to the end of the reply (or to giving up).
///
/// All times are microseconds since the run's start on one monotonic clock.
///
/// `S` holds the request's text: its own, or one that is borrowed ([`attempts::Entry`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<S = String> {
    /// Which VU, from 0.
    pub vu: u32,
    /// Which pass of that VU, from 0.
    pub iteration: u32,
    /// Unique request id, sent as `X-Request-Id` and stored in the row.
    pub request: S,
    /// The user in whose name it asked; 0 where unknown.
    pub user: i64,
    /// When it was meant to start (equal to `start_us` in a closed load).
    pub scheduled_us: u64,
    /// When the request began to be sent.
    pub start_us: u64,
    /// Last byte of the reply, or the moment of giving up. Never before `start_us`.
    pub end_us: u64,
    /// What the client was told.
    pub outcome: Outcome,
    /// HTTP status, 0 without a reply.
    pub status: u16,
    /// What the reply said of itself.
    pub facts: Facts,
}

/// What the client was told. Unknown is neither success nor failure: the database decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Told yes: a row must exist.
    Acknowledged,
    /// Told no: surely not written.
    Refused(Refusal),
    /// Not known: written or not.
    Unknown(Doubt),
}

/// Why a claim was refused. Nothing was written in any of these cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// No unit left.
    SoldOut,
    /// This user holds one already.
    Duplicate,
    /// The lock was not granted in time.
    LockTimeout,
    /// Deadlock victim of the database, rolled back.
    Deadlock,
    /// Waited too long for a row lock, rolled back.
    LockWait,
    /// The row changed since it was read, rolled back.
    Conflict,
    /// The service was busy or draining.
    Busy,
    /// Token missing, forged or expired.
    Unauthorized,
    /// The service found the request itself wrong (400, 404, 405, 413, 415, 422).
    Invalid,
    /// The request was never written to a connection.
    Unsent,
}

/// Why an outcome is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// No complete reply within the request time limit.
    Timeout,
    /// The connection ended after the request was (at least partly) written.
    Reset,
    /// A 5xx: an error after the commit looks the same.
    ServerError,
    /// A reply that cannot be classified.
    Unreadable,
    /// Cut off at the end of the graceful stop.
    CutOff,
}

/// What a reply said of itself; every part is absent where the service does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Facts {
    /// Primary key of the written row.
    pub row: Option<i64>,
    /// Remaining quantity that was read.
    pub quantity: Option<i64>,
    /// Order in which the server saw the requests, from 1.
    pub arrival: Option<u64>,
    /// Place in the lock's line.
    pub ticket: Option<u64>,
    /// Fencing token.
    pub token: Option<u64>,
    /// Order in which the server process was granted the lock, from 1.
    pub grant: Option<u64>,
    /// Wait time in µs: asking to grant.
    pub wait_us: Option<u64>,
    /// Hold time in µs: grant to release.
    pub hold_us: Option<u64>,
}

impl Refusal {
    /// Every refusal, in table order.
    pub const ALL: [Self; 10] = [
        Self::SoldOut,
        Self::Duplicate,
        Self::LockTimeout,
        Self::Deadlock,
        Self::LockWait,
        Self::Conflict,
        Self::Busy,
        Self::Unauthorized,
        Self::Invalid,
        Self::Unsent,
    ];

    /// Whether the claim itself was in good order, so that with more stock, or on another day, it
    /// would have been served.
    pub fn in_good_order(self) -> bool {
        match self {
            Self::SoldOut
            | Self::LockTimeout
            | Self::Deadlock
            | Self::LockWait
            | Self::Conflict
            | Self::Busy => true,
            Self::Duplicate | Self::Unauthorized | Self::Invalid | Self::Unsent => false,
        }
    }

    /// The word in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::SoldOut => "sold_out",
            Self::Duplicate => "duplicate",
            Self::LockTimeout => "lock_timeout",
            Self::Deadlock => "deadlock",
            Self::LockWait => "lock_wait",
            Self::Conflict => "conflict",
            Self::Busy => "busy",
            Self::Unauthorized => "unauthorized",
            Self::Invalid => "invalid",
            Self::Unsent => "unsent",
        }
    }
}

impl Doubt {
    /// Every doubt, in table order.
    pub const ALL: [Self; 5] =
        [Self::Timeout, Self::Reset, Self::ServerError, Self::Unreadable, Self::CutOff];

    /// The word in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::ServerError => "server_error",
            Self::Unreadable => "unreadable",
            Self::CutOff => "cut_off",
        }
    }
}
