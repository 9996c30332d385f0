//! Answers against each other and against rows: false "already issued", sales after a refusal,
//! numbers, repeated requests, and what a reply said of its row.

use std::collections::HashMap;

use super::checks::{NEEDS_INITIAL, NEEDS_LEDGER, NEEDS_ROWS, NEEDS_WHOLE_LEDGER, Outcome};
use super::monitor::numbered::{self, Contradiction, Numbers};
use super::monitor::{NEVER, Op};
use super::sheet::{AllAsked, Sheet};
use super::words::{grouped, many, size};
use super::{Join, Witness};
use crate::ledger::attempts::AttemptRef;
use crate::ledger::{Outcome as Told, Refusal};

/// V11: told "already issued", and owning nothing: (a) nothing had been asked for by then, or
/// (b) nothing was there at the end.
pub(super) fn false_duplicate(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what clients were told is not known");
    };
    if !sheet.books.one_per_user {
        return Outcome::untested("one user may hold several units here");
    }
    let duplicate = |told: &AttemptRef<'_>| {
        told.outcome() == Told::Refused(Refusal::Duplicate) && told.user() != 0
    };
    let replies = || asked.attempts.iter().filter(duplicate);
    let told = size(replies().count());
    if told == 0 {
        return Outcome::untested("nobody was told to hold one already");
    }
    let Some(rows) = &sheet.rows else {
        return Outcome::unknown(NEEDS_ROWS, "who held a unit is not known");
    };
    if !sheet.books.ledger_complete {
        return Outcome::unknown(NEEDS_WHOLE_LEDGER, "an earlier request of theirs may be lost");
    }
    let mut users: HashMap<i64, Holder> =
        replies().map(|told| (told.user(), Holder::default())).collect();
    for row in rows.iter().chain(sheet.earlier.iter()) {
        users.entry(row.user()).and_modify(|user| user.has_row = true);
    }
    for row in sheet.earlier.iter() {
        users.entry(row.user()).and_modify(|user| user.asked_at = Some(0));
    }
    for told in asked.attempts.iter() {
        if let Some(user) = users.get_mut(&told.user()) {
            user.hear(told);
        }
    }
    let mut wrong = Vec::new();
    for reply in replies() {
        let user = users[&reply.user()];
        if user.asked_at.is_none_or(|asked_at| asked_at > reply.end_us()) {
            wrong.push((reply, "before asking for any"));
        } else if !user.has_row && !user.acknowledged {
            wrong.push((reply, "and holds none"));
        }
    }
    let because = match wrong.len() {
        0 => format!("each of {} was true", many(told, "answer")),
        count => format!("{} of {} untrue", grouped(size(count)), many(told, "answer")),
    };
    let shown = wrong.iter().take(sheet.room).map(|(reply, why)| {
        one(*reply, format!("user {} was told to hold one already {why}", reply.user()))
    });
    Outcome::counted(size(wrong.len()), because).shown_by(shown.collect())
}

/// What speaks for somebody who was told to hold a unit.
#[derive(Clone, Copy, Default)]
struct Holder {
    /// When the first request was sent that can have issued one.
    asked_at: Option<u64>,
    acknowledged: bool,
    has_row: bool,
}

impl Holder {
    fn hear(&mut self, told: AttemptRef<'_>) {
        let yes = told.outcome() == Told::Acknowledged;
        self.acknowledged |= yes;
        if yes || matches!(told.outcome(), Told::Unknown(_)) {
            let start = told.start_us();
            self.asked_at = Some(self.asked_at.map_or(start, |before| before.min(start)));
        }
    }
}

/// V13: sold after somebody had been told that nothing is left.
pub(super) fn sold_after_refusal(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what clients were told is not known");
    };
    let sold_out = |told: &AttemptRef<'_>| told.outcome() == Told::Refused(Refusal::SoldOut);
    let first = asked.attempts.iter().filter(sold_out).min_by_key(|told| told.end_us());
    let Some(first) = first else {
        return Outcome::untested("nobody was told that it is sold out");
    };
    let end = first.end_us();
    // A replay sells nothing: its group owes no row.
    let sold = |told: &AttemptRef<'_>| {
        told.outcome() == Told::Acknowledged && told.start_us() > end && asked.group(*told).yes > 0
    };
    let later: Vec<_> = asked.attempts.iter().filter(sold).collect();
    let because = match later.len() {
        0 => "nothing was sold after the first refusal".to_owned(),
        count => format!("{} sold to requests sent after a sold-out", many(size(count), "unit")),
    };
    let shown = later.iter().take(sheet.room).map(|told| Witness {
        text: format!(
            "`{}` was told sold out by {} µs; `{}`, sent at {} µs, got a unit",
            first.request(),
            grouped(end),
            told.request(),
            grouped(told.start_us())
        ),
        ..both(first, *told)
    });
    Outcome::counted(size(later.len()), because).shown_by(shown.collect())
}

/// V15: the quantity that each reply named, as a number that is handed out once and in order.
pub(super) fn numbers(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what clients were told is not known");
    };
    let told = first_answers(asked);
    if told.is_empty() {
        return Outcome::untested("no reply named the quantity that it took its unit from");
    }
    let Some(initial) = sheet.initial.and_then(|initial| u64::try_from(initial).ok()) else {
        return Outcome::aside(NEEDS_INITIAL, "the initial stock is not known");
    };
    let number = |told: AttemptRef<'_>| {
        let quantity = u64::try_from(told.quantity()?).ok()?;
        // A quantity out of range has no number; 0 is not one.
        Some((initial + 1).saturating_sub(quantity))
    };
    let mut seen: Vec<(u64, u32)> =
        (0..).zip(&told).filter_map(|(index, told)| Some((number(*told)?, index))).collect();
    seen.sort_unstable();
    let repeated = || seen.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let repeats = repeated().count();
    let strange = told.len() - seen.len();

    // A gap accuses only where every taker of a number is known.
    let dense = sheet.books.ledger_complete
        && asked.strays.is_empty()
        && asked.groups.iter().all(|group| group.rows <= group.open)
        && size(seen.len()) == asked.acknowledged();
    let unknown = |told: &AttemptRef<'_>| matches!(told.outcome(), Told::Unknown(_));
    let takers: Vec<AttemptRef<'_>> =
        told.iter().copied().chain(asked.attempts.iter().filter(unknown)).collect();
    let ops = takers.iter().map(|told| {
        let yes = told.outcome() == Told::Acknowledged;
        let value = if yes { number(*told) } else { None };
        let word = value.map_or(numbered::Told::Unknown, numbered::Told::Number);
        Op { start: told.start_us(), end: if yes { told.end_us() } else { NEVER }, told: word }
    });
    let range = Numbers { first: 1, last: initial, dense };
    let contradiction = numbered::check(&range, ops).err();
    let twice = repeated().map(|pair| Contradiction::Duplicate {
        value: pair[0].0,
        first: pair[0].1 as usize,
        second: pair[1].1 as usize,
    });
    let other = contradiction
        .as_ref()
        .is_some_and(|found| !matches!(found, Contradiction::Duplicate { .. }));
    let shown = contradiction.into_iter().filter(|_| other).chain(twice).take(sheet.room);
    let shown = shown.map(|found| number_witness(&found, &takers, initial));
    let wrong = size(repeats) + size(strange) + i128::from(other);
    let because = match wrong {
        0 => format!("{} in order, none twice", many(size(told.len()), "number")),
        _ => format!(
            "{} of {} were read by somebody else too",
            grouped(size(repeats)),
            many(size(told.len()), "quantity number")
        ),
    };
    // Rolled back and retried work leaves gaps that no client saw.
    Outcome::counted(wrong, because).shown_by(shown.collect()).bounded(wrong > 0)
}

/// Acknowledgements that name a quantity, of each request the first.
fn first_answers<'a>(asked: &AllAsked<'a>) -> Vec<AttemptRef<'a>> {
    let mut heard = vec![false; asked.groups.len()];
    let first = |told: &AttemptRef<'_>| {
        told.outcome() == Told::Acknowledged
            && told.quantity().is_some()
            && (asked.by != Join::Request
                || !std::mem::replace(&mut heard[asked.group_of(told.index())], true))
    };
    asked.attempts.iter().filter(first).collect()
}

fn number_witness(found: &Contradiction, takers: &[AttemptRef<'_>], initial: u64) -> Witness {
    let quantity = |value: u64| grouped(i128::from(initial) + 1 - i128::from(value));
    match *found {
        Contradiction::OutOfRange { op, .. } => {
            let text = format!(
                "`{}` was told of {} left, of {}",
                takers[op].request(),
                grouped(takers[op].quantity().unwrap_or(0)),
                grouped(initial)
            );
            one(takers[op], text)
        }
        Contradiction::Duplicate { value, first, second } => Witness {
            text: format!(
                "`{}` and `{}` both took their unit from {} left",
                takers[first].request(),
                takers[second].request(),
                quantity(value)
            ),
            ..both(takers[first], takers[second])
        },
        Contradiction::OutOfOrder { earlier, later } => Witness {
            text: format!(
                "`{}` had its unit from {} left by {} µs; `{}`, sent afterwards, from {} left",
                takers[earlier.op].request(),
                quantity(earlier.value),
                grouped(earlier.at),
                takers[later.op].request(),
                quantity(later.value)
            ),
            ..both(takers[earlier.op], takers[later.op])
        },
        Contradiction::Gap { number, unseen, unknown } => one(
            takers[number.op],
            format!(
                "`{}` took its unit from {} left; {} before it went to nobody, with {} of unknown \
                 outcome sent by then",
                takers[number.op].request(),
                quantity(number.value),
                many(unseen, "unit"),
                many(unknown, "request")
            ),
        ),
    }
}

/// V23: one request, several rows.
pub(super) fn idempotency(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what was asked is not known");
    };
    if sheet.rows.is_none() {
        return Outcome::aside(NEEDS_ROWS, "what became of the requests is not known");
    }
    if asked.by != Join::Request {
        return Outcome::untested("the service stores no request ids");
    }
    let twice = || asked.groups.iter().filter(|group| group.rows > 1);
    let extra: i128 = twice().map(|group| i128::from(group.rows) - 1).sum();
    let because = match extra {
        0 => "no request has two rows".to_owned(),
        _ => format!("{} too many for requests that have one", many(extra, "row")),
    };
    let shown = twice().take(sheet.room).map(|group| {
        let text = format!("request `{}` has {} rows", asked.first(group).request(), group.rows);
        sheet.witness(group, text)
    });
    Outcome::counted(extra, because).shown_by(shown.collect())
}

/// V24: the row that a reply named is somebody else's, or another request's.
pub(super) fn response_truth(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what clients were told is not known");
    };
    let Some(rows) = &sheet.rows else {
        return Outcome::aside(NEEDS_ROWS, "what became of the promises is not known");
    };
    let (mut named, mut wrong, mut shown) = (0_i128, 0_i128, Vec::new());
    let yes = asked.attempts.iter().filter(|told| told.outcome() == Told::Acknowledged);
    for told in yes {
        let Some(row) = told.row() else { continue };
        named += 1;
        // A row that is not there at all is V06's.
        let Some(stored) = rows.find(row).or_else(|| sheet.earlier.find(row)) else { continue };
        let same_user = told.user() == 0 || stored.user() == told.user();
        let replay = sheet.books.one_per_user && told.user() != 0 && same_user;
        let same_request = stored.request().is_empty()
            || told.request().is_empty()
            || asked.by != Join::Request
            || stored.request() == told.request()
            || replay;
        if same_user && same_request {
            continue;
        }
        wrong += 1;
        if shown.len() < sheet.room {
            let text = format!(
                "`{}` of user {} was told row {row}, which is `{}` of user {}",
                told.request(),
                told.user(),
                stored.request(),
                stored.user()
            );
            shown.push(Witness { rows: vec![row], ..one(told, text) });
        }
    }
    if named == 0 {
        return Outcome::untested("no reply named its row");
    }
    let because = match wrong {
        0 => format!(
            "each of {} names its own row",
            many(named, "reply").replace("replys", "replies")
        ),
        _ => format!("{} of {} name another's row", grouped(wrong), grouped(named)),
    };
    Outcome::counted(wrong, because).shown_by(shown)
}

/// A witness of one attempt.
pub(super) fn one(told: AttemptRef<'_>, text: String) -> Witness {
    Witness {
        text,
        requests: vec![told.request().to_string()],
        rows: told.row().into_iter().collect(),
        users: vec![told.user()],
        times_us: vec![told.start_us(), told.end_us()],
    }
}

/// A witness of two attempts, without its text.
pub(super) fn both(one: AttemptRef<'_>, other: AttemptRef<'_>) -> Witness {
    let mut times_us = vec![one.start_us(), one.end_us(), other.start_us(), other.end_us()];
    times_us.sort_unstable();
    Witness {
        text: String::new(),
        requests: vec![one.request().to_string(), other.request().to_string()],
        rows: [one.row(), other.row()].into_iter().flatten().collect(),
        users: vec![one.user(), other.user()],
        times_us,
    }
}
