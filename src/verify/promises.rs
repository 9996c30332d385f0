//! What clients were told against what is there: missing, unexpected, refused but present,
//! unknowns, and promises made twice.

use super::answers::both;
use super::checks::{NEEDS_LEDGER, NEEDS_ROWS, NEEDS_WHOLE_LEDGER, Outcome};
use super::sheet::{self, AllAsked, Asked, Sheet};
use super::words::{grouped, many, size};
use super::{Join, Witness};
use crate::ledger::Outcome as Told;
use crate::ledger::attempts::AttemptRef;
use crate::ledger::request::Request;

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
    let short = |group: &Asked| (sheet.owed(group) - i128::from(group.rows)).max(0);
    let text = |group: &Asked| match asked.by {
        Join::Request => {
            format!("request `{}` was acknowledged and has no row", name(asked, group))
        }
        Join::User => format!(
            "user {} was acknowledged {} but has {}",
            asked.first(group).user(),
            many(sheet.owed(group), "unit"),
            many(group.rows, "row")
        ),
        Join::Count => {
            format!("{} and {}", many(group.yes, "acknowledgement"), many(group.rows, "row"))
        }
    };
    let (violations, witnesses) = count(sheet, asked, short, text);
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
    let surplus = |group: &Asked| excess(group) - after_refusal(group);
    let text = |group: &Asked| {
        format!(
            "{} for `{}`, which was sent {}",
            many(group.rows, "row"),
            name(asked, group),
            many(group.open, "time")
        )
    };
    let (repeated, mut witnesses) = count(sheet, asked, surplus, text);
    let room = sheet.room.saturating_sub(witnesses.len());
    witnesses.extend(asked.strays.iter().take(room).map(|row| Witness {
        text: format!("row {} answers no attempt of the ledger", row.row()),
        requests: vec![row.request().to_string()],
        rows: vec![row.row()],
        users: vec![row.user()],
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
    let text = |group: &Asked| match asked.by {
        Join::Request => {
            format!(
                "request `{}` was refused and has {}",
                name(asked, group),
                many(group.rows, "row")
            )
        }
        Join::User | Join::Count => format!(
            "{} where at most {} can be explained",
            many(group.rows, "row"),
            grouped(group.open)
        ),
    };
    let (violations, witnesses) = count(sheet, asked, after_refusal, text);
    if violations > 0 && asked.by != Join::Request && !sheet.books.ledger_complete {
        let because = format!("{} beyond the ledger, which was cut off", many(violations, "row"));
        let unknown = Outcome::unknown(NEEDS_WHOLE_LEDGER, &because);
        return Outcome { observed: Some(violations), ..unknown }.shown_by(witnesses);
    }
    let refusals: i128 = asked.groups.iter().map(|group| i128::from(group.no)).sum();
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
    let sum = |of: &dyn Fn(&Asked) -> i128| asked.groups.iter().map(of).sum::<i128>();
    let rows = sum(&|group| group.rows.into()) + size(asked.strays.len());
    let least = sum(&|group| sheet.owed(group));
    let most = sum(&|group| group.open.into());
    let issued = sum(&|group| sheet.recovered(group));
    let doubt = sum(&|group| group.doubt.into());
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
///
/// At most one fault is counted for each acknowledgement, against the first one of the same row,
/// request or user.
pub(super) fn double_acknowledgement(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::unknown(NEEDS_LEDGER, "what clients were told is not known");
    };
    let one_per_user = sheet.books.one_per_user;
    let yes = || asked.attempts.iter().filter(|told| told.outcome() == Told::Acknowledged);
    let mut twice = Vec::new();
    let rows = yes().filter_map(|told| Some((told.row()?, told)));
    repeated(asked, rows, |row, first, again| {
        let replay = one_per_user && again.user() != 0 && first.user() == again.user();
        if first.request() != again.request() && !replay {
            twice.push((again.index(), first.index(), Twice::Row(row)));
        }
    });
    let mut two_rows = |first: AttemptRef<'_>, again: AttemptRef<'_>| {
        if first.row().zip(again.row()).is_some_and(|(one, other)| one != other) {
            twice.push((again.index(), first.index(), Twice::Request));
        }
    };
    let named = yes().filter(|told| !told.request().is_empty());
    if asked.by == Join::Request {
        let groups = named.map(|told| (asked.group_of(told.index()), told));
        repeated(asked, groups, |_, first, again| two_rows(first, again));
    } else {
        let requests = named.map(|told| (told.request(), told));
        repeated(asked, requests, |_, first, again| two_rows(first, again));
    }
    if one_per_user {
        let same = |one: AttemptRef<'_>, other: AttemptRef<'_>| {
            !one.request().is_empty() && one.request() == other.request()
                || one.row().is_some() && one.row() == other.row()
        };
        let users = yes().filter(|told| told.user() != 0).map(|told| (told.user(), told));
        repeated(asked, users, |_, first, again| {
            if !same(first, again) {
                twice.push((again.index(), first.index(), Twice::User));
            }
        });
    }
    // By acknowledgement, and of several faults of one the first kind.
    twice.sort_unstable();
    twice.dedup_by_key(|(again, _, _)| *again);
    let broken = size(twice.len());
    let because = match broken {
        0 => "no row and no request was promised twice".to_owned(),
        _ => format!("{} made twice", many(broken, "promise")),
    };
    let show = |&(again, first, what): &(usize, usize, Twice)| {
        witness(asked.attempts.get(first), asked.attempts.get(again), what)
    };
    let nameless = yes().any(|told| told.row().is_none());
    let shown = twice.iter().take(sheet.room).map(show).collect();
    Outcome::counted(broken, because).shown_by(shown).bounded(nameless)
}

/// What was promised twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Twice {
    Row(i64),
    Request,
    User,
}

/// Calls `found` for each later attempt of the same key, with the first one of it.
fn repeated<'a, K: Ord + Copy>(
    asked: &AllAsked<'a>,
    keyed: impl Iterator<Item = (K, AttemptRef<'a>)>,
    mut found: impl FnMut(K, AttemptRef<'a>, AttemptRef<'a>),
) {
    // Places instead of attempts: there may be ten million of them.
    let mut keyed: Vec<(K, u32)> =
        keyed.map(|(key, told)| (key, sheet::place(told.index()))).collect();
    keyed.sort_unstable();
    let attempt = |place: u32| asked.attempts.get(place as usize);
    for same in keyed.chunk_by(|one, other| one.0 == other.0) {
        for (key, again) in &same[1..] {
            found(*key, attempt(same[0].1), attempt(*again));
        }
    }
}

fn witness(first: AttemptRef<'_>, again: AttemptRef<'_>, what: Twice) -> Witness {
    let text = match what {
        Twice::Row(row) => format!("row {row} was promised to two requests"),
        Twice::Request => format!("request `{}` was promised two rows", again.request()),
        Twice::User => format!("user {} was promised a second unit", again.user()),
    };
    Witness { text, ..both(first, again) }
}

/// Rows of a group beyond what its attempts can explain.
pub(super) fn excess(asked: &Asked) -> i128 {
    asked.rows.saturating_sub(asked.open).into()
}

/// The part of the excess that refused attempts of the group may have written.
fn after_refusal(asked: &Asked) -> i128 {
    excess(asked).min(asked.no.into())
}

/// Sums `violations` over all groups and keeps the first witnesses.
fn count(
    sheet: &Sheet<'_>,
    asked: &AllAsked<'_>,
    violations: impl Fn(&Asked) -> i128,
    text: impl Fn(&Asked) -> String,
) -> (i128, Vec<Witness>) {
    let mut sum = 0;
    let mut witnesses = Vec::new();
    for group in &asked.groups {
        let here = violations(group);
        sum += here;
        if here > 0 && witnesses.len() < sheet.room {
            witnesses.push(sheet.witness(group, text(group)));
        }
    }
    (sum, witnesses)
}

fn name<'a>(asked: &AllAsked<'a>, group: &Asked) -> Request<'a> {
    asked.first(group).request()
}
