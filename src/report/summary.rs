//! One load as k6 users expect it: rate, latency over all and by outcome, checks, data, VUs.

use super::table::{Canvas, Cell, Side, Table};
use super::units;
use crate::ledger::measured::{Measured, Probed};

/// The whole summary as text, for a terminal.
pub fn summary(measured: &Measured, canvas: Canvas) -> String {
    let mut parts = vec![checks(measured).draw(canvas)];
    if !measured.latency.is_empty() {
        parts.push(latency(measured).draw(canvas));
    }
    if let Some(probes) = &measured.probes {
        parts.push(probes_line(probes));
    }
    if measured.vus_lost > 0 {
        parts.push(format!("{} VUs ended by a fault of cplock itself", measured.vus_lost));
    }
    parts.join("\n")
}

/// What happened, how often, how fast.
fn checks(measured: &Measured) -> Table {
    let elapsed_s = units::float(measured.elapsed_ms.max(1)) / 1e3;
    let total = units::float(measured.attempts).max(1.0);
    let mut table = Table::new([
        ("", Side::Left),
        ("count", Side::Right),
        ("per second", Side::Right),
        ("share", Side::Right),
    ]);
    let mut line = |name: String, count: u64| {
        let share = units::float(count) * 100.0 / total;
        table.row([
            name.into(),
            units::count(Some(count)).into(),
            units::rate(Some(units::float(count) / elapsed_s)).into(),
            format!("{share:.2} %").into(),
        ]);
    };
    line("requests".to_owned(), measured.attempts);
    line("acknowledged".to_owned(), measured.acknowledged);
    line("refused".to_owned(), measured.refused_total());
    for (reason, count) in &measured.refused {
        line(format!("· {}", reason.replace('_', " ")), *count);
    }
    line("unknown".to_owned(), measured.unknown_total());
    for (reason, count) in &measured.unknown {
        line(format!("· {}", reason.replace('_', " ")), *count);
    }
    let mut plain = |name: &str, value: String| table.row([name.into(), Cell::from(value)]);
    plain("time", units::seconds(measured.elapsed_ms));
    plain("VUs at most", units::count(Some(measured.vus_max)));
    plain("connections", units::count(Some(measured.connections)));
    plain("data sent", units::bytes(measured.bytes_sent));
    plain("data received", units::bytes(measured.bytes_received));
    table
}

/// What was asked on the side, and how long that took.
fn probes_line(probes: &Probed) -> String {
    let count = units::count(Some(probes.count));
    let [p50, p95] = [probes.p50_us, probes.p95_us].map(units::ms);
    let failed = if probes.failed > 0 {
        format!(", {} failed", units::count(Some(probes.failed)))
    } else {
        String::new()
    };
    format!("{count} probes beside the VUs: median {p50} ms, p95 {p95} ms{failed}")
}

/// Latency in ms, over all and for each outcome class that occurred.
fn latency(measured: &Measured) -> Table {
    let mut table = Table::new(
        [("latency in ms", Side::Left)].into_iter().chain(
            ["count", "min", "mean", "median", "p90", "p95", "p99", "max"]
                .map(|heading| (heading, Side::Right)),
        ),
    );
    for class in ["all", "acknowledged", "refused", "unknown"] {
        let Some(latency) = measured.latency.get(class).filter(|latency| latency.count > 0) else {
            continue;
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of µs")]
        let mean_us = latency.mean_us.round() as u64;
        let times = [
            latency.min_us,
            mean_us,
            latency.p50_us,
            latency.p90_us,
            latency.p95_us,
            latency.p99_us,
            latency.max_us,
        ];
        let first = [Cell::from(class), units::count(Some(latency.count)).into()];
        table.row(first.into_iter().chain(times.map(|time| units::ms(time).into())));
    }
    table
}
