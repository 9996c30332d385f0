//! `locks.ndjson`: the embedded server's own account of each claim, from its arrival to the
//! release of the lock.
//!
//! A claim has a `grant` line, written when the lock is granted, and a `done` line, written when it
//! is finished; a claim that was never granted has a `gave_up` line alone. A last line counts the
//! others: without it the server was killed and some lines are missing.
//!
//! Here: the words and the writer; `log.rs` reads it back. What the account proves is not decided
//! here.

mod log;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::Refusal;
use super::lines::{EvidenceError, Lines, end_line, field, maybe, number, signed, text, word};

pub use log::{LockLog, LockedClaim, read};

/// Version of the file's format, in its first line.
pub const SCHEMA: &str = "cplock.locks/1";

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Name of the server process, unique among those of one run.
    pub process: String,
    /// Lock strategy.
    pub strategy: String,
    /// How long a grant lasts unless it is handed back, in µs.
    pub lease_us: u64,
    /// Longest wait of one try, in µs.
    pub wait_us: u64,
}

/// A claim that was granted the lock. Times are µs since the server's beginning, on one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted<'a> {
    /// Order of arrival in this process, from 1.
    pub arrival: u64,
    /// The claim's request id.
    pub request: &'a str,
    /// When it was let in.
    pub arrived_us: u64,
    /// When it began to ask for the lock.
    pub asked_us: u64,
    /// When the grant was known here.
    pub granted_us: u64,
    /// Order of the grant in this process, from 1.
    pub grant: u64,
    /// Place in line, where the strategy queues.
    pub ticket: Option<u64>,
    /// Fencing token, where the strategy fences.
    pub token: Option<u64>,
}

/// A granted claim that is finished: committed or refused, and the lock handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done<'a> {
    /// Order of arrival in this process.
    pub arrival: u64,
    /// The claim's request id.
    pub request: &'a str,
    /// Just before COMMIT was sent; `None` if it never was.
    pub commit_sent_us: Option<u64>,
    /// When the database had confirmed the commit; `None` if it never did. May come after the
    /// release, in a service that is wrong.
    pub committed_us: Option<u64>,
    /// When the release began.
    pub release_sent_us: u64,
    /// When it had ended.
    pub released_us: u64,
    /// How it went.
    pub release: Release,
    /// How the claim ended.
    pub fate: Fate,
}

/// A claim that was never granted the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaveUp<'a> {
    /// Order of arrival in this process.
    pub arrival: u64,
    /// The claim's request id.
    pub request: &'a str,
    /// When it was let in.
    pub arrived_us: u64,
    /// When it began to ask for the lock.
    pub asked_us: u64,
    /// When it gave up.
    pub gave_up_us: u64,
    /// How the claim ended; never [`Fate::Issued`].
    pub fate: Fate,
}

/// How a release went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Release {
    /// Held until then.
    Clean,
    /// The lease had lapsed: somebody else may have been inside meanwhile.
    Lapsed,
    /// The lease store did not answer; the lease lapses by itself.
    Unconfirmed,
}

impl Release {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Clean, Self::Lapsed, Self::Unconfirmed];

    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Lapsed => "lapsed",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// How a claim ended, as the server knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Committed: this row.
    Issued(i64),
    /// Refused; nothing was written.
    Refused(Refusal),
    /// Failed before the commit; nothing was written.
    Failed,
    /// Failed during the commit: written or not.
    CommitUnknown,
}

impl Fate {
    /// The word in the file: a refusal's is the one of the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Self::Issued(_) => "issued",
            Self::Refused(reason) => reason.name(),
            Self::Failed => "store_failed",
            Self::CommitUnknown => "commit_unknown",
        }
    }

    fn row(self) -> Option<i64> {
        match self {
            Self::Issued(row) => Some(row),
            Self::Refused(_) | Self::Failed | Self::CommitUnknown => None,
        }
    }

    fn of(word: &str, row: Option<i64>) -> Result<Self, String> {
        let fate = match word {
            "issued" => Self::Issued(row.ok_or("issued without a `row`")?),
            "store_failed" => Self::Failed,
            "commit_unknown" => Self::CommitUnknown,
            word => Refusal::ALL
                .into_iter()
                .find(|reason| reason.name() == word)
                .map(Self::Refused)
                .ok_or_else(|| format!("unknown result `{word}`"))?,
        };
        if row.is_some() && fate.row().is_none() {
            return Err(format!("`{word}` with a row"));
        }
        Ok(fate)
    }
}

/// Appends to a lock log. Cheap to share: every method takes `&self`.
#[derive(Debug)]
pub struct Writer {
    path: String,
    lines: Lines,
    began: Instant,
}

impl Writer {
    /// Makes the file, writes its header and starts the flushing thread. The clock starts here.
    ///
    /// # Errors
    /// [`EvidenceError::Write`]: the file is missing or holds a part of the header.
    pub fn create(path: &Path, about: &About) -> Result<Self, EvidenceError> {
        let name = path.display().to_string();
        let header = serde_json::json!({
            "schema": SCHEMA,
            "process": about.process,
            "strategy": about.strategy,
            "lease_us": about.lease_us,
            "wait_us": about.wait_us,
        });
        match Lines::create(path, "lock log", &header) {
            Ok(lines) => {
                let (began, at) = (Instant::now(), SystemTime::now());
                lines.began(at);
                Ok(Self { path: name, lines, began })
            }
            Err(source) => Err(EvidenceError::Write { path: name, source }),
        }
    }

    /// `at` on the clock of this file, in µs; 0 before its beginning.
    pub fn us(&self, at: Instant) -> u64 {
        micros(at.saturating_duration_since(self.began))
    }

    /// The lock was granted: to be told at once, before the holder does anything.
    pub fn granted(&self, granted: &Granted<'_>) {
        self.lines.push(granted.arrival, |to| {
            to.extend_from_slice(b"{\"kind\":\"grant\",\"arrival\":");
            number(to, granted.arrival);
            text(to, "request", granted.request);
            field(to, "arrived_us", granted.arrived_us);
            field(to, "asked_us", granted.asked_us);
            field(to, "granted_us", granted.granted_us);
            field(to, "grant", granted.grant);
            maybe(to, "ticket", granted.ticket);
            maybe(to, "token", granted.token);
            to.extend_from_slice(b"}\n");
        });
    }

    /// A granted claim is finished. After its [`Writer::granted`].
    pub fn done(&self, done: &Done<'_>) {
        self.lines.push(done.arrival, |to| {
            to.extend_from_slice(b"{\"kind\":\"done\",\"arrival\":");
            number(to, done.arrival);
            text(to, "request", done.request);
            maybe(to, "commit_sent_us", done.commit_sent_us);
            maybe(to, "committed_us", done.committed_us);
            field(to, "release_sent_us", done.release_sent_us);
            field(to, "released_us", done.released_us);
            word(to, "release", done.release.name());
            word(to, "result", done.fate.name());
            if let Some(row) = done.fate.row() {
                signed(to, "row", row);
            }
            to.extend_from_slice(b"}\n");
        });
    }

    /// A claim is finished that was never granted.
    pub fn gave_up(&self, gave_up: &GaveUp<'_>) {
        self.lines.push(gave_up.arrival, |to| {
            to.extend_from_slice(b"{\"kind\":\"gave_up\",\"arrival\":");
            number(to, gave_up.arrival);
            text(to, "request", gave_up.request);
            field(to, "arrived_us", gave_up.arrived_us);
            field(to, "asked_us", gave_up.asked_us);
            field(to, "gave_up_us", gave_up.gave_up_us);
            word(to, "result", gave_up.fate.name());
            to.extend_from_slice(b"}\n");
        });
    }

    /// Writes the line that says that nothing is missing, syncs the file and returns the count of
    /// lines. To be called once every claim is finished; a writer that is merely dropped leaves
    /// an account that is not complete.
    ///
    /// # Errors
    /// [`EvidenceError::Write`]: the file holds the lines up to the error, the last one maybe torn.
    pub fn finish(&self) -> Result<u64, EvidenceError> {
        self.lines
            .finish(|records| Some(end_line(records)))
            .map_err(|source| EvidenceError::Write { path: self.path.clone(), source })
    }
}

/// Whole microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
