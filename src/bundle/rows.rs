//! `rows.csv`: the issued rows as the database holds them, one a record, by rising id.
//!
//! Format: RFC 4180 with `\n` line ends; a field is quoted where it holds a comma, a quote or a
//! line end. Our server refuses such request ids, but the database may hold other people's rows.
//! Read here and not by the `csv` crate, which takes a line that was cut short, and text after a
//! closing quote, for whole: in evidence both must be told.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::BundleError;
use crate::coupon::{CouponId, IssuedRow, UserId};

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

/// All rows of the file, in its order.
///
/// # Errors
/// The file cannot be read, or a record is not a row; with the line on which it begins.
pub fn read(path: &Path) -> Result<Vec<IssuedRow>, BundleError> {
    let text = fs::read_to_string(path).map_err(BundleError::io("read", path))?;
    parse(&text).map_err(|(line, what)| BundleError::content(path, line, what))
}

/// The rows of `text`, or the first wrong line and what is wrong with it.
fn parse(text: &str) -> Result<Vec<IssuedRow>, (u64, String)> {
    let Some(mut rest) = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')) else {
        return Err((1, format!("the first line must be `{HEADER}`")));
    };
    let mut rows = Vec::new();
    let mut line = 2;
    while !rest.is_empty() {
        let (fields, after) = record(rest).map_err(|what| (line, what.to_owned()))?;
        rows.push(row(&fields).map_err(|what| (line, what))?);
        let lines = rest[..rest.len() - after.len()].matches('\n').count();
        line += u64::try_from(lines).unwrap_or(u64::MAX);
        rest = after;
    }
    Ok(rows)
}

/// The fields of the first record, and the text after it.
fn record(text: &str) -> Result<(Vec<String>, &str), &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(inside) = rest.strip_prefix('"') {
            quoted_field(inside)?
        } else {
            let end = rest.find([',', '\n']).ok_or("the line is cut off")?;
            (rest[..end].to_owned(), &rest[end..])
        };
        fields.push(field);
        match after.as_bytes().first() {
            Some(b',') => rest = &after[1..],
            Some(b'\n') => return Ok((fields, &after[1..])),
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

fn row(fields: &[String]) -> Result<IssuedRow, String> {
    let [row, user, coupon, request, created] = fields else {
        return Err(format!("{} fields instead of 5", fields.len()));
    };
    let number = |name: &str, text: &str| {
        let shown: String = text.chars().take(40).collect();
        text.parse::<i64>().map_err(|_| format!("`{shown}` in `{name}` is not a whole number"))
    };
    Ok(IssuedRow {
        row: number("user_coupon_id", row)?,
        user: UserId(number("user_id", user)?),
        coupon: CouponId(number("coupon_id", coupon)?),
        request: request.clone(),
        created_us: number("created_us", created)?,
    })
}
