//! `rows.csv`: one issued row a line, streamed on the way out, read strictly on the way back.
//!
//! Format: RFC 4180 with `\n` line ends; a field is quoted where it holds a comma, a quote or a
//! line end.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{BundleError, beside, failed};
use crate::coupon::{CouponId, IssuedRow, UserId};

const HEADER: &str = "row,user,coupon,request,created_us";

/// Writes rows as they come; the file appears under its name when it is finished.
#[derive(Debug)]
pub struct RowsWriter {
    path: PathBuf,
    out: BufWriter<fs::File>,
}

impl RowsWriter {
    pub(super) fn begin(path: PathBuf) -> Result<Self, BundleError> {
        let part = beside(&path);
        let file = fs::File::create(&part).map_err(failed("write", &part))?;
        let mut out = BufWriter::new(file);
        writeln!(out, "{HEADER}").map_err(failed("write", &part))?;
        Ok(Self { path, out })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// [`BundleError::Io`]: the file does not appear.
    pub fn write(&mut self, row: &IssuedRow) -> Result<(), BundleError> {
        let request = quoted(&row.request);
        let (user, coupon) = (row.user.0, row.coupon.0);
        writeln!(self.out, "{},{user},{coupon},{request},{}", row.row, row.created_us)
            .map_err(failed("write", &self.path))
    }

    /// Puts the whole file in its place.
    ///
    /// # Errors
    /// [`BundleError::Io`]: the file does not appear.
    pub fn finish(mut self) -> Result<(), BundleError> {
        let done = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        done.and_then(|()| fs::rename(beside(&self.path), &self.path))
            .map_err(failed("write", &self.path))
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// Reads a whole file.
pub(super) fn read(path: &Path) -> Result<Vec<IssuedRow>, BundleError> {
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    parse(&text).map_err(|(line, problem)| {
        let path = path.to_owned();
        BundleError::Malformed { path, line, problem }
    })
}

/// The rows of `text`, or the first wrong line and what is wrong with it.
fn parse(text: &str) -> Result<Vec<IssuedRow>, (usize, String)> {
    let Some(mut rest) = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n')) else {
        return Err((1, format!("the first line must be `{HEADER}`")));
    };
    let mut rows = Vec::new();
    let mut line = 2;
    while !rest.is_empty() {
        let (fields, after) = record(rest).map_err(|problem| (line, problem))?;
        rows.push(row(&fields).map_err(|problem| (line, problem))?);
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    Ok(rows)
}

/// The fields of the first record, and the text after it.
fn record(text: &str) -> Result<(Vec<String>, &str), String> {
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
            Some(_) => return Err("text after a closing quote".to_owned()),
            None => return Err("the line is cut off".to_owned()),
        }
    }
}

/// The field that goes on to its closing quote, and the text after that.
fn quoted_field(inside: &str) -> Result<(String, &str), String> {
    let mut from = 0;
    while let Some(at) = inside[from..].find('"') {
        let quote = from + at;
        if !inside[quote + 1..].starts_with('"') {
            return Ok((inside[..quote].replace("\"\"", "\""), &inside[quote + 1..]));
        }
        from = quote + 2;
    }
    Err("a quote is never closed".to_owned())
}

fn row(fields: &[String]) -> Result<IssuedRow, String> {
    let [row, user, coupon, request, created] = fields else {
        return Err(format!("{} fields instead of 5", fields.len()));
    };
    let number = |name: &str, text: &str| {
        text.parse::<i64>().map_err(|_| format!("`{text}` in `{name}` is not a whole number"))
    };
    Ok(IssuedRow {
        row: number("row", row)?,
        user: UserId(number("user", user)?),
        coupon: CouponId(number("coupon", coupon)?),
        request: request.clone(),
        created_us: number("created_us", created)?,
    })
}
