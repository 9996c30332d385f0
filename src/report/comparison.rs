//! The page of `run`: every strategy of a scenario side by side, integrity first, price second.

use std::collections::BTreeMap;

use super::number::{NOT_KNOWN, decimal, ms, plain, seconds, whole};
use super::table::{Align, Look, Table};
use super::{Line, Report, Run};
use crate::ledger::measured::Latency;
use crate::scenario::Expect;

/// Draws a report.
pub fn comparison(report: &Report, look: Look) -> String {
    let head = format!("{}: {}", plain(&report.name), plain(&report.description));
    let tables = [integrity(&report.runs), price(&report.runs)];
    let tables = tables.iter().map(|table| table.draw(look));
    let remarks = report.runs.iter().map(|run| remarks(run).join("\n"));
    super::page([head].into_iter().chain(tables).chain(remarks))
}

fn integrity(runs: &[Run]) -> Table {
    let mut table = Table::new([
        ("Strategy", Align::Left),
        ("Write mode", Align::Left),
        ("Verdict", Align::Left),
        ("Expected", Align::Left),
        ("Lost updates", Align::Right),
        ("Oversold", Align::Right),
        ("Issued", Align::Right),
        ("Acknowledged", Align::Right),
        ("Refused", Align::Right),
        ("Unknown", Align::Right),
    ]);
    for run in runs {
        table.row([
            run.strategy.clone(),
            run.write.clone(),
            run.verdict.name().to_owned(),
            expected(run),
            whole(run.lost_updates),
            whole(run.oversold),
            whole(run.issued),
            whole(Some(run.acknowledged)),
            by_reason(&run.refused),
            unknown(run),
        ]);
    }
    table
}

fn price(runs: &[Run]) -> Table {
    let right = |heading| (heading, Align::Right);
    let mut table = Table::new([
        ("Strategy", Align::Left),
        ("Write mode", Align::Left),
        right("Issued/s"),
        right("Requests/s"),
        right("p50 ms"),
        right("p95 ms"),
        right("p99 ms"),
        right("max ms"),
        right("Wait p50 ms"),
        right("Hold p50 ms"),
        right("Overtakes"),
        right("VUs"),
        right("Elapsed"),
    ]);
    let optional = |us: Option<u64>| us.map_or_else(|| NOT_KNOWN.to_owned(), ms);
    for run in runs {
        let all = run.latency.get("all");
        let quantile = |of: fn(&Latency) -> u64| optional(all.map(of));
        table.row([
            run.strategy.clone(),
            run.write.clone(),
            run.issued_per_s.map_or_else(|| NOT_KNOWN.to_owned(), decimal),
            decimal(run.requests_per_s),
            quantile(|latency| latency.p50_us),
            quantile(|latency| latency.p95_us),
            quantile(|latency| latency.p99_us),
            quantile(|latency| latency.max_us),
            optional(run.wait_p50_us),
            optional(run.hold_p50_us),
            whole(run.overtakes),
            whole(Some(run.vus_max)),
            seconds(run.elapsed_ms),
        ]);
    }
    table
}

fn expected(run: &Run) -> String {
    let asked = match run.expect {
        Expect::Pass => "PASS",
        Expect::Fail => "FAIL",
    };
    if run.as_expected { asked.to_owned() } else { format!("{asked}: no") }
}

/// `22,164 (deadlock 22,164)`, or `0`.
fn by_reason(reasons: &BTreeMap<String, u64>) -> String {
    let total = reasons.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    if total == 0 {
        return "0".to_owned();
    }
    let parts: Vec<_> =
        reasons.iter().map(|(reason, count)| format!("{reason} {}", whole(Some(*count)))).collect();
    format!("{} ({})", whole(Some(total)), parts.join(", "))
}

/// `34 (21 issued, 13 not)`, or `0`.
fn unknown(run: &Run) -> String {
    let total = run.unknown.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    match (total, run.unknown_issued, run.unknown_not_issued) {
        (0, ..) => "0".to_owned(),
        (total, Some(issued), Some(not)) => {
            let (total, issued, not) = (whole(Some(total)), whole(Some(issued)), whole(Some(not)));
            format!("{total} ({issued} issued, {not} not)")
        }
        (total, ..) => whole(Some(total)),
    }
}

/// Sentences on a run that is not as it was asked to be; none on one that is.
fn remarks(run: &Run) -> Vec<String> {
    let name = plain(&format!("{} + {}", run.strategy, run.write));
    let mut lines = Vec::new();
    if run.interrupted {
        lines.push(format!("{name} was interrupted."));
    }
    if run.as_expected {
        return lines;
    }
    if run.expect == Expect::Fail {
        let verdict = run.verdict.name();
        lines.push(format!("{name} was to lose and came out {verdict}: that proves nothing."));
        return lines;
    }
    let worst = |line: &&Line| line.decides && line.verdict == run.verdict;
    for line in run.findings.iter().filter(worst) {
        lines.push(format!("{name}: {} {}: {}", line.id, line.name, plain(&line.because)));
    }
    lines
}
