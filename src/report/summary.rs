//! The page of `load`, in the manner of k6's end-of-test summary: rate, latency over all and over
//! each outcome class, what was told, data, VUs.

use super::number::{bytes, decimal, ms, ms_of_mean, per_second, seconds, share, whole};
use super::table::{Align, Look, Table};
use crate::ledger::measured::Measured;

/// Outcome classes in the order in which they are shown.
pub(super) const CLASSES: [&str; 4] = ["all", "acknowledged", "refused", "unknown"];

/// Draws what a load measured.
pub fn summary(measured: &Measured, look: Look) -> String {
    let tables = [outcomes(measured), latency(measured), totals(measured)];
    let mut paragraphs: Vec<_> = tables.iter().map(|table| table.draw(look)).collect();
    if measured.interrupted {
        paragraphs.push("Interrupted: everything measured until then is shown.".to_owned());
    }
    if measured.vus_lost > 0 {
        let lost = whole(Some(measured.vus_lost));
        paragraphs.push(format!("{lost} VUs broke down: a fault of cplock, not of the service."));
    }
    super::page(paragraphs)
}

/// What clients were told: one line a class, and one for each reason within it.
fn outcomes(measured: &Measured) -> Table {
    let mut table = Table::new([
        ("Told", Align::Left),
        ("Reason", Align::Left),
        ("Requests", Align::Right),
        ("Share", Align::Right),
    ]);
    let mut line = |told: &str, reason: &str, count: u64| {
        let count_text = whole(Some(count));
        table.row([told, reason, &count_text, &share(count, measured.attempts)]);
    };
    line("acknowledged", "", measured.acknowledged);
    for (told, reasons) in [("refused", &measured.refused), ("unknown", &measured.unknown)] {
        if reasons.is_empty() {
            line(told, "", 0);
        }
        for (reason, count) in reasons {
            line(told, reason, *count);
        }
    }
    line("total", "", measured.attempts);
    table
}

/// One line a class that occurred, in ms.
fn latency(measured: &Measured) -> Table {
    let right = |heading| (heading, Align::Right);
    let mut table = Table::new([
        ("Latency in ms", Align::Left),
        right("count"),
        right("min"),
        right("mean"),
        right("median"),
        right("p90"),
        right("p95"),
        right("p99"),
        right("max"),
    ]);
    for class in CLASSES {
        let Some(latency) = measured.latency.get(class) else { continue };
        table.row([
            class.to_owned(),
            whole(Some(latency.count)),
            ms(latency.min_us),
            ms_of_mean(latency.mean_us),
            ms(latency.p50_us),
            ms(latency.p90_us),
            ms(latency.p95_us),
            ms(latency.p99_us),
            ms(latency.max_us),
        ]);
    }
    table
}

fn totals(measured: &Measured) -> Table {
    let mut table =
        Table::new([("Run", Align::Left), ("Total", Align::Right), ("Each second", Align::Right)]);
    let rate = |count: u64| decimal(per_second(count, measured));
    table.row(["requests", &whole(Some(measured.attempts)), &rate(measured.attempts)]);
    table.row(["acknowledged", &whole(Some(measured.acknowledged)), &rate(measured.acknowledged)]);
    for (name, count) in
        [("data sent", measured.bytes_sent), ("data received", measured.bytes_received)]
    {
        let each_second = bytes(count.saturating_mul(1_000) / measured.elapsed_ms.max(1));
        table.row([name, &bytes(count), &each_second]);
    }
    table.row(["connections", &whole(Some(measured.connections))]);
    table.row(["VUs at most", &whole(Some(measured.vus_max))]);
    table.row(["elapsed", &seconds(measured.elapsed_ms)]);
    table
}
