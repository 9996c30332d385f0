//! `rows.csv`: the issued rows as the database holds them, one a line, by rising id.
//!
//! Plain CSV with a header. No field can hold a comma or a quote: four are numbers, and request
//! ids are refused by the server, and by the reader here, if they hold anything but `[A-Za-z0-9-_.:]`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
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
            let (user, coupon) = (row.user.0, row.coupon.0);
            let request = row.request.replace([',', '\n', '\r'], "_");
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

/// All rows of the file, in its order.
///
/// # Errors
/// The file cannot be read, or a line is not a row; with its number.
pub fn read(path: &Path) -> Result<Vec<IssuedRow>, BundleError> {
    let file = File::open(path).map_err(BundleError::io("read", path))?;
    let mut lines = BufReader::new(file).lines();
    let header = lines.next().transpose().map_err(BundleError::io("read", path))?;
    if header.as_deref() != Some(HEADER) {
        return Err(BundleError::content(path, 1, format!("the header must be `{HEADER}`")));
    }
    let mut rows = Vec::new();
    for (number, line) in (2_u64..).zip(lines) {
        let line = line.map_err(BundleError::io("read", path))?;
        let row = row(&line).ok_or_else(|| {
            let shown: String = line.chars().take(80).collect();
            BundleError::content(path, number, format!("`{shown}` is not a row of `{HEADER}`"))
        })?;
        rows.push(row);
    }
    Ok(rows)
}

fn row(line: &str) -> Option<IssuedRow> {
    let mut fields = line.split(',');
    let mut number = || fields.next()?.parse::<i64>().ok();
    let (row, user, coupon) = (number()?, number()?, number()?);
    let request = fields.next()?.to_owned();
    let created_us = fields.next()?.parse().ok()?;
    let whole = fields.next().is_none() && request.len() <= 64;
    whole.then_some(IssuedRow {
        row,
        user: UserId(user),
        coupon: CouponId(coupon),
        request,
        created_us,
    })
}
