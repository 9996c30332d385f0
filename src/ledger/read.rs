//! Reading `ledger.ndjson`: strict, line by line; what it does not know, it refuses.
//!
//! A line in our own writer's form is read by hand, several times as fast as by serde, which reads
//! every other one and has the last word on what is wrong with it. Writing is `file.rs`.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::attempts::{Attempts, Entry};
use super::file::{LedgerError, SCHEMA};
use super::{Doubt, Facts, Outcome, Refusal};

/// No line of ours is near this; it bounds what a foreign file can make the reader hold.
const LINE_BYTES: u64 = 64 * 1024;

/// A ledger read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Every attempt of a whole line, in file order.
    pub attempts: Attempts,
    /// False if the last line is cut short, as a killed run leaves it.
    pub whole: bool,
}

/// Reads a whole ledger. One that was cut short in its last line (or in its header) is read up to
/// there.
///
/// # Errors
/// [`LedgerError`], but for [`LedgerError::Torn`].
pub fn load(path: &Path) -> Result<Loaded, LedgerError> {
    let mut reader = match Reader::open(path) {
        Ok(reader) => reader,
        // Killed while the header was written: nobody had asked yet.
        Err(LedgerError::Torn { .. }) => {
            return Ok(Loaded { attempts: Attempts::default(), whole: false });
        }
        Err(error) => return Err(error),
    };
    let mut attempts = Attempts::new(&reader.run);
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => attempts.push(entry),
            Ok(None) => return Ok(Loaded { attempts, whole: true }),
            Err(LedgerError::Torn { .. }) => return Ok(Loaded { attempts, whole: false }),
            Err(error) => return Err(error),
        }
    }
}

/// Streams the attempts of a ledger file, in file order.
#[derive(Debug)]
pub struct Reader {
    /// The run id of the header.
    pub run: String,
    path: String,
    lines: BufReader<File>,
    line: u64,
    buffer: Vec<u8>,
    /// Where serde put a request that had escapes in it.
    request: String,
}

impl Reader {
    /// Opens a ledger and reads its header.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Schema`], or [`LedgerError::Torn`] for an unfinished
    /// header.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let name = path.display().to_string();
        let file =
            File::open(path).map_err(|source| LedgerError::Read { path: name.clone(), source })?;
        let mut reader = Self {
            run: String::new(),
            path: name,
            lines: BufReader::with_capacity(1 << 18, file),
            line: 0,
            buffer: Vec::new(),
            request: String::new(),
        };
        if !reader.next_line()? {
            return Err(LedgerError::Torn { line: 1 });
        }
        match serde_json::from_slice::<Header>(&reader.buffer) {
            Ok(header) if header.schema == SCHEMA => reader.run = header.run,
            _ => {
                let found: String =
                    String::from_utf8_lossy(&reader.buffer).trim_end().chars().take(80).collect();
                return Err(LedgerError::Schema { found });
            }
        }
        Ok(reader)
    }

    /// The next attempt; `None` at the end of the file.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Line`] or [`LedgerError::Torn`]. What was read before
    /// is good; there is no use in asking on.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, LedgerError> {
        if !self.next_line()? {
            return Ok(None);
        }
        let wrong = |what| LedgerError::Line { line: self.line, what };
        let entry = match super::scan::entry(&self.buffer) {
            Some(entry) => entry,
            None => parse(&self.buffer, &mut self.request).map_err(wrong)?,
        };
        if entry.end_us < entry.start_us {
            return Err(wrong(format!("it ends at {} µs, before its start", entry.end_us)));
        }
        Ok(Some(entry))
    }

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

/// By serde, whatever the order of fields and the escapes.
fn parse<'a>(bytes: &'a [u8], text: &'a mut String) -> Result<Entry<'a>, String> {
    let line: Line<'a> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let request = match line.request {
        Cow::Borrowed(request) => request,
        Cow::Owned(request) => {
            *text = request;
            text.as_str()
        }
    };
    Ok(Entry {
        vu: line.vu,
        iteration: line.iteration,
        request,
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

/// The outcome that the words name.
pub(super) fn outcome(word: &str, reason: Option<&str>) -> Result<Outcome, String> {
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
