//! Whether there was a test at all. A run that tried nothing proves nothing: VACUOUS, never PASS.

use super::checks::{NEEDS_ROWS, Outcome};
use super::sheet::Sheet;
use super::words::{grouped, many, size};
use super::{Level, Ruling};
use crate::ledger::attempts::{AttemptRef, Attempts};

/// V28: somebody asked, somebody got one, and at least two asked at once.
///
/// From a database alone only the second can be known.
pub(super) fn adequacy(sheet: &Sheet<'_>) -> Outcome {
    let (Some(attempts), Some(asked)) = (&sheet.books.attempts, &sheet.asked) else {
        return from_rows(sheet);
    };
    let crowd = most_at_once(attempts);
    let mut lacking = Vec::new();
    if attempts.is_empty() {
        lacking.push("nobody asked");
    }
    if asked.acknowledged() == 0 {
        lacking.push("nobody was told yes");
    }
    if crowd < 2 {
        lacking.push("no two were ever in flight at once");
    }
    let because = if lacking.is_empty() {
        format!(
            "{}, {} acknowledged, up to {} in flight at once",
            many(size(attempts.len()), "attempt"),
            grouped(asked.acknowledged()),
            grouped(crowd)
        )
    } else {
        lacking.join(", ")
    };
    judged(size(lacking.len()), because)
}

fn from_rows(sheet: &Sheet<'_>) -> Outcome {
    match (sheet.level, sheet.issued) {
        (Level::E0, Some(issued)) if issued > 0 => {
            judged(0, format!("{} issued; how many asked at once is not known", grouped(issued)))
        }
        (Level::E0, Some(_)) => judged(1, "nothing was issued".to_owned()),
        _ => Outcome::unknown(NEEDS_ROWS, "neither rows nor attempts are known"),
    }
}

fn judged(lacking: i128, because: String) -> Outcome {
    let ruling = if lacking == 0 { Ruling::Pass } else { Ruling::Vacuous };
    Outcome { violations: lacking, ..Outcome::said(ruling, Some(lacking), because) }
}

/// Attempts in flight at the same time, at most. Touching ends count as at once: with a clock that
/// ticks in microseconds, equal stamps do not tell which came first.
fn most_at_once(attempts: &Attempts) -> i128 {
    let mut starts: Vec<u64> = attempts.iter().map(AttemptRef::start_us).collect();
    let mut ends: Vec<u64> = attempts.iter().map(AttemptRef::end_us).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let mut ended = 0;
    let mut most = 0;
    for (begun, start) in starts.iter().enumerate() {
        while ends[ended] < *start {
            ended += 1;
        }
        most = most.max(begun + 1 - ended);
    }
    size(most)
}
