//! What one run leaves on disk, and reading it back.
//!
//! The door holds the folder itself: making it, naming its files, writing documents so that a
//! killed run leaves nothing half-written. `facts.rs` holds `run.json`, `rows.rs` holds `rows.csv`.
//! The ledger's lines are written and read by `ledger`; no database is known here.

mod facts;
mod rows;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::coupon::IssuedRow;
use crate::ledger::Attempt;
use crate::verify::Books;

pub use facts::{Host, RUN_SCHEMA, RunFacts, redact_url};
pub use rows::RowsWriter;

/// What `report::SCHEMA` says; that room is not known here. A test holds both together.
const REPORT_SCHEMA: &str = "cplock.report/1";

/// The folder of one run, or of one strategy within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    dir: PathBuf,
}

/// The files of a bundle. A closed set: nothing else is written into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum File {
    /// [`RunFacts`].
    Run,
    /// One attempt a line; written and read by `ledger`.
    Ledger,
    /// `Snapshot` before the first attempt.
    Before,
    /// `Snapshot` after the last attempt.
    After,
    /// Issued rows.
    Rows,
    /// `Measured`: the finished numbers of the load.
    Measured,
    /// `Verdict`.
    Verdict,
    /// `Report`.
    Report,
}

impl File {
    /// The name within the bundle.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run.json",
            Self::Ledger => "ledger.ndjson",
            Self::Before => "before.json",
            Self::After => "after.json",
            Self::Rows => "rows.csv",
            Self::Measured => "measured.json",
            Self::Verdict => "verdict.json",
            Self::Report => "report.json",
        }
    }

    /// The version that the document names in its field `schema`, where it has one.
    fn schema(self) -> Option<&'static str> {
        match self {
            Self::Run => Some(RUN_SCHEMA),
            Self::Verdict => Some(crate::verify::SCHEMA),
            Self::Report => Some(REPORT_SCHEMA),
            Self::Ledger | Self::Before | Self::After | Self::Rows | Self::Measured => None,
        }
    }
}

/// Why a bundle cannot be written or read. The data in the database is not touched by any of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// The name would not be one plain folder. Nothing was made.
    #[error("`{0}` cannot name a bundle; use lowercase letters, digits and `-`")]
    Name(String),
    /// The operating system refused. A document is then either the old one or the new one.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write` or `make`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No bundle is there.
    #[error("`{}` is not a bundle: it holds no run.json and no report.json", .0.display())]
    NotABundle(PathBuf),
    /// A file does not hold what it should.
    #[error("{}:{line}: {problem}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Where in it, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A file was written by another version.
    #[error(
        "`{}` has the schema `{found}`, this program reads `{expected}`; use the version of cplock \
         that wrote it",
        path.display()
    )]
    Schema {
        /// Which file.
        path: PathBuf,
        /// The version in the file.
        found: String,
        /// The version that this program reads.
        expected: &'static str,
    },
}

impl Bundle {
    /// Makes `<parent>/<name>-<UTC time>/` (with a suffix if it is there already) and points
    /// `<parent>/latest` at it.
    ///
    /// # Errors
    /// [`BundleError::Name`] if `name` is not of `[a-z0-9-]`; [`BundleError::Io`] if the folder or
    /// `latest` cannot be written; an empty folder may then be left.
    pub fn create(parent: &Path, name: &str) -> Result<Self, BundleError> {
        check_name(name)?;
        fs::create_dir_all(parent).map_err(failed("make", parent))?;
        let stem = format!("{name}-{}", utc_stamp(SystemTime::now()));
        for suffix in 1_u32.. {
            let folder = if suffix == 1 { stem.clone() } else { format!("{stem}-{suffix}") };
            let dir = parent.join(&folder);
            match fs::create_dir(&dir) {
                Ok(()) => {
                    point_latest(parent, &folder)?;
                    return Ok(Self { dir });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("make", &dir)(error)),
            }
        }
        Err(BundleError::Name(stem))
    }

    /// Opens the bundle at `dir`. Also follows `latest` where it is a plain file that holds a name.
    ///
    /// # Errors
    /// [`BundleError::NotABundle`] if there is neither a `run.json` nor a `report.json`.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let mut dir = dir.to_owned();
        if dir.is_file()
            && let Ok(name) = fs::read_to_string(&dir)
            && check_name(name.trim()).is_ok()
        {
            dir.set_file_name(name.trim());
        }
        let bundle = Self { dir };
        if bundle.has(File::Run) || bundle.has(File::Report) {
            return Ok(bundle);
        }
        Err(BundleError::NotABundle(bundle.dir))
    }

    /// Makes the subfolder of one strategy: `01-none`, `02-spin` … in the order of the comparison.
    ///
    /// # Errors
    /// [`BundleError::Name`] or [`BundleError::Io`]; see [`Bundle::create`].
    pub fn create_part(&self, number: usize, name: &str) -> Result<Self, BundleError> {
        check_name(name)?;
        let dir = self.dir.join(format!("{number:02}-{name}"));
        fs::create_dir(&dir).map_err(failed("make", &dir))?;
        Ok(Self { dir })
    }

    /// The strategies' bundles within this one, in the order of the comparison; empty where this is
    /// the bundle of a single run.
    ///
    /// # Errors
    /// [`BundleError::Io`] if the folder cannot be listed.
    pub fn parts(&self) -> Result<Vec<Self>, BundleError> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed("read", &self.dir))? {
            let path = entry.map_err(failed("read", &self.dir))?.path();
            let part = Self { dir: path };
            if let (true, Some(number)) = (part.has(File::Run), part.number()) {
                parts.push((number, part));
            }
        }
        parts.sort_by(|one, other| (one.0, &one.1.dir).cmp(&(other.0, &other.1.dir)));
        Ok(parts.into_iter().map(|(_, part)| part).collect())
    }

    /// Its place in the comparison, if its folder is named `<number>-<name>`.
    fn number(&self) -> Option<u32> {
        self.dir.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where `file` is, whether or not it is there.
    pub fn path(&self, file: File) -> PathBuf {
        self.dir.join(file.name())
    }

    /// Whether `file` is there.
    pub fn has(&self, file: File) -> bool {
        self.path(file).is_file()
    }

    /// Writes `value` as `file`, indented: first beside it, then moved over it in one step, so that
    /// a reader sees the old document or the new one and never a part.
    ///
    /// # Errors
    /// [`BundleError::Io`]: the old document, if any, is untouched.
    pub fn write_json(&self, file: File, value: &impl Serialize) -> Result<(), BundleError> {
        let path = self.path(file);
        let mut text =
            serde_json::to_vec_pretty(value).map_err(|e| failed("write", &path)(e.into()))?;
        text.push(b'\n');
        replace(&path, &text).map_err(failed("write", &path))
    }

    /// Reads `file`.
    ///
    /// # Errors
    /// [`BundleError::Io`] if it cannot be read, [`BundleError::Schema`] if another version wrote
    /// it, [`BundleError::Malformed`] with the line where it is not what it should be.
    pub fn read_json<T: DeserializeOwned>(&self, file: File) -> Result<T, BundleError> {
        let path = self.path(file);
        let text = fs::read_to_string(&path).map_err(failed("read", &path))?;
        let malformed = |error: serde_json::Error| BundleError::Malformed {
            path: path.clone(),
            line: error.line(),
            problem: error.to_string(),
        };
        if let Some(expected) = file.schema() {
            let head: Head = serde_json::from_str(&text).map_err(malformed)?;
            if head.schema != expected {
                let found = head.schema;
                return Err(BundleError::Schema { path, found, expected });
            }
        }
        serde_json::from_str(&text).map_err(malformed)
    }

    /// Reads `file` if it is there: a killed run lacks those that are written at its end.
    ///
    /// # Errors
    /// As [`Bundle::read_json`], a missing file excepted.
    pub fn read_json_if_there<T: DeserializeOwned>(
        &self,
        file: File,
    ) -> Result<Option<T>, BundleError> {
        if self.has(file) { self.read_json(file).map(Some) } else { Ok(None) }
    }

    /// Begins `rows.csv`; it appears when the writer is finished.
    ///
    /// # Errors
    /// [`BundleError::Io`]: nothing was written.
    pub fn rows_writer(&self) -> Result<RowsWriter, BundleError> {
        RowsWriter::begin(self.path(File::Rows))
    }

    /// Reads `rows.csv`, in the order of its lines.
    ///
    /// # Errors
    /// [`BundleError::Io`], or [`BundleError::Malformed`] with the first wrong line.
    pub fn read_rows(&self) -> Result<Vec<IssuedRow>, BundleError> {
        rows::read(&self.path(File::Rows))
    }

    /// Everything that the bundle holds for the audit, beside `attempts`, which the caller has read
    /// from [`File::Ledger`]. Files that are not there become absent parts. The ledger counts as
    /// complete if the run came to its end.
    ///
    /// # Errors
    /// As [`Bundle::read_json`] and [`Bundle::read_rows`].
    pub fn read_books(&self, attempts: Option<Vec<Attempt>>) -> Result<Books, BundleError> {
        let run: RunFacts = self.read_json(File::Run)?;
        let rows = if self.has(File::Rows) { Some(self.read_rows()?) } else { None };
        Ok(Books {
            one_per_user: run.one_per_user,
            before: self.read_json_if_there(File::Before)?,
            after: self.read_json_if_there(File::After)?,
            rows,
            attempts,
            ledger_complete: run.finished.is_some(),
        })
    }
}

/// The part of a document that names its version.
#[derive(serde::Deserialize)]
struct Head {
    schema: String,
}

/// One plain folder name and nothing that could lead elsewhere.
fn check_name(name: &str) -> Result<(), BundleError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=100).contains(&name.len()) && !name.starts_with('-') && name.chars().all(plain) {
        return Ok(());
    }
    Err(BundleError::Name(name.to_owned()))
}

/// `20261122-200130`: sorts by time, and is a legal file name everywhere.
fn utc_stamp(now: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(now).to_string();
    text.replace(['-', ':', 'Z'], "").replace('T', "-")
}

/// Points `latest` at `folder` in one step: a relative link, or a plain file that holds the name
/// where links cannot be made.
fn point_latest(parent: &Path, folder: &str) -> Result<(), BundleError> {
    let latest = parent.join("latest");
    let beside = parent.join(format!(".latest-{folder}"));
    let linked = link(folder, &beside).and_then(|()| fs::rename(&beside, &latest));
    linked.or_else(|_| replace(&latest, folder.as_bytes())).map_err(failed("write", &latest))
}

#[cfg(unix)]
fn link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn link(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes `bytes` beside `path` and moves them over it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path);
    let mut file = fs::File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Where a file is written until it is whole.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

/// An I/O error with what was tried.
fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> BundleError + use<> {
    let path = path.to_owned();
    move |source| BundleError::Io { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::utc_stamp;
    use std::time::{Duration, SystemTime};

    /// Goal: stamps sort by time and hold nothing but digits and one dash.
    #[test]
    fn stamps_are_plain_file_names() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_377_690);
        assert_eq!(utc_stamp(at), "20261122-200130");
    }
}
