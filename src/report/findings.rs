//! The page of `verify`: the verdict first, then every check, then why, then what is not known.

use super::number::{plain, whole};
use super::table::{Align, Look, Table};
use crate::verify::{Finding, Ruling, Verdict};

/// Witnesses shown for each finding; the document holds more.
const SHOWN: usize = 3;

/// Draws a verdict.
pub fn findings(verdict: &Verdict, look: Look) -> String {
    let head = format!(
        "VERDICT {}: {}\nEvidence {}",
        verdict.verdict.name(),
        meaning(verdict.verdict),
        evidence(verdict)
    );
    let all = || verdict.findings.iter();
    let remarks: Vec<_> = all().filter(|finding| explains(finding)).map(remark).collect();
    let mut paragraphs = vec![head, table(verdict).draw(look)];
    paragraphs.extend(all().filter(|finding| finding.verdict == Ruling::Fail).map(why));
    paragraphs.push(remarks.join("\n"));
    paragraphs.push(not_known(verdict).join("\n"));
    super::page(paragraphs)
}

/// What a verdict means, in one line.
fn meaning(verdict: Ruling) -> &'static str {
    match verdict {
        Ruling::Pass => "the books balance",
        Ruling::Warn => "the books balance, with remarks",
        Ruling::Vacuous => "nothing was tested, so nothing was shown",
        Ruling::Unknown => "the evidence does not decide it",
        Ruling::Fail => "the books do not balance",
    }
}

fn evidence(verdict: &Verdict) -> String {
    let mut parts = vec![verdict.evidence.level.meaning().to_owned()];
    let counts = &verdict.counts;
    if let Some(issued) = counts.issued {
        parts.push(format!("{} issued", whole(Some(issued))));
    }
    if let Some(attempts) = counts.attempts {
        parts.push(format!("{} attempts", whole(Some(attempts))));
        let total = |map: &std::collections::BTreeMap<String, u64>| -> u64 {
            map.values().fold(0, |sum, count| sum.saturating_add(*count))
        };
        parts.push(format!("{} acknowledged", whole(counts.acknowledged)));
        parts.push(format!("{} refused", whole(Some(total(&counts.refused)))));
        parts.push(format!("{} unknown", whole(Some(total(&counts.unknown)))));
    }
    if verdict.evidence.ledger_complete == Some(false) {
        parts.push("the ledger was cut off".to_owned());
    }
    parts.extend(verdict.evidence.flaw.as_deref().map(plain));
    parts.join(" · ")
}

fn table(verdict: &Verdict) -> Table {
    let mut table = Table::new([
        ("ID", Align::Left),
        ("Check", Align::Left),
        ("Expected", Align::Right),
        ("Observed", Align::Right),
        ("Unit", Align::Left),
        ("Verdict", Align::Left),
    ]);
    for finding in &verdict.findings {
        let at_least =
            finding.method == crate::verify::Method::Bound && finding.verdict == Ruling::Fail;
        let observed = whole(finding.observed);
        table.row([
            finding.id.clone(),
            finding.name.clone(),
            whole(Some(finding.expected)),
            if at_least { format!("≥ {observed}") } else { observed },
            finding.unit.clone(),
            finding.verdict.name().to_owned(),
        ]);
    }
    table
}

/// Why a check failed, with its first witnesses.
fn why(finding: &Finding) -> String {
    let because = plain(&finding.because);
    let mut lines = vec![format!("Why {} {}: {because}", finding.id, finding.name)];
    for witness in finding.witnesses.iter().take(SHOWN) {
        lines.push(format!("  - {}{}", plain(&witness.text), when(&witness.times_us)));
    }
    let shown = u64::try_from(finding.witnesses.len().min(SHOWN)).unwrap_or(u64::MAX);
    if shown > 0 && finding.total_violations > shown {
        lines.push(format!("  - and {} more", whole(Some(finding.total_violations - shown))));
    }
    lines.join("\n")
}

fn remark(finding: &Finding) -> String {
    format!("{} {}: {}", finding.id, finding.name, plain(&finding.because))
}

fn when(times_us: &[u64]) -> String {
    match (times_us.first(), times_us.last()) {
        (Some(first), Some(last)) => {
            let (first, last) = (super::number::ms(*first), super::number::ms(*last));
            format!(" ({first} to {last} ms after the start)")
        }
        _ => String::new(),
    }
}

/// Whether a check that did not fail has something to say: undecided, remarked, or untested.
fn explains(finding: &Finding) -> bool {
    match finding.verdict {
        Ruling::Warn | Ruling::Vacuous => true,
        Ruling::Pass => finding.observed.is_some_and(|observed| observed != 0),
        Ruling::Unknown => finding.needs.is_none(),
        Ruling::Fail => false,
    }
}

/// What cannot be known: one line for each kind of evidence that is missing.
fn not_known(verdict: &Verdict) -> Vec<String> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for finding in &verdict.findings {
        let Some(needs) = finding.needs.as_deref() else { continue };
        let name = format!("{} {}", finding.id, finding.name);
        match groups.iter_mut().find(|(other, _)| *other == needs) {
            Some((_, names)) => names.push(name),
            None => groups.push((needs, vec![name])),
        }
    }
    let line = |(needs, names): (&str, Vec<String>)| {
        format!("Not known without {}: {}", plain(needs), names.join(", "))
    };
    groups.into_iter().map(line).collect()
}
