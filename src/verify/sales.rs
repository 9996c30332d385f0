//! Who was sent away: sold-out replies while units were left, and units that nobody got.

use super::answers::one;
use super::checks::{NEEDS_INITIAL, NEEDS_LEDGER, NEEDS_ROWS, Outcome};
use super::promises::excess;
use super::sheet::{AllAsked, Sheet};
use super::words::{distinct, grouped, many, size};
use super::{Join, Ruling, Witness};
use crate::ledger::attempts::AttemptRef;
use crate::ledger::{Outcome as Told, Refusal};

/// V12: told "sold out" while units were left.
///
/// (a) By the end of the reply fewer issues had begun than there were units; (b) units were left
/// at the end, and nothing is ever put back.
pub(super) fn premature_sold_out(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::unknown(NEEDS_LEDGER, "what clients were told is not known");
    };
    let replies = || asked.attempts.iter().filter(|attempt| sold_out(*attempt));
    let told = size(replies().count());
    if told == 0 {
        return Outcome::untested("nobody was told that it is sold out");
    }
    let Some(initial) = sheet.initial else {
        return Outcome::unknown(NEEDS_INITIAL, "the initial stock is not known");
    };
    let unsold = sheet.issued.map_or(0, |issued| initial - issued);
    if unsold > 0 {
        let because = format!(
            "{} told although {} left at the end",
            many(told, "sold-out answer"),
            left(unsold)
        );
        let witnesses = replies().take(sheet.room).map(|reply| witness(reply, unsold)).collect();
        return Outcome::counted(told, because).shown_by(witnesses);
    }
    let begun = begun(sheet, asked);
    let (early, worst, witnesses) = too_early(replies(), &begun, (initial, sheet.room));
    let because = match early {
        0 => format!("{} told, none while units were surely left", grouped(told)),
        _ => format!("{} told while up to {} left", grouped(early), left(worst)),
    };
    let counted = Outcome::counted(early, because).shown_by(witnesses).bounded(true);
    if sheet.issued.is_none() && counted.ruling == Ruling::Pass {
        return Outcome { ruling: Ruling::Unknown, needs: Some(NEEDS_ROWS), ..counted };
    }
    counted
}

/// V14: units that were asked for in good order and never sold. A remark, not a fault of the books.
pub(super) fn lost_sales(sheet: &Sheet<'_>) -> Outcome {
    let aside = |outcome: Outcome| Outcome { decides: false, ..outcome };
    let Some(asked) = &sheet.asked else {
        return aside(Outcome::unknown(NEEDS_LEDGER, "how many asked is not known"));
    };
    let (Some(initial), Some(issued)) = (sheet.initial, sheet.issued) else {
        return aside(Outcome::unknown(NEEDS_ROWS, "how many were issued is not known"));
    };
    let demand = demand(asked, sheet.books.one_per_user);
    let lost = (demand.min(initial.max(0)) - issued).max(0);
    let because = format!(
        "{} asked for {}, {} issued: {} not sold for other reasons than stock",
        grouped(demand),
        many(initial.max(0), "unit"),
        grouped(issued),
        grouped(lost)
    );
    aside(Outcome::said(Ruling::Pass, Some(lost), because))
}

fn sold_out(attempt: AttemptRef<'_>) -> bool {
    attempt.outcome() == Told::Refused(Refusal::SoldOut)
}

fn left(units: i128) -> String {
    format!("{} {}", many(units, "unit"), if units == 1 { "was" } else { "were" })
}

/// When issues may have begun, so that no correct refusal is ever blamed.
struct Begun {
    /// Starts of attempts that took effect or may have, ascending.
    starts: Vec<u64>,
    /// Rows that no attempt explains: may have taken their unit at any time.
    any_time: i128,
}

fn begun(sheet: &Sheet<'_>, asked: &AllAsked<'_>) -> Begun {
    let by_row = asked.by == Join::Request && sheet.rows.is_some();
    let mut starts = Vec::new();
    for attempt in asked.attempts.iter() {
        let has_row = by_row && asked.groups[asked.group_of(attempt.index())].rows > 0;
        let effective = match attempt.outcome() {
            Told::Acknowledged => true,
            Told::Unknown(_) => has_row || !by_row,
            Told::Refused(_) => has_row,
        };
        if effective {
            starts.push(attempt.start_us());
        }
    }
    starts.sort_unstable();
    let unexplained: i128 = asked.groups.iter().map(excess).sum();
    Begun { starts, any_time: unexplained + size(asked.strays.len()) }
}

/// Sold-out replies before `initial` issues can have begun: how many, the widest margin in units,
/// and the first of them.
fn too_early<'a>(
    replies: impl Iterator<Item = AttemptRef<'a>>,
    begun: &Begun,
    (initial, room): (i128, usize),
) -> (i128, i128, Vec<Witness>) {
    let (mut early, mut worst, mut witnesses) = (0, 0, Vec::new());
    for reply in replies {
        let most = size(begun.starts.partition_point(|start| *start <= reply.end_us()));
        let margin = initial - most - begun.any_time;
        if margin > 0 {
            early += 1;
            worst = worst.max(margin);
            if witnesses.len() < room {
                witnesses.push(witness(reply, margin));
            }
        }
    }
    (early, worst, witnesses)
}

fn witness(reply: AttemptRef<'_>, units: i128) -> Witness {
    let text =
        format!("request `{}` was told sold out while {} left", reply.request(), left(units));
    Witness { rows: Vec::new(), ..one(reply, text) }
}

/// How many units were asked for in good order: users where each may hold one, else requests.
fn demand(asked: &AllAsked<'_>, one_per_user: bool) -> i128 {
    let eligible = |attempt: &AttemptRef<'_>| match attempt.outcome() {
        Told::Acknowledged | Told::Unknown(_) => true,
        Told::Refused(why) => why.in_good_order(),
    };
    let eligible = asked.attempts.iter().filter(eligible);
    match (one_per_user, asked.by) {
        (true, _) => distinct(eligible.map(AttemptRef::user)),
        // The same, at a tenth of the memory.
        (false, Join::Request) => distinct(eligible.map(|told| asked.group_of(told.index()))),
        (false, Join::User | Join::Count) => distinct(eligible.map(AttemptRef::request)),
    }
}
