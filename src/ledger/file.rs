//! `ledger.ndjson`: one flat JSON object a line for each attempt, behind a header line.
//!
//! The writer is on the hot path of the load: a line is formatted by hand into one of a few
//! buffers, which reach the file every 100 ms (`lines.rs`), so that a killed run leaves a readable
//! file. Reading it back is `read.rs`. What the attempts mean is not decided here.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::lines::{Lines, field, maybe, number, signed, text, word};
use super::{Attempt, Facts, Outcome};

/// Version of the file's format, in its first line.
pub const SCHEMA: &str = "cplock.ledger/1";

/// Why a ledger could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The file could not be opened, written or synced. What was flushed before is in the file.
    #[error("cannot write `{path}`; is the disk full, or the folder read-only?")]
    Write {
        /// The ledger file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be opened or read.
    #[error("cannot read `{path}`")]
    Read {
        /// The ledger file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The first line is not a header of this schema. Nothing was read.
    #[error("not a ledger of schema `{SCHEMA}`: the first line is `{found}`")]
    Schema {
        /// The beginning of the first line.
        found: String,
    },
    /// A line is not an attempt. The lines before it were good.
    #[error("line {line} of the ledger is not an attempt: {what}")]
    Line {
        /// Line number, from 1 (the header).
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The last line is cut short, as a killed run leaves it. All lines before it were good.
    #[error("line {line} of the ledger is cut short: the run was killed while writing it")]
    Torn {
        /// Line number, from 1 (the header).
        line: u64,
    },
}

/// Appends attempts to a ledger file. Cheap to share: every method takes `&self`.
#[derive(Debug)]
pub struct Writer {
    path: String,
    lines: Lines,
}

impl Writer {
    /// Makes the file, writes its header and starts the flushing thread.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: the file is missing or holds a part of the header.
    pub fn create(path: &Path, run: &str) -> Result<Self, LedgerError> {
        let name = path.display().to_string();
        let header = serde_json::json!({ "schema": SCHEMA, "run": run });
        match Lines::create(path, "ledger", &header) {
            Ok(lines) => Ok(Self { path: name, lines }),
            Err(source) => Err(LedgerError::Write { path: name, source }),
        }
    }

    /// Notes in the header when the run began: the moment that all times count from.
    pub fn began(&self, at: SystemTime) {
        self.lines.began(at);
    }

    /// Adds one attempt. Lines of one VU keep their order; VUs are interleaved as it comes.
    ///
    /// After a write error the attempt is dropped; see [`Writer::failed`].
    pub fn append(&self, attempt: &Attempt) {
        self.lines.push(u64::from(attempt.vu), |to| format_line(to, attempt));
    }

    /// Whether writing failed: the run should stop, and [`Writer::finish`] tells why.
    pub fn failed(&self) -> bool {
        self.lines.failed()
    }

    /// Writes what is buffered, syncs the file to the disk and returns the count of attempts in it.
    /// Attempts appended after this are lost.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: the file holds the lines up to the error, the last one maybe torn.
    pub fn finish(&self) -> Result<u64, LedgerError> {
        self.lines
            .finish(|_| None)
            .map_err(|source| LedgerError::Write { path: self.path.clone(), source })
    }
}

fn format_line(to: &mut Vec<u8>, attempt: &Attempt) {
    to.extend_from_slice(b"{\"vu\":");
    number(to, u64::from(attempt.vu));
    field(to, "iteration", u64::from(attempt.iteration));
    text(to, "request", &attempt.request);
    signed(to, "user", attempt.user);
    field(to, "scheduled_us", attempt.scheduled_us);
    field(to, "start_us", attempt.start_us);
    field(to, "end_us", attempt.end_us);
    let (outcome, reason) = words(attempt.outcome);
    word(to, "outcome", outcome);
    if let Some(reason) = reason {
        word(to, "reason", reason);
    }
    field(to, "status", u64::from(attempt.status));
    let Facts { row, quantity, arrival, ticket, token, grant, wait_us, hold_us } = attempt.facts;
    for (name, value) in [("row", row), ("quantity", quantity)] {
        if let Some(value) = value {
            signed(to, name, value);
        }
    }
    for (name, value) in [
        ("arrival", arrival),
        ("ticket", ticket),
        ("token", token),
        ("grant", grant),
        ("wait_us", wait_us),
        ("hold_us", hold_us),
    ] {
        maybe(to, name, value);
    }
    to.extend_from_slice(b"}\n");
}

fn words(outcome: Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Acknowledged => ("acknowledged", None),
        Outcome::Refused(reason) => ("refused", Some(reason.name())),
        Outcome::Unknown(reason) => ("unknown", Some(reason.name())),
    }
}
