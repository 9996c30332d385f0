//! What one run leaves on disk, and reading it back.
//!
//! The door of the room: the folder, its file names, JSON in and out. `rows.rs` writes and reads
//! `rows.csv`; `facts.rs` holds `run.json` and the machine, `rest.rs` `rest.json`; the ledger's own
//! format lives in [`crate::ledger::file`]. Nothing is judged here.
//!
//! Files are written whole and renamed, or appended line by line, so that a killed run leaves a
//! readable folder. Nothing secret is ever given to this room.

pub mod facts;
pub mod rest;
pub mod rows;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use facts::{RUN_SCHEMA, RunFacts, machine_facts};
pub use rest::{Late, REST_SCHEMA, Rest};

use crate::ledger;
use crate::ledger::file::LedgerError;
use crate::ledger::read::Loaded;
use crate::ledger::{EvidenceError, locks, probes};
use crate::verify::{self, Books, Declared};
use rows::RowsWriter;

/// Facts of the run.
pub const RUN: &str = "run.json";
/// One attempt a line.
pub const LEDGER: &str = "ledger.ndjson";
/// Latency histograms.
pub const LATENCY: &str = "latency.hlog";
/// Stock and counts before the load.
pub const BEFORE: &str = "before.json";
/// Stock and counts after it; the books are closed once it is there.
pub const AFTER: &str = "after.json";
/// Whether the service had come to rest by then, `cplock.rest/1`.
pub const REST: &str = "rest.json";
/// What the service told when asked on the side during the load, `cplock.probes/1`.
pub const PROBES: &str = "probes.ndjson";
/// The embedded server's own account of each claim, `cplock.locks/1`.
pub const LOCKS: &str = "locks.ndjson";
/// The counter beside the database at the end, where the service has one.
pub const COUNTER: &str = "counter.json";
/// The pipeline before the database at the end, where the service has one.
pub const PIPELINE: &str = "pipeline.json";
/// Every violation of the verdict, one a line.
pub const VIOLATIONS: &str = "violations.ndjson";
/// Rows issued.
pub const ROWS: &str = "rows.csv";
/// The verdict, `cplock.verdict/1`.
pub const VERDICT: &str = "verdict.json";
/// The report, `cplock.report/1`.
pub const REPORT: &str = "report.json";
/// The database of a `run` that was given none: SQLite.
pub const DATABASE: &str = "coupons.db";
/// What the server of a `run` said.
pub const SERVER_LOG: &str = "server.log";

/// What `report::SCHEMA` says; that room is not known here. A test holds both together.
const REPORT_SCHEMA: &str = "cplock.report/1";

/// The link to the newest run in a folder of runs.
const LATEST: &str = "latest";

/// Why a bundle cannot be written or read. Reading changes nothing; after a failed write the file
/// that was to be replaced is still the old one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `write`, `read`, `make`.
        action: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder is not a run's.
    #[error("{} is not a run's folder: {what}", path.display())]
    NotABundle {
        /// Which folder.
        path: PathBuf,
        /// What is missing or wrong.
        what: String,
    },
    /// A file's content is not what belongs there.
    #[error("{}:{line}: {what}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
}

impl BundleError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    fn content(path: &Path, line: u64, what: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), line, what: what.into() }
    }
}

/// One run's folder.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
}

impl Bundle {
    /// Makes `<out>/<name>-<UTC time>/`, with a suffix if that is taken, and points
    /// `<out>/latest` at it.
    ///
    /// # Errors
    /// `name` is not plain (`[a-z0-9-]`, no `-` in front), or the folder cannot be made; nothing is
    /// left then but perhaps `out` itself.
    pub fn create(out: &Path, name: &str, at: SystemTime) -> Result<Self, BundleError> {
        plain(out, name)?;
        fs::create_dir_all(out).map_err(BundleError::io("make", out))?;
        let time = humantime::format_rfc3339_seconds(at).to_string().replace(':', "-");
        for suffix in 1.. {
            let folder = if suffix == 1 {
                format!("{name}-{time}")
            } else {
                format!("{name}-{time}-{suffix}")
            };
            let path = out.join(&folder);
            match fs::create_dir(&path) {
                Ok(()) => {
                    point_latest(out, &folder);
                    return Ok(Self { path });
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(BundleError::io("make", &path)(error)),
            }
        }
        unreachable!("some suffix is free")
    }

    /// The run in `dir`.
    ///
    /// # Errors
    /// It is not a folder, or holds neither `run.json` nor `report.json`.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let bundle = Self { path: dir.to_owned() };
        let wrong = |what: &str| {
            Err(BundleError::NotABundle { path: dir.to_owned(), what: what.to_owned() })
        };
        if !dir.is_dir() {
            return wrong("there is no such folder");
        }
        if !bundle.file(RUN).is_file() && !bundle.file(REPORT).is_file() {
            return wrong("it holds neither run.json nor report.json");
        }
        Ok(bundle)
    }

    /// Makes the sub-folder of one strategy, like `01-none`.
    ///
    /// # Errors
    /// `name` is not plain, or the folder cannot be made.
    pub fn part(&self, name: &str) -> Result<Self, BundleError> {
        plain(&self.path, name)?;
        let path = self.path.join(name);
        fs::create_dir(&path).map_err(BundleError::io("make", &path))?;
        Ok(Self { path })
    }

    /// The sub-folders that are runs themselves, by name; empty for a run of one strategy.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn parts(&self) -> Result<Vec<Self>, BundleError> {
        let entries = fs::read_dir(&self.path).map_err(BundleError::io("read", &self.path))?;
        let mut parts: Vec<Self> =
            entries.filter_map(|entry| Self::open(&entry.ok()?.path()).ok()).collect();
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(parts)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Whether the books are closed: stock and rows after the run are stored.
    pub fn closed(&self) -> bool {
        self.file(AFTER).is_file()
    }

    /// Writes `value` as `name`, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written; the old one, if any, is untouched.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), BundleError> {
        let path = self.file(name);
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|error| BundleError::content(&path, 0, error.to_string()))?;
        text.push('\n');
        write_whole(&path, text.as_bytes())
    }

    /// Writes `values` as `name`, one JSON document a line, whole or not at all. Without values
    /// there is no file: one of before is removed.
    ///
    /// # Errors
    /// The file cannot be written; the old one, if any, is untouched.
    pub fn write_lines<T: Serialize>(&self, name: &str, values: &[T]) -> Result<(), BundleError> {
        let path = self.file(name);
        if values.is_empty() {
            return match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(BundleError::io("remove", &path)(error))
                }
                _ => Ok(()),
            };
        }
        let mut text = Vec::new();
        for value in values {
            serde_json::to_writer(&mut text, value)
                .map_err(|error| BundleError::content(&path, 0, error.to_string()))?;
            text.push(b'\n');
        }
        write_whole(&path, &text)
    }

    /// Reads `name`.
    ///
    /// # Errors
    /// The file cannot be read, was written by a version with another schema, or is not such a
    /// document; with its line.
    pub fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, BundleError> {
        let path = self.file(name);
        let text = fs::read_to_string(&path).map_err(BundleError::io("read", &path))?;
        let wrong = |error: serde_json::Error| {
            let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
            BundleError::content(&path, line, error.to_string())
        };
        // Before the rest: another version's document is not a broken one of ours.
        if let Some(known) = schema_of(name) {
            let Head { schema } = serde_json::from_str(&text).map_err(wrong)?;
            if schema != known {
                let what = format!(
                    "schema `{schema}`, this version reads `{known}`; use the cplock that wrote it"
                );
                return Err(BundleError::content(&path, 1, what));
            }
        }
        serde_json::from_str(&text).map_err(wrong)
    }

    /// Begins `rows.csv`, which appears when it is finished.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn rows_writer(&self) -> Result<RowsWriter, BundleError> {
        RowsWriter::create(&self.file(ROWS))
    }

    /// Everything that is known of the run.
    ///
    /// # Errors
    /// A file that is there is not what belongs there; with file and line. A ledger whose last
    /// line is cut short is read up to it and marked incomplete.
    pub fn read_books(&self) -> Result<Books, BundleError> {
        let facts: RunFacts = self.read_json(RUN)?;
        let ledger = self.ledger()?;
        let whole = ledger.as_ref().is_some_and(|ledger| ledger.whole);
        if let Some(other) = ledger.as_ref().map(|ledger| ledger.attempts.run())
            && other != facts.run
            && !other.is_empty()
        {
            let what = format!("it is of run `{other}`, and run.json of `{}`", facts.run);
            return Err(BundleError::content(&self.file(LEDGER), 1, what));
        }
        let rows = self.existing(ROWS).map(|path| rows::read(&path, &facts.run));
        let evidence = |path: PathBuf| {
            move |error: EvidenceError| match error {
                EvidenceError::Line { line, what } => BundleError::content(&path, line, what),
                other => BundleError::content(&path, 1, other.to_string()),
            }
        };
        Ok(Books {
            one_per_user: facts.one_per_user,
            before: self.document(BEFORE)?,
            after: self.document(AFTER)?,
            rows: rows.transpose()?,
            began_unix_us: ledger.as_ref().and_then(|ledger| ledger.began_unix_us),
            attempts: ledger.map(|ledger| ledger.attempts),
            ledger_complete: whole && facts.measured.is_some(),
            probes: self
                .existing(PROBES)
                .map(|path| probes::read(&path).map_err(evidence(path)))
                .transpose()?,
            locks: self
                .existing(LOCKS)
                .map(|path| locks::read(&path).map_err(evidence(path)))
                .transpose()?,
            counter: self.document(COUNTER)?,
            pipeline: self.document(PIPELINE)?,
            // Our own server moves both in one transaction.
            declared: Declared { atomic: facts.strategy.is_some(), fifo: facts.fifo },
            // Absent in bundles of before this was noted.
            unsettled: self.document(REST)?.and_then(|rest: Rest| rest.unsettled()),
        })
    }

    /// A file, if it is there.
    fn existing(&self, name: &str) -> Option<PathBuf> {
        Some(self.file(name)).filter(|path| path.is_file())
    }

    /// A document, if it is there.
    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, BundleError> {
        self.existing(name).map(|_| self.read_json(name)).transpose()
    }

    /// The ledger, if there is one.
    fn ledger(&self) -> Result<Option<Loaded>, BundleError> {
        let path = self.file(LEDGER);
        let wrong = |error: LedgerError| {
            let line = match &error {
                LedgerError::Line { line, .. } => *line,
                _ => 1,
            };
            BundleError::content(&path, line, error.to_string())
        };
        path.is_file().then(|| ledger::read::load(&path).map_err(wrong)).transpose()
    }
}

/// The head of a document that names its version.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// The version that document `name` carries in its field `schema`, where it has one.
fn schema_of(name: &str) -> Option<&'static str> {
    match name {
        RUN => Some(RUN_SCHEMA),
        REST => Some(REST_SCHEMA),
        VERDICT => Some(verify::SCHEMA),
        REPORT => Some(REPORT_SCHEMA),
        _ => None,
    }
}

/// Refuses names that could be paths or flags.
fn plain(folder: &Path, name: &str) -> Result<(), BundleError> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=80).contains(&name.len()) && name.chars().all(good) && !name.starts_with('-') {
        return Ok(());
    }
    let what = format!("{name:?} is not a plain name (lower-case letters, digits, `-`)");
    Err(BundleError::NotABundle { path: folder.to_owned(), what })
}

/// Points `<out>/latest` at `folder`. A convenience: where links are not possible it is left out.
fn point_latest(out: &Path, folder: &str) {
    let fresh = out.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    if std::os::unix::fs::symlink(folder, &fresh).is_ok()
        && fs::rename(&fresh, out.join(LATEST)).is_err()
    {
        let _ = fs::remove_file(&fresh);
    }
}

/// Writes beside and renames, so that a reader sees the old file or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let fresh = path.with_extension("tmp");
    let write = || {
        let mut file = fs::File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(BundleError::io("write", path))
}
