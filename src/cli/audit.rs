//! Closing the books of a run and judging them: the final read of the store, then the pure audit.
//! Waiting for the store to come to rest is `rest.rs`.

use std::time::SystemTime;

use anyhow::Context as _;

use super::rest::Patience;
use crate::bundle::{self, Bundle, Rest, RunFacts};
use crate::coupon::store::Store;
use crate::coupon::{CouponId, Snapshot};
use crate::report::{self, Report, Run};
use crate::scenario::Expect;
use crate::verify::rows::Rows;
use crate::verify::{self, Books, Ruling, Verdict};

/// Reads stock and rows once nothing moves any more, or at the deadline, and writes them into
/// `bundle`.
///
/// # Errors
/// The database cannot be read, or the bundle cannot be written; the bundle then has no
/// `after.json`, so it is still open.
pub(super) async fn close_books(
    bundle: &Bundle,
    store: &Store,
    coupon: CouponId,
    patience: Patience,
) -> anyhow::Result<()> {
    let (after, rest) = patience.rest(store, coupon).await?;
    let mut rows = bundle.rows_writer()?;
    let mut last = 0;
    loop {
        let page = store.rows(coupon, last).await?;
        let Some(end) = page.last() else { break };
        last = end.row;
        rows.append(&page)?;
    }
    rows.finish()?;
    bundle.write_json(bundle::REST, &rest)?;
    // Last: it is what closes the books.
    bundle.write_json(bundle::AFTER, &after)?;
    Ok(())
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

/// [`conclude`] for books that were closed a moment ago: looks at the store once more some time
/// after the verdict, and judges again if anything came in late.
///
/// # Errors
/// As [`conclude`], or the database cannot be read any more; the first verdict is stored then.
pub(super) async fn conclude_guarded(
    bundle: &Bundle,
    facts: &RunFacts,
    store: &Store,
    patience: Patience,
) -> anyhow::Result<(Verdict, Run)> {
    let concluded = conclude(bundle, facts)?;
    let after: Snapshot = bundle.read_json(bundle::AFTER)?;
    let mut rest: Rest = bundle.read_json(bundle::REST)?;
    let moved = patience.moved_since(store, &after, &mut rest).await?;
    bundle.write_json(bundle::REST, &rest)?;
    if moved { conclude(bundle, facts) } else { Ok(concluded) }
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

/// Judges a database alone: no ledger, no baseline. Looks once more some time after the verdict.
///
/// # Errors
/// The database cannot be read, or does not know the coupon.
pub(super) async fn database_alone(
    store: &Store,
    coupon: CouponId,
    patience: Patience,
) -> anyhow::Result<Verdict> {
    let (after, mut rest) = patience.rest(store, coupon).await?;
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
    let mut books = Books {
        one_per_user,
        after: Some(after.clone()),
        rows: Some(rows),
        unsettled: rest.unsettled(),
        ..Books::default()
    };
    let verdict = verify::audit(&books);
    if !patience.moved_since(store, &after, &mut rest).await? {
        return Ok(verdict);
    }
    books.unsettled = rest.unsettled();
    Ok(verify::audit(&books))
}
