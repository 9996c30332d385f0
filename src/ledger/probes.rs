//! `probes.ndjson`: what the service told during the run when it was asked on the side: the
//! remaining quantity, a snapshot of quantity and rows, a user's own coupons.
//!
//! Times are on the clock of the ledger. A last line counts the others: without it the run was
//! killed. Asking is `load`'s part; what the answers prove is not decided here.

use std::borrow::Cow;
use std::path::Path;
use std::time::SystemTime;

use super::lines::{
    EvidenceError, LineReader, Lines, Next, digits, end_line, field, number, signed, text, word,
};

/// Version of the file's format, in its first line.
pub const SCHEMA: &str = "cplock.probes/1";

/// Most row ids that the line of an own-coupons probe holds; beyond it there is the count alone.
pub const ROWS_MAX: usize = 1_000;

/// One question on the side and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// When it began to be sent, in µs since the run's start.
    pub start_us: u64,
    /// When the answer was there, or it was given up. Never before `start_us`.
    pub end_us: u64,
    /// What was seen.
    pub saw: Saw,
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saw {
    /// The remaining quantity.
    Remaining {
        /// Units left, as told.
        quantity: i64,
    },
    /// Quantity and rows, read in one transaction.
    Snapshot {
        /// Units left.
        quantity: i64,
        /// Rows issued, those before the run included.
        issued: i64,
    },
    /// The coupons of a user, asked once an acknowledgement of his was heard.
    Own(Own),
    /// No answer, or one that cannot be read. Says nothing of the service's books.
    Failed {
        /// What was asked.
        kind: Kind,
        /// What happened, in a few words.
        error: String,
    },
}

/// The coupons of a user at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Whose.
    pub user: i64,
    /// The request whose acknowledgement had been heard before the probe began.
    pub request: String,
    /// The row that this acknowledgement named, where it did.
    pub row: Option<i64>,
    /// Whether the list shows it: by its row id, or by the request id where no row was named.
    pub present: bool,
    /// Length of the list. A service that cuts its lists may leave the expected row out: the
    /// embedded server lists the first 10,000.
    pub count: u64,
    /// The row ids of the list as told; `None` where there are more than [`ROWS_MAX`].
    pub rows: Option<Vec<i64>>,
}

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The remaining quantity.
    Remaining,
    /// Quantity and rows in one transaction.
    Snapshot,
    /// A user's own coupons.
    Own,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Remaining, Self::Snapshot, Self::Own];

    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Remaining => "remaining",
            Self::Snapshot => "snapshot",
            Self::Own => "own",
        }
    }
}

impl Saw {
    /// What was asked.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Remaining { .. } => Kind::Remaining,
            Self::Snapshot { .. } => Kind::Snapshot,
            Self::Own(_) => Kind::Own,
            Self::Failed { kind, .. } => *kind,
        }
    }
}

/// What is asked, and for which run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The run's id, as in the ledger.
    pub run: String,
    /// Which coupon is asked for.
    pub coupon: i64,
    /// Time between two probes of the quantity, in µs.
    pub every_us: u64,
}

/// Appends probes to a file. Cheap to share: every method takes `&self`.
#[derive(Debug)]
pub struct Writer {
    path: String,
    lines: Lines,
}

impl Writer {
    /// Makes the file, writes its header and starts the flushing thread.
    ///
    /// # Errors
    /// [`EvidenceError::Write`]: the file is missing or holds a part of the header.
    pub fn create(path: &Path, about: &About) -> Result<Self, EvidenceError> {
        let name = path.display().to_string();
        let header = serde_json::json!({
            "schema": SCHEMA,
            "run": about.run,
            "coupon": about.coupon,
            "every_us": about.every_us,
        });
        match Lines::create(path, "probes", &header) {
            Ok(lines) => Ok(Self { path: name, lines }),
            Err(source) => Err(EvidenceError::Write { path: name, source }),
        }
    }

    /// Notes in the header when the run began: the moment that all times count from.
    pub fn began(&self, at: SystemTime) {
        self.lines.began(at);
    }

    /// Adds one probe, in the order of the calls.
    pub fn append(&self, probe: &Probe) {
        self.lines.push(0, |to| format_line(to, probe));
    }

    /// Writes the line that says that nothing is missing, syncs the file and returns the count of
    /// probes in it.
    ///
    /// # Errors
    /// [`EvidenceError::Write`]: the file holds the lines up to the error, the last one maybe torn.
    pub fn finish(&self) -> Result<u64, EvidenceError> {
        self.lines
            .finish(|records| Some(end_line(records)))
            .map_err(|source| EvidenceError::Write { path: self.path.clone(), source })
    }
}

fn format_line(to: &mut Vec<u8>, probe: &Probe) {
    to.extend_from_slice(b"{\"start_us\":");
    number(to, probe.start_us);
    field(to, "end_us", probe.end_us);
    word(to, "kind", probe.saw.kind().name());
    match &probe.saw {
        Saw::Remaining { quantity } => signed(to, "quantity", *quantity),
        Saw::Snapshot { quantity, issued } => {
            signed(to, "quantity", *quantity);
            signed(to, "issued", *issued);
        }
        Saw::Own(own) => format_own(to, own),
        Saw::Failed { error, .. } => text(to, "error", error),
    }
    to.extend_from_slice(b"}\n");
}

fn format_own(to: &mut Vec<u8>, own: &Own) {
    signed(to, "user", own.user);
    text(to, "request", &own.request);
    if let Some(row) = own.row {
        signed(to, "row", row);
    }
    to.extend_from_slice(b",\"present\":");
    to.extend_from_slice(if own.present { b"true" } else { b"false" });
    field(to, "count", own.count);
    if let Some(rows) = &own.rows {
        to.extend_from_slice(b",\"rows\":[");
        for (place, row) in rows.iter().enumerate() {
            if place > 0 {
                to.push(b',');
            }
            digits(to, *row);
        }
        to.push(b']');
    }
}

/// A whole file of probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probes {
    /// What was asked, and for which run.
    pub about: About,
    /// When the run began, in µs since the Unix epoch; `None` if it was killed before.
    pub began_unix_us: Option<u64>,
    /// Whether nothing is missing: the run ended well. Otherwise the last probes may be missing.
    pub complete: bool,
    /// In the order in which they ended. Those of the quantity (remaining and snapshot) do not
    /// overlap each other, nor do those of own coupons; the two lanes may.
    pub probes: Vec<Probe>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    #[serde(rename = "schema")]
    _schema: String,
    run: String,
    coupon: i64,
    every_us: u64,
    began_unix_us: Option<u64>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    start_us: u64,
    end_us: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    quantity: Option<i64>,
    issued: Option<i64>,
    user: Option<i64>,
    #[serde(borrow)]
    request: Option<Cow<'a, str>>,
    row: Option<i64>,
    present: Option<bool>,
    count: Option<u64>,
    rows: Option<Vec<i64>>,
    #[serde(borrow)]
    error: Option<Cow<'a, str>>,
}

/// Reads a whole file of probes. One that ends without its last line, or in the middle of a line,
/// is read up to there and is not complete.
///
/// # Errors
/// [`EvidenceError::Read`], [`EvidenceError::Schema`], or [`EvidenceError::Line`] for the first
/// line that is not what belongs there: an unknown field or kind, a field too many or too few,
/// an end before its start, a wrong count at the end. Nothing of the file is to be believed then.
pub fn read(path: &Path) -> Result<Probes, EvidenceError> {
    let mut lines = LineReader::open(path)?;
    let header: HeaderLine = lines.header(SCHEMA)?;
    let (mut probes, mut complete) = (Vec::new(), false);
    while !complete && lines.next()? == Next::Line {
        if lines.ends(probes.len() as u64)? {
            complete = true;
        } else {
            probes.push(parse(&lines.buffer).map_err(|what| lines.wrong(what))?);
        }
    }
    probes.shrink_to_fit();
    Ok(Probes {
        about: About { run: header.run, coupon: header.coupon, every_us: header.every_us },
        began_unix_us: header.began_unix_us,
        complete,
        probes,
    })
}

fn parse(bytes: &[u8]) -> Result<Probe, String> {
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let (start_us, end_us) = (line.start_us, line.end_us);
    if end_us < start_us {
        return Err(format!("it ends at {end_us} µs, before its start"));
    }
    let kind = Kind::ALL
        .into_iter()
        .find(|kind| kind.name() == line.kind)
        .ok_or_else(|| format!("unknown kind `{}`", line.kind))?;
    let saw = saw(kind, line).ok_or_else(|| {
        format!("a probe of kind `{}` with a field too many or too few", kind.name())
    })?;
    Ok(Probe { start_us, end_us, saw })
}

/// What the fields of a line say; `None` if they are not exactly those of its kind.
fn saw(kind: Kind, line: Line<'_>) -> Option<Saw> {
    let own = line.user.is_some() || line.request.is_some() || line.row.is_some();
    let own = own || line.present.is_some() || line.count.is_some() || line.rows.is_some();
    Some(match (kind, line.quantity, line.issued, own, line.error) {
        (kind, None, None, false, Some(error)) => Saw::Failed { kind, error: error.into_owned() },
        (Kind::Remaining, Some(quantity), None, false, None) => Saw::Remaining { quantity },
        (Kind::Snapshot, Some(quantity), Some(issued), false, None) => {
            Saw::Snapshot { quantity, issued }
        }
        (Kind::Own, None, None, true, None) => Saw::Own(Own {
            user: line.user?,
            request: line.request?.into_owned(),
            row: line.row,
            present: line.present?,
            count: line.count?,
            rows: line.rows,
        }),
        _ => return None,
    })
}
