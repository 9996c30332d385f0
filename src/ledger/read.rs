//! Reading `ledger.ndjson`: strict, line by line; what it does not know, it refuses.
//!
//! A line in our own writer's form is read by hand, several times as fast as by serde, which reads
//! every other one and has the last word on what is wrong with it. Writing is `file.rs`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::attempts::{Attempts, Entry};
use super::file::{LedgerError, SCHEMA};
use super::lines::{EvidenceError, LineReader, Next};
use super::{Doubt, Facts, Outcome, Refusal};

/// A ledger read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Every attempt of a whole line, in file order.
    pub attempts: Attempts,
    /// See [`Reader::began_unix_us`].
    pub began_unix_us: Option<u64>,
    /// False if the last line is cut short, as a killed run leaves it.
    pub whole: bool,
}

/// Reads a whole ledger. One that was cut short in its last line (or in its header) is read up to
/// there. Lines of one VU must be in their order: by iteration, and by time.
///
/// # Errors
/// [`LedgerError`], but for [`LedgerError::Torn`].
pub fn load(path: &Path) -> Result<Loaded, LedgerError> {
    let mut reader = match Reader::open(path) {
        Ok(reader) => reader,
        // Killed while the header was written: nobody had asked yet.
        Err(LedgerError::Torn { .. }) => {
            let attempts = Attempts::default();
            return Ok(Loaded { attempts, began_unix_us: None, whole: false });
        }
        Err(error) => return Err(error),
    };
    let (mut attempts, began_unix_us) = (Attempts::new(&reader.run), reader.began_unix_us);
    let mut lives = Lives::default();
    let whole = loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                lives.follow(&entry).map_err(|what| {
                    let line = u64::try_from(attempts.len()).map_or(u64::MAX, |lines| lines + 2);
                    LedgerError::Line { line, what }
                })?;
                attempts.push(entry);
            }
            Ok(None) => break true,
            Err(LedgerError::Torn { .. }) => break false,
            Err(error) => return Err(error),
        }
    };
    Ok(Loaded { attempts, began_unix_us, whole })
}

/// Where each VU stands: its attempts follow each other, and so do their lines.
#[derive(Default)]
struct Lives(HashMap<u32, (u32, u64)>);

impl Lives {
    /// Refuses what no VU of ours can have done: an attempt twice or out of its turn, or a clock
    /// that jumped back.
    fn follow(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let Entry { vu, iteration, start_us, end_us, .. } = *entry;
        let Some((last, ended)) = self.0.insert(vu, (iteration, end_us)) else { return Ok(()) };
        if iteration <= last {
            return Err(format!("iteration {iteration} of VU {vu} follows its iteration {last}"));
        }
        if start_us < ended {
            let before = format!("before its last one ended at {ended} µs");
            return Err(format!("VU {vu} asks at {start_us} µs, {before}"));
        }
        Ok(())
    }
}

/// Streams the attempts of a ledger file, in file order.
#[derive(Debug)]
pub struct Reader {
    /// The run id of the header.
    pub run: String,
    /// When the run began, in µs since the Unix epoch: the moment that all times count from.
    /// `None` in older ledgers, and where the run was killed before it began.
    pub began_unix_us: Option<u64>,
    lines: LineReader,
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
        let mut lines = LineReader::open(path)?;
        if lines.next()? != Next::Line {
            return Err(LedgerError::Torn { line: 1 });
        }
        match serde_json::from_slice::<Header>(&lines.buffer) {
            Ok(Header { schema, run, began_unix_us }) if schema == SCHEMA => {
                Ok(Self { run, began_unix_us, lines, request: String::new() })
            }
            _ => {
                let found: String =
                    String::from_utf8_lossy(&lines.buffer).trim_end().chars().take(80).collect();
                Err(LedgerError::Schema { found })
            }
        }
    }

    /// The next attempt; `None` at the end of the file.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Line`] or [`LedgerError::Torn`]. What was read before
    /// is good; there is no use in asking on.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, LedgerError> {
        let next = self.lines.next()?;
        let line = self.lines.line;
        match next {
            Next::Line => {}
            Next::End => return Ok(None),
            Next::Torn => return Err(LedgerError::Torn { line }),
        }
        let wrong = |what| LedgerError::Line { line, what };
        let bytes = &self.lines.buffer;
        let entry = match super::scan::entry(bytes) {
            Some(entry) => entry,
            None => parse(bytes, &mut self.request).map_err(wrong)?,
        };
        if entry.end_us < entry.start_us {
            return Err(wrong(format!("it ends at {} µs, before its start", entry.end_us)));
        }
        Ok(Some(entry))
    }
}

impl From<EvidenceError> for LedgerError {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Write { path, source } => Self::Write { path, source },
            EvidenceError::Read { path, source } => Self::Read { path, source },
            EvidenceError::Schema { found, .. } => Self::Schema { found },
            EvidenceError::Line { line, what } => Self::Line { line, what },
        }
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
