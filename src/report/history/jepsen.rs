//! Jepsen's history as JSON, as elle-cli reads it: one array of operations, here one a line.
//!
//! Fields: `type` (`invoke`, then `ok`, `fail` for "surely not done" or `info` for "not known"),
//! `f`, `value`, `process`, `time` in ns since the run's start, `index` (the place in the array);
//! also `error`, the reason, and `request` on the call of a claim, which checkers do not read.
//! Source: <https://github.com/ligurio/elle-cli>, its README and `histories/jepsen/*.json`.

use std::io::Write;

use serde::{Serialize, Serializer};

use super::moments::{Moment, Moments, Op};
use super::{HistoryError, NO_LEDGER};
use crate::ledger::Outcome;
use crate::ledger::attempts::AttemptRef;
use crate::ledger::probes::{Kind, Probe, Saw};
use crate::verify::Books;
use crate::verify::index::Index;
use crate::verify::rows::{RowRef, Rows};

#[derive(Serialize)]
struct Operation<'a, V> {
    r#type: &'a str,
    f: &'a str,
    value: V,
    process: u32,
    time: u64,
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
}

/// The array, one operation after the other.
struct Document<'w> {
    to: &'w mut dyn Write,
    count: u64,
}

impl<'w> Document<'w> {
    fn begin(to: &'w mut dyn Write) -> Self {
        Self { to, count: 0 }
    }

    fn add<V: Serialize>(&mut self, mut operation: Operation<'_, V>) -> Result<(), HistoryError> {
        operation.index = self.count;
        self.to.write_all(if self.count == 0 { b"[" } else { b",\n" })?;
        serde_json::to_writer(&mut *self.to, &operation).map_err(std::io::Error::from)?;
        self.count += 1;
        Ok(())
    }

    /// A claim begins or ends.
    fn claim(
        &mut self,
        moment: &Moment,
        attempt: AttemptRef<'_>,
        value: usize,
    ) -> Result<(), HistoryError> {
        let (r#type, error) = match attempt.outcome() {
            _ if !moment.end => ("invoke", None),
            Outcome::Acknowledged => ("ok", None),
            Outcome::Refused(why) => ("fail", Some(why.name())),
            Outcome::Unknown(why) => ("info", Some(why.name())),
        };
        let request = (!moment.end).then(|| attempt.request().to_string());
        let (process, time) = (moment.process, ns(moment.at_us));
        self.add(Operation { r#type, f: "add", value, process, time, index: 0, error, request })
    }

    /// A read begins (no value yet) or ends.
    fn read<V: Serialize>(
        &mut self,
        moment: &Moment,
        value: Option<V>,
    ) -> Result<(), HistoryError> {
        let r#type = if value.is_some() { "ok" } else { "invoke" };
        let (error, request) = (None, None);
        let (process, time) = (moment.process, ns(moment.at_us));
        self.add(Operation { r#type, f: "read", value, process, time, index: 0, error, request })
    }

    fn end(self) -> Result<(), HistoryError> {
        self.to.write_all(if self.count == 0 { b"[]\n" } else { b"\n]\n" })?;
        Ok(())
    }
}

/// Each request adds a number of its own: the place of its first attempt in the ledger. The last
/// operation reads the set of all rows of the run; a row of no request of the ledger shows as a
/// number beyond those of the ledger, and two rows of one request as the same number twice.
pub(super) fn set(books: &Books, to: &mut dyn Write) -> Result<(), HistoryError> {
    let attempts = books.attempts.as_ref().ok_or(NO_LEDGER)?;
    let rows = books.rows.as_ref().ok_or(HistoryError::Missing(
        "there is no rows.csv to read the set from; close the books with `cplock verify`",
    ))?;
    let index = Index::new(attempts);
    let ours = || of_run(books, rows);
    let joined = || ours().any(|row| index.find(row.request()).is_some());
    if ours().next().is_some() && !attempts.is_empty() && !joined() {
        return Err(HistoryError::Missing(
            "no row names a request of the ledger, so claims cannot be told apart in the rows; \
             ask for `jepsen-counter` or `porcupine`",
        ));
    }
    let mut document = Document::begin(to);
    let mut moments = Moments::new(attempts, &[], |_| false);
    for moment in moments.by_ref() {
        let Op::Claim(place) = moment.op else { continue };
        let attempt = attempts.get(place);
        document.claim(&moment, attempt, index.leader(attempt))?;
    }
    let last = moments.books();
    document.read(&last, None::<()>)?;
    let strays = std::cell::Cell::new(attempts.len());
    let number = |row: RowRef<'_>| {
        index.find(row.request()).unwrap_or_else(|| strays.replace(strays.get() + 1))
    };
    document.read(&last, Some(List(ours().map(number))))?;
    document.end()
}

/// The rows of this coupon that were written during the run.
fn of_run<'a>(books: &Books, rows: &'a Rows) -> impl Iterator<Item = RowRef<'a>> + Clone {
    let begun = books.before.as_ref().map_or(i64::MIN, |before| before.last_row);
    let coupon = books.after.as_ref().or(books.before.as_ref()).map(|stock| stock.coupon.0);
    rows.iter()
        .filter(move |row| row.row() > begun && coupon.is_none_or(|coupon| row.coupon() == coupon))
}

/// Each claim adds 1; a probe, and the books after the run, read how many units are gone since
/// the run began.
pub(super) fn counter(
    books: &Books,
    probes: &[Probe],
    to: &mut dyn Write,
) -> Result<(), HistoryError> {
    let attempts = books.attempts.as_ref().ok_or(NO_LEDGER)?;
    let before = books.before.as_ref().map(|before| before.remaining);
    let begun = before.or(books.after.as_ref().map(|after| after.initial)).ok_or(
        HistoryError::Missing("neither before.json nor after.json tells the stock at the start"),
    )?;
    let gone = |remaining: i64| begun.saturating_sub(remaining);
    let mut document = Document::begin(to);
    let mut moments = Moments::new(attempts, probes, |kind| kind != Kind::Own);
    for moment in moments.by_ref() {
        match moment.op {
            Op::Claim(place) => document.claim(&moment, attempts.get(place), 1)?,
            Op::Books => {}
            Op::Probe(place) => {
                let value = match probes[place].saw {
                    Saw::Remaining { quantity } | Saw::Snapshot { quantity, .. } => gone(quantity),
                    Saw::Own(_) | Saw::Failed { .. } => continue,
                };
                document.read(&moment, moment.end.then_some(value))?;
            }
        }
    }
    if let Some(after) = &books.after {
        let last = moments.books();
        document.read(&last, None::<()>)?;
        document.read(&last, Some(gone(after.remaining)))?;
    }
    document.end()
}

/// An array that is never held as a whole.
struct List<I>(I);

impl<I: Iterator<Item = usize> + Clone> Serialize for List<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// Jepsen's times are nanoseconds. Saturates.
fn ns(us: u64) -> u64 {
    us.saturating_mul(1_000)
}
