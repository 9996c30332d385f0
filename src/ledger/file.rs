//! `ledger.ndjson`: one flat JSON object a line for each attempt, behind a header line.
//!
//! The writer is on the hot path of the load: a line is formatted by hand into one of a few
//! buffers, which reach the file every 100 ms (`lines.rs`), so that a killed run leaves a readable
//! file. The reader is strict: what it does not know, it refuses. What the attempts mean is not
//! decided here.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use super::lines::{LINE_BYTES, Lines, field, maybe, number, signed, text, word};
use super::{Attempt, Doubt, Facts, Outcome, Refusal};

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

/// Streams the attempts of a ledger file, in file order. Ends after the first error.
#[derive(Debug)]
pub struct Reader {
    /// The run id of the header.
    pub run: String,
    /// When the run began, in µs since the Unix epoch: the moment that all times count from.
    /// `None` in older ledgers, and where the run was killed before it began.
    pub began_unix_us: Option<u64>,
    path: String,
    lines: BufReader<File>,
    line: u64,
    buffer: Vec<u8>,
    ended: bool,
}

/// Opens a ledger and reads its header.
///
/// # Errors
/// [`LedgerError::Read`], [`LedgerError::Schema`], or [`LedgerError::Torn`] for an unfinished
/// header.
pub fn read(path: &Path) -> Result<Reader, LedgerError> {
    let name = path.display().to_string();
    let file =
        File::open(path).map_err(|source| LedgerError::Read { path: name.clone(), source })?;
    let mut reader = Reader {
        run: String::new(),
        began_unix_us: None,
        path: name,
        lines: BufReader::with_capacity(1 << 16, file),
        line: 0,
        buffer: Vec::new(),
        ended: false,
    };
    if !reader.next_line()? {
        return Err(LedgerError::Torn { line: 1 });
    }
    match serde_json::from_slice::<Header>(&reader.buffer) {
        Ok(header) if header.schema == SCHEMA => {
            (reader.run, reader.began_unix_us) = (header.run, header.began_unix_us);
        }
        _ => {
            let found: String =
                String::from_utf8_lossy(&reader.buffer).trim_end().chars().take(80).collect();
            return Err(LedgerError::Schema { found });
        }
    }
    Ok(reader)
}

impl Iterator for Reader {
    type Item = Result<Attempt, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let item = match self.next_line() {
            Ok(true) => {
                parse(&self.buffer).map_err(|what| LedgerError::Line { line: self.line, what })
            }
            Ok(false) => {
                self.ended = true;
                return None;
            }
            Err(error) => Err(error),
        };
        self.ended = item.is_err();
        Some(item)
    }
}

impl Reader {
    /// Fills the buffer with the next line; `false` at the end of the file.
    fn next_line(&mut self) -> Result<bool, LedgerError> {
        self.buffer.clear();
        let count = (&mut self.lines)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| LedgerError::Read { path: self.path.clone(), source })?;
        if count == 0 {
            return Ok(false);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            return Ok(true);
        }
        if self.buffer.len() as u64 == LINE_BYTES {
            let what = format!("longer than {LINE_BYTES} bytes");
            return Err(LedgerError::Line { line: self.line, what });
        }
        Err(LedgerError::Torn { line: self.line })
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    schema: String,
    run: String,
    #[serde(default)]
    began_unix_us: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    vu: u32,
    iteration: u32,
    #[serde(borrow)]
    request: Cow<'a, str>,
    user: i64,
    scheduled_us: u64,
    start_us: u64,
    end_us: u64,
    outcome: Cow<'a, str>,
    reason: Option<Cow<'a, str>>,
    status: u16,
    row: Option<i64>,
    quantity: Option<i64>,
    arrival: Option<u64>,
    ticket: Option<u64>,
    token: Option<u64>,
    grant: Option<u64>,
    wait_us: Option<u64>,
    hold_us: Option<u64>,
}

fn parse(bytes: &[u8]) -> Result<Attempt, String> {
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if line.end_us < line.start_us {
        return Err(format!("it ends at {} µs, before its start", line.end_us));
    }
    Ok(Attempt {
        vu: line.vu,
        iteration: line.iteration,
        request: line.request.into_owned(),
        user: line.user,
        scheduled_us: line.scheduled_us,
        start_us: line.start_us,
        end_us: line.end_us,
        outcome: outcome(&line.outcome, line.reason.as_deref())?,
        status: line.status,
        facts: Facts {
            row: line.row,
            quantity: line.quantity,
            arrival: line.arrival,
            ticket: line.ticket,
            token: line.token,
            grant: line.grant,
            wait_us: line.wait_us,
            hold_us: line.hold_us,
        },
    })
}

fn outcome(word: &str, reason: Option<&str>) -> Result<Outcome, String> {
    let unknown = || match reason {
        Some(reason) => format!("unknown outcome `{word}` with reason `{reason}`"),
        None => format!("unknown outcome `{word}` without a reason"),
    };
    match (word, reason) {
        ("acknowledged", None) => Ok(Outcome::Acknowledged),
        ("refused", Some(reason)) => Refusal::ALL
            .into_iter()
            .find(|known| known.name() == reason)
            .map(Outcome::Refused)
            .ok_or_else(unknown),
        ("unknown", Some(reason)) => Doubt::ALL
            .into_iter()
            .find(|known| known.name() == reason)
            .map(Outcome::Unknown)
            .ok_or_else(unknown),
        _ => Err(unknown()),
    }
}
