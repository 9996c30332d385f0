//! One verdict as a person reads it: the word first, then each check, then why and what is missing.

use super::table::{Canvas, Cell, Side, Table, Tone};
use super::units::{self, plain};
use crate::verify::{Cause, Finding, Method, Ruling, Verdict};

/// Most witnesses of one finding that are shown; all are in `violations.ndjson`.
const WITNESSES_SHOWN: usize = 3;

/// The whole verdict as text, for a terminal.
pub fn findings(verdict: &Verdict, canvas: Canvas) -> String {
    let mut lines = vec![headline(verdict), evidence(verdict), table(verdict).draw(canvas)];
    for finding in verdict.findings.iter().filter(|finding| tells_why(finding)) {
        let because = plain(&finding.because);
        lines.push(format!("{} {}: {because}", plain(&finding.id), finding.verdict.name()));
        for witness in finding.witnesses.iter().take(WITNESSES_SHOWN) {
            lines.push(format!("    {}", plain(&witness.text)));
        }
        let shown = finding.witnesses.len().min(WITNESSES_SHOWN);
        let more = finding.total_violations.saturating_sub(u64::try_from(shown).unwrap_or(0));
        if shown > 0 && more > 0 {
            lines.push(format!("    … and {} more", units::count(Some(more))));
        }
    }
    lines.extend(verdict.causes.iter().map(cause));
    lines.extend(left_out(verdict));
    lines.join("\n")
}

/// A hypothesis, marked as one.
fn cause(cause: &Cause) -> String {
    format!(
        "Likely cause of {} (a hypothesis): {}.\n    Try: {}",
        plain(&cause.explains.join(" and ")),
        plain(&cause.cause),
        plain(&cause.remedy)
    )
}

/// Whether the finding has a line of the table: what was neither tested nor asked for has none.
fn in_table(finding: &Finding) -> bool {
    finding.decides || !matches!(finding.verdict, Ruling::Unknown | Ruling::Vacuous)
}

/// What the table leaves out, by what is missing, in order of the checks.
fn left_out(verdict: &Verdict) -> Vec<String> {
    let mut groups: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
    for finding in verdict.findings.iter().filter(|finding| !in_table(finding)) {
        let needs = finding.needs.as_deref();
        match groups.iter_mut().find(|(other, _)| *other == needs) {
            Some((_, ids)) => ids.push(&finding.id),
            None => groups.push((needs, vec![&finding.id])),
        }
    }
    let line = |(needs, ids): (Option<&str>, Vec<&str>)| {
        let ids = plain(&ids.join(", "));
        match needs {
            Some(needs) => format!("Not decided without {}: {ids}", plain(needs)),
            None => format!("Not put to the test by this run: {ids}"),
        }
    };
    groups.into_iter().map(line).collect()
}

fn tells_why(finding: &Finding) -> bool {
    match finding.verdict {
        Ruling::Pass => false,
        Ruling::Fail | Ruling::Warn => true,
        Ruling::Unknown | Ruling::Vacuous => finding.decides,
    }
}

/// The verdict in one line, with the numbers that carry it.
pub fn headline(verdict: &Verdict) -> String {
    let counts = &verdict.counts;
    let books = match (counts.initial, counts.remaining, counts.issued) {
        (Some(initial), Some(remaining), Some(issued)) => format!(
            ": initial {} − remaining {} = consumed {}, and {} rows issued",
            units::count(Some(initial)),
            units::count(Some(remaining)),
            units::count(counts.consumed),
            units::count(Some(issued)),
        ),
        _ => String::new(),
    };
    format!("VERDICT {}{books}", verdict.verdict.name())
}

fn evidence(verdict: &Verdict) -> String {
    let evidence = &verdict.evidence;
    let mut line = format!("Evidence: {}", evidence.level.meaning());
    if let Some(flaw) = &evidence.flaw {
        line.push_str("; ");
        line.push_str(&plain(flaw));
    }
    line
}

/// The count of violations; `≥` where opposite faults may hide in it.
fn observed(finding: &Finding) -> String {
    let count = units::count(finding.observed);
    match finding.method {
        Method::Bound if finding.observed.is_some_and(|count| count > 0) => format!("≥ {count}"),
        Method::Bound | Method::Exact => count,
    }
}

/// One line a check. Numbers count violations, so 0 is expected everywhere.
fn table(verdict: &Verdict) -> Table {
    let mut table = Table::new([
        ("", Side::Left),
        ("check", Side::Left),
        ("violations", Side::Right),
        ("unit", Side::Left),
        ("verdict", Side::Left),
        ("needs", Side::Left),
    ]);
    for finding in verdict.findings.iter().filter(|finding| in_table(finding)) {
        let tone = match finding.verdict {
            Ruling::Pass => Tone::Good,
            Ruling::Fail => Tone::Bad,
            Ruling::Unknown | Ruling::Vacuous | Ruling::Warn => Tone::Doubt,
        };
        table.row([
            finding.id.clone().into(),
            finding.name.clone().into(),
            observed(finding).into(),
            finding.unit.clone().into(),
            Cell::toned(finding.verdict.name(), tone),
            finding.needs.clone().unwrap_or_default().into(),
        ]);
    }
    table
}
