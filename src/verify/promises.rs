//! What clients were told against what is there: missing, unexpected, refused but present,
//! unknowns, and promises made twice.

use std::collections::HashMap;

use super::checks::{NEEDS_LEDGER, NEEDS_ROWS, NEEDS_WHOLE_LEDGER, Outcome};
use super::sheet::{AllAsked, Asked, Sheet};
use super::words::{grouped, many, size};
use super::{Join, WITNESSES, Witness};
use crate::ledger::{Attempt, Outcome as Told};

/// Ledger and rows, or which of them is needed and why.
fn joined<'s, 'a>(sheet: &'s Sheet<'a>) -> Result<&'s AllAsked<'a>, (&'static str, &'static str)> {
    let Some(asked) = &sheet.asked else {
        return Err((NEEDS_LEDGER, "what clients were told is not known"));
    };
    if sheet.rows.is_none() {
        return Err((NEEDS_ROWS, "what became of the promises is not known"));
    }
    Ok(asked)
}

/// V06: told yes, and no row.
pub(super) fn missing(sheet: &Sheet<'_>) -> Outcome {
    let asked = match joined(sheet) {
        Ok(asked) => asked,
        Err((needs, why)) => return Outcome::unknown(needs, why),
    };
    let short = |group: &Asked<'_>| (sheet.owed(group) - group.rows).max(0);
    let text = |group: &Asked<'_>| match asked.by {
        Join::Request => format!("request `{}` was acknowledged and has no row", name(group)),
        Join::User => format!(
            "user {} was acknowledged {} but has {}",
            group.first.user,
            many(sheet.owed(group), "unit"),
            many(group.rows, "row")
        ),
        Join::Count => {
            format!("{} and {}", many(group.yes, "acknowledgement"), many(group.rows, "row"))
        }
    };
    let (violations, witnesses) = count(asked, short, text);
    let because = match violations {
        0 => format!("each of {} has its row", many(asked.acknowledged(), "acknowledged request")),
        _ => format!(
            "{} of {} without a row",
            grouped(violations),
            many(asked.acknowledged(), "acknowledged request")
        ),
    };
    let bound = asked.by != Join::Request;
    Outcome::counted(violations, because).shown_by(witnesses).bounded(bound)
}

/// V07: a row that nobody asked for.
pub(super) fn unexpected(sheet: &Sheet<'_>) -> Outcome {
    let asked = match joined(sheet) {
        Ok(asked) => asked,
        Err((needs, why)) => return Outcome::unknown(needs, why),
    };
    let surplus = |group: &Asked<'_>| excess(group) - after_refusal(group);
    let text = |group: &Asked<'_>| {
        format!(
            "{} for `{}`, which was sent {}",
            many(group.rows, "row"),
            name(group),
            many(group.open, "time")
        )
    };
    let (repeated, mut witnesses) = count(asked, surplus, text);
    let room = WITNESSES.saturating_sub(witnesses.len());
    witnesses.extend(asked.strays.iter().take(room).map(|row| Witness {
        text: format!("row {} answers no attempt of the ledger", row.row),
        requests: vec![row.request.clone()],
        rows: vec![row.row],
        users: vec![row.user.0],
        times_us: Vec::new(),
    }));
    let violations = repeated + size(asked.strays.len());
    if violations > 0 && !sheet.books.ledger_complete {
        let because = format!("{} beyond the ledger, which was cut off", many(violations, "row"));
        let unknown = Outcome::unknown(NEEDS_WHOLE_LEDGER, &because);
        return Outcome { observed: Some(violations), ..unknown }.shown_by(witnesses);
    }
    let because = match violations {
        0 => "every row answers an attempt".to_owned(),
        _ => format!("{} that no attempt asked for", many(violations, "row")),
    };
    let bound = asked.by != Join::Request;
    Outcome::counted(violations, because).shown_by(witnesses).bounded(bound)
}

/// V08: told no, and a row is there.
pub(super) fn refused_but_present(sheet: &Sheet<'_>) -> Outcome {
    let asked = match joined(sheet) {
        Ok(asked) => asked,
        Err((needs, why)) => return Outcome::unknown(needs, why),
    };
    let text = |group: &Asked<'_>| match asked.by {
        Join::Request => {
            format!("request `{}` was refused and has {}", name(group), many(group.rows, "row"))
        }
        Join::User | Join::Count => format!(
            "{} where at most {} can be explained",
            many(group.rows, "row"),
            grouped(group.open)
        ),
    };
    let (violations, witnesses) = count(asked, after_refusal, text);
    if violations > 0 && asked.by != Join::Request && !sheet.books.ledger_complete {
        let because = format!("{} beyond the ledger, which was cut off", many(violations, "row"));
        let unknown = Outcome::unknown(NEEDS_WHOLE_LEDGER, &because);
        return Outcome { observed: Some(violations), ..unknown }.shown_by(witnesses);
    }
    let refusals: i128 = asked.groups.iter().map(|group| group.no).sum();
    let because = match violations {
        0 => format!("no row among {}", many(refusals, "refusal")),
        _ => format!("{} although refused", many(violations, "row")),
    };
    let bound = asked.by != Join::Request;
    Outcome::counted(violations, because).shown_by(witnesses).bounded(bound)
}

/// V09: unknown outcomes, decided from the rows; only an impossible total fails.
pub(super) fn unknowns(sheet: &Sheet<'_>) -> Outcome {
    let asked = match joined(sheet) {
        Ok(asked) => asked,
        Err((needs, why)) => return Outcome::unknown(needs, why),
    };
    let sum = |of: &dyn Fn(&Asked<'_>) -> i128| asked.groups.iter().map(of).sum::<i128>();
    let rows = sum(&|group| group.rows) + size(asked.strays.len());
    let least = sum(&|group| sheet.owed(group));
    let most = sum(&|group| group.open);
    let issued = sum(&|group| sheet.recovered(group));
    let doubt = sum(&|group| group.doubt);
    let outside = (least - rows).max(rows - most).max(0);
    if outside > 0 {
        let because = format!(
            "{}: outside what {} acknowledged and {} unknown allow",
            many(rows, "row"),
            grouped(least),
            grouped(doubt)
        );
        if rows > most && !sheet.books.ledger_complete {
            let unknown = Outcome::unknown(NEEDS_WHOLE_LEDGER, &because);
            return Outcome { observed: Some(outside), ..unknown };
        }
        return Outcome::counted(outside, because).bounded(true);
    }
    let because = match doubt {
        0 => "no outcome was unknown".to_owned(),
        _ => format!(
            "{} unknown: {} issued, {} not",
            grouped(doubt),
            grouped(issued),
            grouped(doubt - issued)
        ),
    };
    Outcome::counted(0, because).bounded(asked.by != Join::Request)
}

/// V10: one row promised to two requests, two rows to one request, or a second unit to one user.
pub(super) fn double_acknowledgement(sheet: &Sheet<'_>) -> Outcome {
    let Some(attempts) = &sheet.books.attempts else {
        return Outcome::unknown(NEEDS_LEDGER, "what clients were told is not known");
    };
    let yes = || attempts.iter().filter(|attempt| attempt.outcome == Told::Acknowledged);
    let mut promises = Promises::default();
    for attempt in yes() {
        promises.hear(attempt, sheet.books.one_per_user);
    }
    let because = match promises.broken {
        0 => "no row and no request was promised twice".to_owned(),
        broken => format!("{} made twice", many(broken, "promise")),
    };
    let nameless = yes().any(|attempt| attempt.facts.row.is_none());
    Outcome::counted(promises.broken, because).shown_by(promises.witnesses).bounded(nameless)
}

/// The promises heard so far: the first acknowledgement for each row, request and user.
#[derive(Default)]
struct Promises<'a> {
    rows: HashMap<i64, &'a Attempt>,
    requests: HashMap<&'a str, &'a Attempt>,
    users: HashMap<i64, &'a Attempt>,
    broken: i128,
    witnesses: Vec<Witness>,
}

impl<'a> Promises<'a> {
    /// Compares one acknowledgement with those before it; at most one fault is counted for it.
    fn hear(&mut self, attempt: &'a Attempt, one_per_user: bool) {
        let same = |other: &Attempt| {
            !attempt.request.is_empty() && other.request == attempt.request
                || attempt.facts.row.is_some() && other.facts.row == attempt.facts.row
        };
        let mut found = None;
        if let Some(row) = attempt.facts.row {
            let first = *self.rows.entry(row).or_insert(attempt);
            let replay = one_per_user && attempt.user != 0 && first.user == attempt.user;
            if first.request != attempt.request && !replay {
                found = Some((first, format!("row {row} was promised to two requests")));
            }
        }
        if !attempt.request.is_empty() {
            let first = *self.requests.entry(&attempt.request).or_insert(attempt);
            let two =
                first.facts.row.zip(attempt.facts.row).is_some_and(|(one, other)| one != other);
            if two && found.is_none() {
                let text = format!("request `{}` was promised two rows", attempt.request);
                found = Some((first, text));
            }
        }
        if one_per_user && attempt.user != 0 {
            let first = *self.users.entry(attempt.user).or_insert(attempt);
            if !std::ptr::eq(first, attempt) && !same(first) && found.is_none() {
                let text = format!("user {} was promised a second unit", attempt.user);
                found = Some((first, text));
            }
        }
        if let Some((first, text)) = found {
            self.broken += 1;
            if self.witnesses.len() < WITNESSES {
                self.witnesses.push(twice(first, attempt, text));
            }
        }
    }
}

fn twice(first: &Attempt, second: &Attempt, text: String) -> Witness {
    let mut times_us = vec![first.start_us, first.end_us, second.start_us, second.end_us];
    times_us.sort_unstable();
    Witness {
        text,
        requests: vec![first.request.clone(), second.request.clone()],
        rows: [first.facts.row, second.facts.row].into_iter().flatten().collect(),
        users: vec![first.user, second.user],
        times_us,
    }
}

/// Rows of a group beyond what its attempts can explain.
pub(super) fn excess(asked: &Asked<'_>) -> i128 {
    (asked.rows - asked.open).max(0)
}

/// The part of the excess that refused attempts of the group may have written.
fn after_refusal(asked: &Asked<'_>) -> i128 {
    excess(asked).min(asked.no)
}

/// Sums `violations` over all groups and keeps the first witnesses.
fn count(
    asked: &AllAsked<'_>,
    violations: impl Fn(&Asked<'_>) -> i128,
    text: impl Fn(&Asked<'_>) -> String,
) -> (i128, Vec<Witness>) {
    let mut sum = 0;
    let mut witnesses = Vec::new();
    for group in &asked.groups {
        let here = violations(group);
        sum += here;
        if here > 0 && witnesses.len() < WITNESSES {
            witnesses.push(group.witness(text(group)));
        }
    }
    (sum, witnesses)
}

fn name<'a>(asked: &Asked<'a>) -> &'a str {
    &asked.first.request
}
