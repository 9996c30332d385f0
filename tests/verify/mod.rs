//! `verify` from outside: known answers, planted defects, properties, order.
//!
//! This file holds the builders that state a test's books in one line; the tests are in siblings.

mod agreement;
mod defects;
mod evidence;
mod histories;
mod known;
mod monitors;
mod oracle;
mod order;
mod properties;
mod scale;

use cplock::coupon::{CouponId, IssuedRow, Snapshot, UserId};
use cplock::ledger::attempts::Attempts;
use cplock::ledger::{Attempt, Facts, Outcome};
use cplock::verify::rows::Rows;
use cplock::verify::{Ruling, Verdict};

/// The books as tests write them: attempts and rows as plain lists that can be changed in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Books {
    pub(crate) one_per_user: bool,
    pub(crate) before: Option<Snapshot>,
    pub(crate) after: Option<Snapshot>,
    pub(crate) rows: Option<Vec<IssuedRow>>,
    pub(crate) attempts: Option<Vec<Attempt>>,
    pub(crate) ledger_complete: bool,
}

impl Books {
    /// The same as the audit takes them, read as files of the run `run`.
    pub(crate) fn of_run(&self, run: &str) -> cplock::verify::Books {
        let attempts = self.attempts.as_ref().map(|attempts| {
            let mut all = Attempts::new(run);
            for attempt in attempts {
                all.push(attempt.into());
            }
            all
        });
        let rows = self.rows.as_ref().map(|rows| {
            let mut all = Rows::new(run);
            for row in rows {
                all.push(&row.into());
            }
            all
        });
        cplock::verify::Books {
            one_per_user: self.one_per_user,
            before: self.before.clone(),
            after: self.after.clone(),
            rows,
            attempts,
            ledger_complete: self.ledger_complete,
            unsettled: None,
        }
    }
}

/// Judges the books; the same whether their requests are named after the run or not.
#[track_caller]
pub(crate) fn audit(books: &Books) -> Verdict {
    let verdict = cplock::verify::audit(&books.of_run("r"));
    assert_eq!(verdict, cplock::verify::audit(&books.of_run("")));
    verdict
}

/// A snapshot of coupon 1.
pub(crate) fn stock(initial: i64, remaining: i64, issued: i64, last_row: i64) -> Snapshot {
    Snapshot { coupon: CouponId(1), initial, remaining, issued, last_row }
}

/// The name of attempt `n`: VU `n`'s first one.
pub(crate) fn request(n: u32) -> String {
    format!("r-{n}-0")
}

/// Attempt number `n` in the name of user `n`, at work from `10 n` to `10 n + 15` µs, so that
/// neighbours overlap.
pub(crate) fn attempt(n: u32, outcome: Outcome) -> Attempt {
    let start = u64::from(n) * 10;
    Attempt {
        vu: n,
        iteration: 0,
        request: request(n),
        user: i64::from(n),
        scheduled_us: start,
        start_us: start,
        end_us: start + 15,
        outcome,
        status: 200,
        facts: Facts::default(),
    }
}

/// Row `n`, which answers attempt `n`.
pub(crate) fn row(n: u32) -> IssuedRow {
    IssuedRow {
        row: i64::from(n),
        user: UserId(i64::from(n)),
        coupon: CouponId(1),
        request: request(n),
        created_us: 0,
    }
}

/// Sound books of one run: `issued` units of `initial` acknowledged and written, then `sold_out`
/// refusals. Attempts and rows count from 1.
pub(crate) fn sound(initial: u32, issued: u32, sold_out: u32) -> Books {
    let refused = Outcome::Refused(cplock::ledger::Refusal::SoldOut);
    let mut attempts: Vec<_> = (1..=issued).map(|n| attempt(n, Outcome::Acknowledged)).collect();
    attempts.extend((issued + 1..=issued + sold_out).map(|n| attempt(n, refused)));
    for attempt in &mut attempts[..issued as usize] {
        attempt.facts.row = Some(attempt.user);
    }
    let (initial, issued) = (i64::from(initial), i64::from(issued));
    Books {
        one_per_user: true,
        before: Some(stock(initial, initial, 0, 0)),
        after: Some(stock(initial, initial - issued, issued, issued)),
        rows: Some((1..=u32::try_from(issued).expect("came from u32")).map(row).collect()),
        attempts: Some(attempts),
        ledger_complete: true,
    }
}

/// The ruling of one check.
#[track_caller]
pub(crate) fn ruling(verdict: &Verdict, id: &str) -> Ruling {
    verdict.finding(id).unwrap_or_else(|| panic!("no finding {id}")).verdict
}

/// Ids of the findings that failed.
pub(crate) fn failed(verdict: &Verdict) -> Vec<&str> {
    let failed = verdict.findings.iter().filter(|finding| finding.verdict == Ruling::Fail);
    failed.map(|finding| finding.id.as_str()).collect()
}
