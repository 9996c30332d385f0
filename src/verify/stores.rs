//! Other places that keep a part of the books: a counter beside the database, a pipeline before it;
//! and rows that make no sense by themselves.

use super::checks::{NEEDS_ROWS, Outcome};
use super::rows::RowRef;
use super::sheet::Sheet;
use super::words::{distinct, grouped, many, size};
use super::{Ruling, Witness};
use crate::ledger::attempts::{AttemptRef, Attempts};

/// V25: the counter that hands out units, against the rows.
pub(super) fn counter(sheet: &Sheet<'_>) -> Outcome {
    let Some(counter) = &sheet.books.counter else {
        return Outcome::untested("no counter is kept beside the database");
    };
    let (Some(initial), Some(issued)) = (sheet.initial, sheet.issued) else {
        return Outcome::unknown(NEEDS_ROWS, "how many were issued is not known");
    };
    let taken = initial - i128::from(counter.remaining);
    let off = taken - issued;
    let mut because =
        format!("the counter gave out {} and {} issued", many(taken, "unit"), grouped(issued));
    match off {
        0 => {}
        1.. => because = format!("{because}: {} leaked", many(off, "slot")),
        _ => because = format!("{because}: {} given back too often", many(-off, "slot")),
    }
    let mut strangers = 0;
    let mut shown = Vec::new();
    if let (Some(users), Some(rows)) = (&counter.users, &sheet.rows) {
        let mut holders: Vec<i64> = rows.iter().map(RowRef::user).collect();
        holders.sort_unstable();
        let missing: Vec<i64> =
            users.iter().copied().filter(|user| holders.binary_search(user).is_err()).collect();
        strangers = distinct(missing.iter());
        shown.extend(missing.iter().take(sheet.room).map(|user| Witness {
            text: format!("user {user} is marked as an owner and has no row"),
            users: vec![*user],
            ..Witness::default()
        }));
        if strangers > 0 {
            because = format!("{because}; {} without a row", many(strangers, "marked owner"));
        }
    }
    Outcome::counted(off.abs().max(strangers), because).shown_by(shown)
}

/// V26: what was accepted into the pipeline, against what came out of it.
pub(super) fn pipeline(sheet: &Sheet<'_>) -> Outcome {
    let Some(queue) = &sheet.books.pipeline else {
        return Outcome::untested("no pipeline stands before the database");
    };
    let Some(issued) = sheet.issued else {
        return Outcome::unknown(NEEDS_ROWS, "how many were issued is not known");
    };
    if queue.in_flight > 0 {
        let moving = format!("{} still in flight", many(queue.in_flight, "message"));
        return Outcome::unknown("a pipeline that has drained", &moving);
    }
    let out = issued + i128::from(queue.dead) + i128::from(queue.rejected);
    let lost = i128::from(queue.accepted) - out;
    let because = format!(
        "{} accepted: {} issued, {} dead, {} rejected",
        grouped(queue.accepted),
        grouped(issued),
        grouped(queue.dead),
        grouped(queue.rejected)
    );
    Outcome::counted(lost.abs(), because)
}

/// V27: rows that no sound service writes: nobody's, or of a time long before or after the run.
pub(super) fn hygiene(sheet: &Sheet<'_>) -> Outcome {
    let Some(rows) = &sheet.rows else {
        return Outcome::aside(NEEDS_ROWS, "the rows are not known");
    };
    let window = sheet.books.began_unix_us.map(|began| {
        let attempts = sheet.books.attempts.iter().flat_map(Attempts::iter);
        let last = attempts.map(AttemptRef::end_us).max().unwrap_or(0);
        let (began, last) = (i128::from(began), i128::from(last));
        (began - CLOCK_SLACK_US, began + last + CLOCK_SLACK_US)
    });
    let odd = |row: &RowRef<'_>| {
        let at = i128::from(row.created_us());
        if row.user() <= 0 {
            Some("nobody's")
        } else if row.created_us() != 0 && window.is_some_and(|(from, to)| at < from || at > to) {
            Some("of another time than the run")
        } else {
            None
        }
    };
    let found = || rows.iter().filter_map(|row| Some((row, odd(&row)?)));
    let count = size(found().count());
    if count == 0 {
        return Outcome::counted(
            0,
            "each row has a user and was written during the run".to_owned(),
        );
    }
    let because = format!("{} of {} make no sense", grouped(count), many(size(rows.len()), "row"));
    let shown = found().take(sheet.room).map(|(row, why)| Witness {
        text: format!("row {} is {why}", row.row()),
        requests: vec![row.request().to_string()],
        rows: vec![row.row()],
        users: vec![row.user()],
        times_us: Vec::new(),
    });
    let said = Outcome::said(Ruling::Warn, Some(count), because);
    Outcome { violations: count, ..said }.shown_by(shown.collect())
}

/// How far the wall clocks of service and load may differ before rows look strange: less than the
/// offset of any time zone, more than a kept clock drifts.
const CLOCK_SLACK_US: i128 = 15 * 60 * 1_000_000;
