//! The stock against its rows: conservation, lost updates, oversell, negative stock, duplicates.

use std::collections::HashMap;

use super::checks::{NEEDS_INITIAL, NEEDS_LEDGER, NEEDS_ROWS, NEEDS_STOCK, Outcome};
use super::rows::RowRef;
use super::sheet::{AllAsked, Sheet};
use super::words::{distinct, grouped, many, size};
use super::{Ruling, Witness};
use crate::ledger::Outcome as Told;
use crate::ledger::attempts::AttemptRef;

/// V01: every unit is either a row or still there.
pub(super) fn conservation(sheet: &Sheet<'_>) -> Outcome {
    let (Some(issued), Some(initial), Some(remaining)) =
        (sheet.issued, sheet.initial, sheet.remaining)
    else {
        return Outcome::unknown(NEEDS_STOCK, "the stock at the end is not known");
    };
    let off = issued + remaining - initial;
    let sum = format!(
        "{} issued + {} remaining = {}, of {} initial",
        grouped(issued),
        grouped(remaining),
        grouped(issued + remaining),
        grouped(initial)
    );
    let because = match off {
        0 => sum,
        1.. => format!("{sum}: {} too many", grouped(off)),
        _ => format!("{sum}: {} missing", grouped(-off)),
    };
    let counted = Outcome::counted(off.abs(), because);
    Outcome { observed: Some(off), ..counted }
}

/// V02: rows written without the stock falling.
///
/// Source: the published run without a lock: 7,836 rows while the stock fell from 30,000 to 25,931,
/// so 3,767 updates were lost.
pub(super) fn lost_updates(sheet: &Sheet<'_>) -> Outcome {
    let (Some(issued), Some(consumed)) = (sheet.issued, sheet.consumed()) else {
        return Outcome::unknown(NEEDS_STOCK, "the stock at the end is not known");
    };
    let lost = (issued - consumed).max(0);
    let fell =
        format!("{} were issued and the stock fell by {}", many(issued, "unit"), grouped(consumed));
    let because = match issued - consumed {
        0 => fell,
        1.. => format!("{fell}: {} lost", many(lost, "update")),
        less => format!("{fell}: {} without a row, none lost", many(-less, "decrement")),
    };
    Outcome::counted(lost, because).bounded(true)
}

/// V03: more issued, or more promised, than there was.
pub(super) fn oversell(sheet: &Sheet<'_>) -> Outcome {
    let Some(initial) = sheet.initial.map(|initial| initial.max(0)) else {
        return Outcome::unknown(NEEDS_INITIAL, "the initial stock is not known");
    };
    let promised = sheet.asked.as_ref().map(|asked| promised(sheet, asked));
    let over = |units: Option<i128>| units.map_or(0, |units| (units - initial).max(0));
    let mut parts = Vec::new();
    if let Some(issued) = sheet.issued {
        parts.push(format!("{} issued", grouped(issued)));
    }
    if let Some(promised) = promised {
        parts.push(format!("{} acknowledged", grouped(promised)));
    }
    if parts.is_empty() {
        return Outcome::unknown(NEEDS_LEDGER, "neither rows nor promises are known");
    }
    let because = format!("{} of {} initial", parts.join(" and "), grouped(initial));
    let rows_known = sheet.issued.is_some();
    let counted = Outcome::counted(over(sheet.issued).max(over(promised)), because);
    if !rows_known && counted.ruling == Ruling::Pass {
        return Outcome { ruling: Ruling::Unknown, needs: Some(NEEDS_ROWS), ..counted };
    }
    counted.bounded(!rows_known)
}

/// Units promised at least: users where each may hold one (a replay promises nothing new), else
/// requests.
fn promised(sheet: &Sheet<'_>, asked: &AllAsked<'_>) -> i128 {
    if !sheet.books.one_per_user {
        return asked.acknowledged();
    }
    let told = asked.attempts.iter().filter(|told| told.outcome() == Told::Acknowledged);
    distinct(told.map(AttemptRef::user))
}

/// V04: the stock column below zero.
pub(super) fn negative_stock(sheet: &Sheet<'_>) -> Outcome {
    let Some(remaining) = sheet.remaining else {
        return Outcome::unknown(NEEDS_STOCK, "the stock at the end is not known");
    };
    Outcome::counted((-remaining).max(0), format!("{} remaining", grouped(remaining)))
}

/// V05: a second row for one user, where one is the limit.
pub(super) fn duplicates(sheet: &Sheet<'_>) -> Outcome {
    if !sheet.books.one_per_user {
        return Outcome::untested("one user may hold several units here");
    }
    let Some(rows) = &sheet.rows else {
        return Outcome::unknown(NEEDS_ROWS, "the rows are not known");
    };
    let mut first: HashMap<i64, RowRef<'_>> = HashMap::new();
    for row in sheet.earlier.iter() {
        first.entry(row.user()).or_insert(row);
    }
    let mut second = 0_i128;
    let mut witnesses = Vec::new();
    for row in rows.iter() {
        let held = *first.entry(row.user()).or_insert(row);
        if held.row() == row.row() {
            continue;
        }
        second += 1;
        if witnesses.len() < sheet.room {
            witnesses.push(duplicate(held, row));
        }
    }
    let because = match second {
        0 => format!("{}, each of another user", many(size(rows.len()), "row")),
        _ => format!("{} for users who held a unit already", many(second, "row")),
    };
    Outcome::counted(second, because).shown_by(witnesses)
}

fn duplicate(held: RowRef<'_>, row: RowRef<'_>) -> Witness {
    Witness {
        text: format!("user {} holds row {} and also row {}", row.user(), held.row(), row.row()),
        requests: vec![held.request().to_string(), row.request().to_string()],
        rows: vec![held.row(), row.row()],
        users: vec![row.user()],
        times_us: Vec::new(),
    }
}
