//! `ledger.ndjson`: one flat JSON object a line for each attempt, behind a header line.
//!
//! The writer is on the hot path of the load: a line is formatted by hand into one of a few
//! buffers, and a thread moves the buffers to the file every 100 ms, so that a killed run leaves a
//! readable file. Reading it back is `read.rs`. What the attempts mean is not decided here.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Attempt, Facts, Outcome};

/// Version of the file's format, in its first line.
pub const SCHEMA: &str = "cplock.ledger/1";

/// VUs are spread over so many buffers, so that they seldom wait for each other.
const SHARDS: usize = 16;
/// A buffer of this size is written at once, by whoever filled it: memory stays under 16 MiB.
const SHARD_BYTES: usize = 1 << 20;
/// A killed run loses at most the lines of this long.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

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
    inner: Arc<Inner>,
    flusher: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Inner {
    path: String,
    shards: [Mutex<Vec<u8>>; SHARDS],
    file: Mutex<File>,
    fault: Mutex<Option<io::Error>>,
    failed: AtomicBool,
    closing: AtomicBool,
    lines: AtomicU64,
}

impl Writer {
    /// Makes the file, writes its header and starts the flushing thread.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: the file is missing or holds a part of the header.
    pub fn create(path: &Path, run: &str) -> Result<Self, LedgerError> {
        let name = path.display().to_string();
        let header = serde_json::json!({ "schema": SCHEMA, "run": run });
        let file = File::create(path)
            .and_then(|mut file| writeln!(file, "{header}").map(|()| file))
            .map_err(|source| LedgerError::Write { path: name.clone(), source })?;
        let inner = Arc::new(Inner {
            path: name,
            shards: std::array::from_fn(|_| Mutex::new(Vec::new())),
            file: Mutex::new(file),
            fault: Mutex::new(None),
            failed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lines: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&inner);
        let flusher = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || {
                while !theirs.closing.load(Ordering::Acquire) {
                    std::thread::park_timeout(FLUSH_EVERY);
                    theirs.flush();
                }
            })
            .map_err(|source| LedgerError::Write { path: inner.path.clone(), source })?;
        Ok(Self { inner, flusher: Mutex::new(Some(flusher)) })
    }

    /// Adds one attempt. Lines of one VU keep their order; VUs are interleaved as it comes.
    ///
    /// After a write error the attempt is dropped; see [`Writer::failed`].
    pub fn append(&self, attempt: &Attempt) {
        if self.failed() {
            return;
        }
        let shard = &self.inner.shards[attempt.vu as usize % SHARDS];
        let full = {
            let mut buffer = hold(shard);
            format_line(&mut buffer, attempt);
            buffer.len() >= SHARD_BYTES
        };
        self.inner.lines.fetch_add(1, Ordering::Relaxed);
        if full {
            // The disk is slower than the load: let the load feel it instead of the memory.
            self.inner.flush();
        }
    }

    /// Whether writing failed: the run should stop, and [`Writer::finish`] tells why.
    pub fn failed(&self) -> bool {
        self.inner.failed.load(Ordering::Acquire)
    }

    /// Writes what is buffered, syncs the file to the disk and returns the count of attempts in it.
    /// Attempts appended after this are lost.
    ///
    /// # Errors
    /// [`LedgerError::Write`]: the file holds the lines up to the error, the last one maybe torn.
    pub fn finish(&self) -> Result<u64, LedgerError> {
        self.close();
        self.inner.flush();
        if let Err(source) = hold(&self.inner.file).sync_all() {
            self.inner.fail(source);
        }
        match hold(&self.inner.fault).take() {
            Some(source) => Err(LedgerError::Write { path: self.inner.path.clone(), source }),
            None => Ok(self.inner.lines.load(Ordering::Relaxed)),
        }
    }

    fn close(&self) {
        self.inner.closing.store(true, Ordering::Release);
        if let Some(flusher) = hold(&self.flusher).take() {
            flusher.thread().unpark();
            // The thread cannot panic: it only moves bytes.
            let _ = flusher.join();
        }
    }
}

impl Drop for Writer {
    /// A run that ends early still leaves its lines.
    fn drop(&mut self) {
        self.close();
        self.inner.flush();
    }
}

impl Inner {
    /// Moves every buffer to the file. The file is taken first, so that lines keep their order.
    fn flush(&self) {
        let mut file = hold(&self.file);
        for shard in &self.shards {
            let bytes = {
                let mut buffer = hold(shard);
                let room = buffer.len();
                std::mem::replace(&mut *buffer, Vec::with_capacity(room))
            };
            if bytes.is_empty() || self.failed.load(Ordering::Acquire) {
                continue;
            }
            if let Err(fault) = file.write_all(&bytes) {
                self.fail(fault);
            }
        }
    }

    fn fail(&self, fault: io::Error) {
        hold(&self.fault).get_or_insert(fault);
        self.failed.store(true, Ordering::Release);
    }
}

/// A VU that panicked while it held a buffer leaves whole lines behind, or one torn line that the
/// reader will name: nothing to stop the others for.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn format_line(to: &mut Vec<u8>, attempt: &Attempt) {
    to.extend_from_slice(b"{\"vu\":");
    number(to, u64::from(attempt.vu));
    field(to, "iteration", u64::from(attempt.iteration));
    to.extend_from_slice(b",\"request\":");
    text(to, &attempt.request);
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
        if let Some(value) = value {
            field(to, name, value);
        }
    }
    to.extend_from_slice(b"}\n");
}

fn name(to: &mut Vec<u8>, name: &str) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

fn field(to: &mut Vec<u8>, key: &str, value: u64) {
    name(to, key);
    number(to, value);
}

fn signed(to: &mut Vec<u8>, key: &str, value: i64) {
    name(to, key);
    if value < 0 {
        to.push(b'-');
    }
    number(to, value.unsigned_abs());
}

fn word(to: &mut Vec<u8>, key: &str, value: &str) {
    name(to, key);
    to.push(b'"');
    to.extend_from_slice(value.as_bytes());
    to.push(b'"');
}

/// Decimal digits, twice as fast as `write!`, which is the whole cost of a line.
fn number(to: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

/// A JSON string; ids of ours need no escape, anything else goes the long way.
fn text(to: &mut Vec<u8>, value: &str) {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if value.as_bytes().iter().all(plain) {
        to.push(b'"');
        to.extend_from_slice(value.as_bytes());
        to.push(b'"');
    } else {
        to.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
    }
}

fn words(outcome: Outcome) -> (&'static str, Option<&'static str>) {
    match outcome {
        Outcome::Acknowledged => ("acknowledged", None),
        Outcome::Refused(reason) => ("refused", Some(reason.name())),
        Outcome::Unknown(reason) => ("unknown", Some(reason.name())),
    }
}
