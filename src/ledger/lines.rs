//! Lines of evidence: appended by many at once and cheaply, read back strictly.
//!
//! Shared by the ledger, the lock log and the probes: buffers, the thread that moves them to the
//! file, the hand-made JSON, and the reading line by line. What a line means is not known here.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writers are spread over so many buffers, so that they seldom wait for each other.
const SHARDS: usize = 16;
/// A buffer of this size is written at once, by whoever filled it: memory stays under 16 MiB.
const SHARD_BYTES: usize = 1 << 20;
/// A killed process loses at most the lines of this long.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// No line of ours is near this; it bounds what a foreign file can make a reader hold.
pub(super) const LINE_BYTES: u64 = 64 * 1024;
/// Room for the largest number in a header.
const NUMBER_WIDTH: usize = 20;

/// Why a lock log or a file of probes could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// The file could not be opened, written or synced. What was flushed before is in the file.
    #[error("cannot write `{path}`; is the disk full, or the folder read-only?")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file could not be opened or read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The first line is not a header of this schema. Nothing was read.
    #[error("not a file of schema `{schema}`: the first line is `{found}`")]
    Schema {
        /// The schema that was expected.
        schema: &'static str,
        /// The beginning of the first line.
        found: String,
    },
    /// A line is not what belongs there. The lines before it were good.
    #[error("line {line}: {what}")]
    Line {
        /// Line number, from 1 (the header).
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// Microseconds since the Unix epoch; 0 before it.
pub(super) fn unix_us(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Appends lines to a file. Cheap to share: every method takes `&self`.
#[derive(Debug)]
pub(super) struct Lines {
    inner: Arc<Inner>,
    flusher: Mutex<Option<JoinHandle<()>>>,
    /// Where in the file the header's `began_unix_us` stands.
    began_at: u64,
}

#[derive(Debug)]
struct Inner {
    shards: [Mutex<Vec<u8>>; SHARDS],
    file: Mutex<File>,
    fault: Mutex<Option<io::Error>>,
    failed: AtomicBool,
    closing: AtomicBool,
    lines: AtomicU64,
}

impl Lines {
    /// Makes the file, writes `header` (a JSON object) and starts the flushing thread, named
    /// `name`. The header gets a last field `began_unix_us`, `null` until [`Lines::began`].
    pub(super) fn create(path: &Path, name: &str, header: &serde_json::Value) -> io::Result<Self> {
        let mut head = header.to_string();
        head.pop();
        head.push_str(",\"began_unix_us\":");
        let began_at = u64::try_from(head.len()).unwrap_or(u64::MAX);
        let mut file = File::create(path)?;
        writeln!(file, "{head}{:NUMBER_WIDTH$}}}", "null")?;
        let inner = Arc::new(Inner {
            shards: std::array::from_fn(|_| Mutex::new(Vec::new())),
            file: Mutex::new(file),
            fault: Mutex::new(None),
            failed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lines: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&inner);
        let flusher = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while !theirs.closing.load(Ordering::Acquire) {
                std::thread::park_timeout(FLUSH_EVERY);
                theirs.flush();
            }
        })?;
        Ok(Self { inner, flusher: Mutex::new(Some(flusher)), began_at })
    }

    /// Puts the moment that all times of the file count from into the header, which was written
    /// before it was known. A fault counts as one of writing.
    pub(super) fn began(&self, at: SystemTime) {
        let text = format!("{:<NUMBER_WIDTH$}", unix_us(at));
        if let Err(fault) = hold(&self.inner.file).write_all_at(text.as_bytes(), self.began_at) {
            self.inner.fail(fault);
        }
    }

    /// Adds one line, as `format` writes it, line end included. Lines of one `lane` keep their
    /// order; lanes are interleaved as it comes. After a write error the line is dropped.
    pub(super) fn push(&self, lane: u64, format: impl FnOnce(&mut Vec<u8>)) {
        if self.failed() {
            return;
        }
        let shards = self.inner.shards.len() as u64;
        let shard = &self.inner.shards[usize::try_from(lane % shards).unwrap_or(0)];
        let full = {
            let mut buffer = hold(shard);
            format(&mut buffer);
            buffer.len() >= SHARD_BYTES
        };
        self.inner.lines.fetch_add(1, Ordering::Relaxed);
        if full {
            // The disk is slower than the writers: let them feel it instead of the memory.
            self.inner.flush();
        }
    }

    /// Whether writing failed; [`Lines::finish`] tells why.
    pub(super) fn failed(&self) -> bool {
        self.inner.failed.load(Ordering::Acquire)
    }

    /// Writes what is buffered, then the line that `last` makes of the count of lines, where it
    /// makes one, syncs the file and returns the count (without the last line and the header).
    /// Lines pushed after this are lost.
    pub(super) fn finish(&self, last: impl FnOnce(u64) -> Option<String>) -> io::Result<u64> {
        self.close();
        self.inner.flush();
        let count = self.inner.lines.load(Ordering::Relaxed);
        if let (false, Some(line)) = (self.failed(), last(count))
            && let Err(fault) = writeln!(hold(&self.inner.file), "{line}")
        {
            self.inner.fail(fault);
        }
        if let Err(fault) = hold(&self.inner.file).sync_all() {
            self.inner.fail(fault);
        }
        match hold(&self.inner.fault).take() {
            Some(fault) => Err(fault),
            None => Ok(count),
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

impl Drop for Lines {
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

/// A task that panicked while it held a buffer leaves whole lines behind, or one torn line that
/// the reader will name: nothing to stop the others for.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The line that says that nothing is missing before it.
pub(super) fn end_line(records: u64) -> String {
    format!("{{\"end\":true,\"records\":{records}}}")
}

fn name(to: &mut Vec<u8>, name: &str) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

/// `,"key":value`.
pub(super) fn field(to: &mut Vec<u8>, key: &str, value: u64) {
    name(to, key);
    number(to, value);
}

/// The same, for a number that may be missing: then nothing.
pub(super) fn maybe(to: &mut Vec<u8>, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        field(to, key, value);
    }
}

/// `,"key":value`.
pub(super) fn signed(to: &mut Vec<u8>, key: &str, value: i64) {
    name(to, key);
    digits(to, value);
}

/// `,"key":"value"`, for a word of ours that needs no escape.
pub(super) fn word(to: &mut Vec<u8>, key: &str, value: &str) {
    name(to, key);
    to.push(b'"');
    to.extend_from_slice(value.as_bytes());
    to.push(b'"');
}

/// `,"key":"value"`; ids of ours need no escape, anything else goes the long way.
pub(super) fn text(to: &mut Vec<u8>, key: &str, value: &str) {
    let plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'"' && *byte != b'\\';
    if value.as_bytes().iter().all(plain) {
        word(to, key, value);
    } else {
        name(to, key);
        to.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
    }
}

/// Decimal digits with a sign.
pub(super) fn digits(to: &mut Vec<u8>, value: i64) {
    if value < 0 {
        to.push(b'-');
    }
    number(to, value.unsigned_abs());
}

/// Decimal digits, twice as fast as `write!`, which is the whole cost of a line.
pub(super) fn number(to: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; NUMBER_WIDTH];
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

/// The lines of a lock log or of probes, one at a time.
#[derive(Debug)]
pub(super) struct LineReader {
    path: String,
    lines: BufReader<File>,
    /// Number of the line in hand, from 1.
    pub(super) line: u64,
    /// The line in hand.
    pub(super) buffer: Vec<u8>,
}

/// What comes next in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole line.
    Line,
    /// The end of the file.
    End,
    /// A last line without its end, as a killed process leaves it.
    Torn,
}

impl LineReader {
    pub(super) fn open(path: &Path) -> Result<Self, EvidenceError> {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|source| EvidenceError::Read { path: name.clone(), source })?;
        let lines = BufReader::with_capacity(1 << 16, file);
        Ok(Self { path: name, lines, line: 0, buffer: Vec::new() })
    }

    /// The first line, as a header of `schema`.
    pub(super) fn header<T: serde::de::DeserializeOwned>(
        &mut self,
        schema: &'static str,
    ) -> Result<T, EvidenceError> {
        #[derive(serde::Deserialize)]
        struct Named {
            schema: String,
        }
        if self.next()? != Next::Line {
            self.line = 1;
            return Err(self.wrong("the header is cut short: killed while writing it"));
        }
        match serde_json::from_slice::<Named>(&self.buffer) {
            Ok(named) if named.schema == schema => {
                serde_json::from_slice(&self.buffer).map_err(|error| self.wrong(error.to_string()))
            }
            _ => {
                let found: String =
                    String::from_utf8_lossy(&self.buffer).trim_end().chars().take(80).collect();
                Err(EvidenceError::Schema { schema, found })
            }
        }
    }

    /// Takes the next line into the buffer.
    pub(super) fn next(&mut self) -> Result<Next, EvidenceError> {
        self.buffer.clear();
        let count = (&mut self.lines)
            .take(LINE_BYTES)
            .read_until(b'\n', &mut self.buffer)
            .map_err(|source| EvidenceError::Read { path: self.path.clone(), source })?;
        if count == 0 {
            return Ok(Next::End);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            return Ok(Next::Line);
        }
        if self.buffer.len() as u64 == LINE_BYTES {
            return Err(self.wrong(format!("longer than {LINE_BYTES} bytes")));
        }
        Ok(Next::Torn)
    }

    /// If the line in hand is the end line: checks that it counts `records` and that nothing
    /// follows it. Otherwise `false`.
    pub(super) fn ends(&mut self, records: u64) -> Result<bool, EvidenceError> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct End {
            end: bool,
            records: u64,
        }
        if !self.buffer.starts_with(b"{\"end\":") {
            return Ok(false);
        }
        let end: End =
            serde_json::from_slice(&self.buffer).map_err(|error| self.wrong(error.to_string()))?;
        if !end.end || end.records != records {
            let what = format!("it ends {} records, and there are {records}", end.records);
            return Err(self.wrong(what));
        }
        if self.next()? != Next::End {
            return Err(self.wrong("a line after the end"));
        }
        Ok(true)
    }

    /// An error in the line in hand.
    pub(super) fn wrong(&self, what: impl Into<String>) -> EvidenceError {
        EvidenceError::Line { line: self.line, what: what.into() }
    }
}
