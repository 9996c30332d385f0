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
use cplock::ledger::{Attempt, Facts, Outcome};
use cplock::verify::{Books, Ruling, Verdict};

/// A snapshot of coupon 1.
pub(crate) fn stock(initial: i64, remaining: i64, issued: i64, last_row: i64) -> Snapshot {
    Snapshot { coupon: CouponId(1), initial, remaining, issued, last_row }
}

/// Attempt number `n` in the name of user `n`, at work from `10 n` to `10 n + 15` µs, so that
/// neighbours overlap.
pub(crate) fn attempt(n: u32, outcome: Outcome) -> Attempt {
    let start = u64::from(n) * 10;
    Attempt {
        vu: n,
        iteration: 0,
        request: format!("r{n}"),
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
        request: format!("r{n}"),
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
