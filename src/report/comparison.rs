//! Strategies side by side: one column a strategy, integrity first, price second.

use std::collections::BTreeSet;

use super::table::{Cell, Side, Table, Tone};
use super::{Report, Run, units};
use crate::ledger::measured::{Latency, Measured};
use crate::scenario::Expect;
use crate::verify::{Counts, Ruling};

/// The comparison of all runs of `report`; times in ms, rates a second.
pub fn comparison(report: &Report) -> Table {
    let label = |run: &Run| if run.label.is_empty() { "–".to_owned() } else { run.label.clone() };
    let first = std::iter::once((String::new(), Side::Left));
    let mut table =
        Table::new(first.chain(report.runs.iter().map(|run| (label(run), Side::Right))));
    let mut line = |name: &str, cell: &dyn Fn(&Run) -> Cell| {
        let cells = std::iter::once(Cell::from(name)).chain(report.runs.iter().map(cell));
        table.row(cells);
    };
    line("verdict", &verdict_cell);
    line("lost updates", &|run| damage(run, |counts| counts.lost_updates));
    line("oversold", &|run| damage(run, |counts| counts.oversold));
    line("issued rows", &|run| units::count(counts(run).and_then(|c| c.issued)).into());
    line("remaining", &|run| units::count(counts(run).and_then(|c| c.remaining)).into());
    line("acknowledged", &|run| units::count(run.measured.as_ref().map(|m| m.acknowledged)).into());
    line("refused", &|run| units::count(run.measured.as_ref().map(Measured::refused_total)).into());
    for reason in reasons(report) {
        line(&format!("· {}", reason.replace('_', " ")), &|run| {
            let refused = run.measured.as_ref().map(|m| m.refused.get(&reason).copied());
            units::count(refused.map(Option::unwrap_or_default)).into()
        });
    }
    line("unknown", &unknown_cell);
    line("overtakes", &|run| units::count(run.order.map(|order| order.overtakes)).into());
    line("write mode", &|run| run.write.clone().into());
    line("issued/s", &|run| units::rate(run.issued_per_s()).into());
    line("requests/s", &|run| units::rate(requests_per_s(run)).into());
    for (name, quantile) in QUANTILES {
        line(&format!("latency {name} ms"), &|run| latency(run, quantile).into());
    }
    line("wait p50 ms", &|run| optional_ms(run.waits.and_then(|w| w.wait_p50_us)).into());
    line("hold p50 ms", &|run| optional_ms(run.waits.and_then(|w| w.hold_p50_us)).into());
    table
}

/// One of the figures of a latency distribution.
type Quantile = fn(&Latency) -> u64;

const QUANTILES: [(&str, Quantile); 4] = [
    ("p50", |latency| latency.p50_us),
    ("p95", |latency| latency.p95_us),
    ("p99", |latency| latency.p99_us),
    ("max", |latency| latency.max_us),
];

fn counts(run: &Run) -> Option<&Counts> {
    run.verdict.as_ref().map(|verdict| &verdict.counts)
}

fn verdict_cell(run: &Run) -> Cell {
    let ruling = run.verdict.as_ref().map(|verdict| verdict.verdict);
    let tone = match (ruling, run.expect) {
        (Some(Ruling::Pass), Expect::Pass) | (Some(Ruling::Fail), Expect::Fail) => Tone::Good,
        (Some(Ruling::Fail), Expect::Pass) => Tone::Bad,
        _ => Tone::Doubt,
    };
    Cell::toned(run.verdict_words(), tone)
}

/// A count that must be 0, with its share of the issued rows where it is not.
fn damage(run: &Run, pick: fn(&Counts) -> Option<i64>) -> Cell {
    let Some(counts) = counts(run) else { return units::count(None::<i64>).into() };
    match (pick(counts), counts.issued) {
        (Some(lost), Some(issued)) if lost > 0 && issued > 0 => {
            let percent = units::float(lost) * 100.0 / units::float(issued);
            Cell::toned(format!("{} ({percent:.0} %)", units::count(Some(lost))), Tone::Bad)
        }
        (figure, _) => units::count(figure).into(),
    }
}

fn unknown_cell(run: &Run) -> Cell {
    let Some(measured) = &run.measured else { return units::count(None::<u64>).into() };
    let unknown = measured.unknown_total();
    let resolved = counts(run).and_then(|c| c.unknown_issued.zip(c.unknown_not_issued));
    match resolved.filter(|_| unknown > 0) {
        Some((issued, not)) => {
            let (issued, not) = (units::count(Some(issued)), units::count(Some(not)));
            format!("{} ({issued} issued, {not} not)", units::count(Some(unknown))).into()
        }
        None => units::count(Some(unknown)).into(),
    }
}

/// Every refusal that occurred in any run, in the order of their names.
fn reasons(report: &Report) -> BTreeSet<String> {
    let measured = report.runs.iter().filter_map(|run| run.measured.as_ref());
    measured.flat_map(|measured| measured.refused.keys().cloned()).collect()
}

fn requests_per_s(run: &Run) -> Option<f64> {
    let measured = run.measured.as_ref()?;
    let elapsed_s = units::float(measured.elapsed_ms) / 1e3;
    (elapsed_s > 0.0).then(|| units::float(measured.attempts) / elapsed_s)
}

fn latency(run: &Run, pick: Quantile) -> String {
    optional_ms(run.measured.as_ref().and_then(|m| m.latency.get("all")).map(pick))
}

fn optional_ms(micros: Option<u64>) -> String {
    micros.map_or_else(|| units::count(None::<u64>), units::ms)
}
