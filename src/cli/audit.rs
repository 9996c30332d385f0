//! Closing the books of a run and judging them: the final read of the store, then the pure audit.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use crate::bundle::{self, Bundle, RunFacts};
use crate::coupon::store::Store;
use crate::coupon::{CouponId, Snapshot};
use crate::report::{self, Report, Run};
use crate::scenario::Expect;
use crate::verify::rows::Rows;
use crate::verify::{self, Books, Ruling, Verdict};

/// Looks at the stock that must agree before the books are closed.
const SETTLED_LOOKS: u32 = 3;
/// Pause between two looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);
/// Longest time to wait for the stock to settle: a claim that was cut off may still commit.
const SETTLE_MAX: Duration = Duration::from_mins(1);

/// Reads stock and rows once nothing moves any more, and writes them into `bundle`.
///
/// # Errors
/// The database cannot be read, the stock never settles, or the bundle cannot be written; the
/// bundle then has no `after.json`, so it is still open.
pub(super) async fn close_books(
    bundle: &Bundle,
    store: &Store,
    coupon: CouponId,
) -> anyhow::Result<()> {
    let after = settled(store, coupon).await?;
    let mut rows = bundle.rows_writer()?;
    let mut last = 0;
    loop {
        let page = store.rows(coupon, last).await?;
        let Some(end) = page.last() else { break };
        last = end.row;
        rows.append(&page)?;
    }
    rows.finish()?;
    bundle.write_json(bundle::AFTER, &after)?;
    Ok(())
}

/// The stock, once it reads the same several times in a row.
async fn settled(store: &Store, coupon: CouponId) -> anyhow::Result<Snapshot> {
    let deadline = tokio::time::Instant::now() + SETTLE_MAX;
    let mut last = store.snapshot(coupon).await?;
    let mut same = 1;
    while same < SETTLED_LOOKS {
        tokio::time::sleep(SETTLE_PAUSE).await;
        let now = store.snapshot(coupon).await?;
        same = if now == last { same + 1 } else { 1 };
        last = now;
        anyhow::ensure!(
            tokio::time::Instant::now() < deadline,
            "coupon {} still moves after {} s; stop the load before verifying",
            coupon.0,
            SETTLE_MAX.as_secs()
        );
    }
    Ok(last)
}

/// Judges what `bundle` holds and stores the verdict in it. Pure but for the files: the same
/// bundle gives the same bytes.
///
/// # Errors
/// The bundle cannot be read (with file and line) or written.
fn judge(bundle: &Bundle) -> anyhow::Result<(Verdict, Books)> {
    let books = bundle.read_books().map_err(super::exit::usage)?;
    let verdict = verify::audit(&books);
    bundle.write_json(bundle::VERDICT, &verdict)?;
    let all = if verdict.verdict == Ruling::Pass { Vec::new() } else { verify::violations(&books) };
    bundle.write_lines(bundle::VIOLATIONS, &all)?;
    Ok((verdict, books))
}

/// What is known of a run before its load; what only one kind of run knows is filled in by it.
pub(super) fn facts_of(name: &str, run: &str, coupon: i64, target: String) -> RunFacts {
    RunFacts {
        schema: bundle::RUN_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: name.to_owned(),
        run: run.to_owned(),
        scenario: serde_json::Value::Null,
        strategy: None,
        write: None,
        expect: Expect::Pass,
        one_per_user: false,
        fifo: false,
        coupon,
        started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        target,
        machine: bundle::machine_facts(),
        settings: Vec::new(),
        interrupted: false,
        measured: None,
    }
}

/// Judges the run of `facts` and draws its report again; both are stored in `bundle`.
///
/// # Errors
/// As [`judge`]; the report is the old one then, if there was one.
pub(super) fn conclude(bundle: &Bundle, facts: &RunFacts) -> anyhow::Result<(Verdict, Run)> {
    let judged = judge(bundle)?;
    let entry = entry(facts, Some(&judged));
    let report = report_of(&facts.name, "", facts, vec![entry.clone()]);
    bundle.write_json(bundle::REPORT, &report)?;
    Ok((judged.0, entry))
}

/// The report's entry for a run of `facts`, judged or not.
pub(super) fn entry(facts: &RunFacts, judged: Option<&(Verdict, Books)>) -> Run {
    let attempts = judged.and_then(|(_, books)| books.attempts.as_ref());
    Run {
        label: facts.strategy.clone().unwrap_or_else(|| facts.target.clone()),
        write: facts.write.clone().unwrap_or_default(),
        expect: facts.expect,
        measured: facts.measured.clone(),
        verdict: judged.map(|(verdict, _)| verdict.clone()),
        order: attempts.map(verify::order).filter(|order| order.granted > 0),
        waits: attempts.map(verify::waits),
        settings: facts.settings.clone(),
    }
}

/// The report of one invocation.
pub(super) fn report_of(name: &str, description: &str, facts: &RunFacts, runs: Vec<Run>) -> Report {
    Report {
        schema: report::SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: name.to_owned(),
        description: description.to_owned(),
        started: facts.started.clone(),
        machine: facts.machine.clone(),
        runs,
    }
}

/// The books of a database alone: no ledger, no baseline.
///
/// # Errors
/// The database cannot be read, or does not know the coupon.
pub(super) async fn database_alone(store: &Store, coupon: CouponId) -> anyhow::Result<Books> {
    let after = settled(store, coupon).await?;
    let one_per_user = store.coupon(coupon).await.context("cannot read the coupon")?.one_per_user;
    let mut rows = Rows::default();
    let mut last = 0;
    loop {
        let page = store.rows(coupon, last).await?;
        let Some(end) = page.last() else { break };
        last = end.row;
        for row in &page {
            rows.push(&row.into());
        }
    }
    Ok(Books { one_per_user, after: Some(after), rows: Some(rows), ..Books::default() })
}
