//! `rows.csv`: the issued rows as the database holds them, one a record, by rising id.
//!
//! Format: RFC 4180 with `\n` line ends; a field is quoted where it holds a comma, a quote or a
//! line end. Our server refuses such request ids, but the database may hold other people's rows.
//! Read here and not by the `csv` crate, which takes a line that was cut short, and text after a
//! closing quote, for whole: in evidence both must be told.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::BundleError;
use crate::coupon::IssuedRow;
use crate::verify::rows::{RowEntry, Rows};

/// The first line.
const HEADER: &str = "user_coupon_id,user_id,coupon_id,request_id,created_us";

/// Writes rows page by page; the file appears under its name when finished.
#[derive(Debug)]
pub struct RowsWriter {
    path: PathBuf,
    fresh: PathBuf,
    out: BufWriter<File>,
}

impl RowsWriter {
    pub(super) fn create(path: &Path) -> Result<Self, BundleError> {
        let fresh = path.with_extension("tmp");
        let file = File::create(&fresh).map_err(BundleError::io("write", &fresh))?;
        let mut out = BufWriter::new(file);
        writeln!(out, "{HEADER}").map_err(BundleError::io("write", &fresh))?;
        Ok(Self { path: path.to_owned(), fresh, out })
    }

    /// Adds `rows`, which must follow those before by id.
    ///
    /// # Errors
    /// The file cannot be written; it does not appear then.
    pub fn append(&mut self, rows: &[IssuedRow]) -> Result<(), BundleError> {
        for row in rows {
            let (user, coupon, request) = (row.user.0, row.coupon.0, quoted(&row.request));
            writeln!(self.out, "{},{user},{coupon},{request},{}", row.row, row.created_us)
                .map_err(BundleError::io("write", &self.fresh))?;
        }
        Ok(())
    }

    /// Makes the file appear.
    ///
    /// # Errors
    /// The file cannot be written; it does not appear then.
    pub fn finish(mut self) -> Result<(), BundleError> {
        let mut end = || {
            self.out.flush()?;
            self.out.get_ref().sync_all()?;
            fs::rename(&self.fresh, &self.path)
        };
        end().map_err(BundleError::io("write", &self.path))
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// All rows of the file, which must be by rising key. Most of them answer requests of `run`.
///
/// # Errors
/// The file cannot be read, or a record is not a row; with the line on which it begins.
pub fn read(path: &Path, run: &str) -> Result<Rows, BundleError> {
    let file = File::open(path).map_err(BundleError::io("read", path))?;
    let mut lines = BufReader::with_capacity(1 << 18, file);
    let mut rows = Rows::new(run);
    let (mut record, mut line) = (String::new(), 1);
    let mut last = None;
    loop {
        record.clear();
        let began = line;
        line += next_record(&mut lines, &mut record).map_err(|error| match error.kind() {
            ErrorKind::InvalidData => BundleError::content(path, began, error.to_string()),
            _ => BundleError::io("read", path)(error),
        })?;
        let wrong = |what| BundleError::content(path, began, what);
        match began {
            1 if record.strip_suffix('\n') != Some(HEADER) => {
                return Err(wrong(format!("the first line must be `{HEADER}`")));
            }
            1 => {}
            _ if record.is_empty() => return Ok(rows),
            _ => {
                let row = add(&mut rows, &record).map_err(wrong)?;
                if let Some(before) = last.replace(row).filter(|before| *before >= row) {
                    return Err(wrong(format!("row {row} follows row {before}")));
                }
            }
        }
    }
}

/// Longest record: what a foreign file can make the reader hold.
const RECORD_BYTES: usize = 64 * 1024;

/// Reads one record: a line, or several where a line end stands between quotes. Returns how many
/// lines it was; 0 at the end of the file.
fn next_record(lines: &mut impl BufRead, record: &mut String) -> io::Result<u64> {
    let (mut count, mut open) = (0, false);
    loop {
        let from = record.len();
        let room = RECORD_BYTES.saturating_sub(record.len()) as u64;
        if lines.by_ref().take(room).read_line(record)? == 0 {
            let full = record.len() >= RECORD_BYTES;
            let what = || io::Error::new(ErrorKind::InvalidData, "the record is too long");
            return if full { Err(what()) } else { Ok(count) };
        }
        count += 1;
        // A doubled quote inside a field changes nothing.
        open ^= !record[from..].matches('"').count().is_multiple_of(2);
        if !open && record.ends_with('\n') {
            return Ok(count);
        }
    }
}

/// Adds the row of a record and tells its key.
fn add(rows: &mut Rows, record: &str) -> Result<i64, String> {
    let mut fields = [const { Cow::Borrowed("") }; 5];
    let count = split(record, &mut fields)?;
    if count != fields.len() {
        return Err(format!("{count} fields instead of 5"));
    }
    let number = |name: &str, text: &str| {
        let shown: String = text.chars().take(40).collect();
        text.parse::<i64>().map_err(|_| format!("`{shown}` in `{name}` is not a whole number"))
    };
    let [row, user, coupon, request, created] = &fields;
    let row = number("user_coupon_id", row)?;
    rows.push(&RowEntry {
        row,
        user: number("user_id", user)?,
        coupon: number("coupon_id", coupon)?,
        request,
        created_us: number("created_us", created)?,
    });
    Ok(row)
}

/// Puts the fields of a record into `fields`, as many as fit, and tells how many there are.
fn split<'a>(record: &'a str, fields: &mut [Cow<'a, str>]) -> Result<usize, &'static str> {
    let mut rest = record;
    let mut count = 0;
    loop {
        let (field, after) = if let Some(inside) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(inside)?;
            (Cow::Owned(field), after)
        } else {
            let end = rest.find([',', '\n']).ok_or("the line is cut off")?;
            (Cow::Borrowed(&rest[..end]), &rest[end..])
        };
        if let Some(place) = fields.get_mut(count) {
            *place = field;
        }
        count += 1;
        match after.as_bytes().first() {
            Some(b',') => rest = &after[1..],
            Some(b'\n') => return Ok(count),
            Some(_) => return Err("text after a closing quote"),
            None => return Err("the line is cut off"),
        }
    }
}

/// The field that goes on to its closing quote, and the text after that.
fn quoted_field(inside: &str) -> Result<(String, &str), &'static str> {
    let mut from = 0;
    while let Some(at) = inside[from..].find('"') {
        let quote = from + at;
        if !inside[quote + 1..].starts_with('"') {
            return Ok((inside[..quote].replace("\"\"", "\""), &inside[quote + 1..]));
        }
        from = quote + 2;
    }
    Err("a quote is never closed")
}
