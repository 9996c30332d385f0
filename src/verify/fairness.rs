//! First come, first served: a remark, unless the scenario asks for it.

use std::fmt::Write as _;

use super::checks::{NEEDS_ARRIVALS, Outcome};
use super::order::{Fate, Line, Pair, Passing, Place, order};
use super::sheet::Sheet;
use super::words::{grouped, many, size};
use super::{Ruling, Witness};
use crate::ledger::Outcome as Told;
use crate::ledger::attempts::Attempts;
use crate::ledger::locks::{LockLog, LockedClaim};

/// V22: granted past somebody who was already waiting. Exact, by the server's own numbers.
pub(super) fn fifo(sheet: &Sheet<'_>) -> Outcome {
    let counted = match (&sheet.books.locks, &sheet.books.attempts) {
        (Some(log), _) => by_log(log),
        (None, Some(attempts)) => by_replies(attempts),
        (None, None) => None,
    };
    let Some(mut counted) = counted else {
        let unknown = "in which order requests arrived and were granted is not known";
        return Outcome::aside(NEEDS_ARRIVALS, unknown);
    };
    if let Some((first, without)) = misallocated(sheet).filter(|(_, without)| *without > 0) {
        let (first, without) = (grouped(first), grouped(without));
        let _ = write!(counted.because, "; of the first {first} to arrive {without} got none");
    }
    if sheet.books.declared.fifo {
        return counted;
    }
    // Nobody promised an order: worth a look, not a fault.
    let ruling = if counted.ruling == Ruling::Fail { Ruling::Warn } else { counted.ruling };
    Outcome { ruling, decides: false, ..counted }
}

/// First-come misallocation: of as many claims as there were units, the first to arrive by the
/// server's numbers, how many were sent away. `None` where arrivals are not known.
fn misallocated(sheet: &Sheet<'_>) -> Option<(i128, i128)> {
    let units = usize::try_from(sheet.initial?).ok()?;
    // Arrival and fate in one number: there may be ten million of them.
    let numbered = sheet.books.attempts.iter().flat_map(Attempts::iter).filter_map(|told| {
        let got = match told.outcome() {
            Told::Acknowledged => 1,
            Told::Refused(why) if why.in_good_order() => 0,
            Told::Refused(_) | Told::Unknown(_) => return None,
        };
        told.arrival()?.checked_mul(2)?.checked_add(got)
    });
    let mut numbered: Vec<u64> = numbered.collect();
    numbered.sort_unstable();
    numbered.truncate(units);
    let without = numbered.iter().filter(|number| number.is_multiple_of(2)).count();
    (!numbered.is_empty()).then(|| (size(numbered.len()), size(without)))
}

/// By arrival and grant numbers alone: who was denied is not among them.
fn by_replies(attempts: &Attempts) -> Option<Outcome> {
    let order = order(attempts);
    (order.granted > 1).then(|| {
        let because = match order.overtakes {
            0 => format!("{} granted in order of arrival", many(order.granted, "claim")),
            pairs => format!(
                "{} by {} of {}",
                many(pairs, "overtake"),
                grouped(order.overtakers),
                many(order.granted, "claim")
            ),
        };
        Outcome::counted(order.overtakes.into(), because)
    })
}

/// By the lock log, which knows also who waited and gave up.
fn by_log(log: &LockLog) -> Option<Outcome> {
    let places: Vec<Place> = log.claims.iter().map(place).collect();
    if places.len() < 2 {
        return None;
    }
    let line = Line::new(&places, 0);
    let (overtakes, denied) = (line.overtakes(), line.denied_overtakes());
    let mut because = match overtakes.pairs {
        0 => format!("{} granted in order of arrival", many(overtakes.claims, "claim")),
        pairs => format!(
            "{} of {} overtaken, {} in all, the worst one by {}",
            grouped(overtakes.overtaken),
            many(overtakes.claims, "claim"),
            many(pairs, "overtake"),
            grouped(overtakes.suffered_max)
        ),
    };
    if denied.pairs > 0 {
        let _ = write!(
            because,
            "; {} gave up or went empty-handed while later ones got in",
            grouped(denied.overtaken)
        );
    }
    let releases: Vec<u64> = log.claims.iter().filter_map(LockedClaim::release_sent_us).collect();
    let gaps = line.hand_overs(&releases, 1);
    if let Some((median, p99)) = gaps.median.zip(gaps.p99) {
        let (median, p99) = (grouped(median), grouped(p99));
        let _ = write!(because, "; hand-over gap {median} µs, p99 {p99} µs");
    }
    if let Some(tau) = line.kendall().tau_b {
        let _ = write!(because, "; Kendall's tau {tau:.3}");
    }
    let shown = [&overtakes, &denied].into_iter().flat_map(|passing| shown(log, passing));
    let passed = i128::from(overtakes.pairs) + i128::from(denied.pairs);
    Some(Outcome::counted(passed, because).shown_by(shown.collect()))
}

/// The first and the worst pair.
fn shown(log: &LockLog, passing: &Passing) -> Vec<Witness> {
    let worst = passing.worst.filter(|worst| Some(*worst) != passing.first);
    let witness = |pair: Pair| {
        let names =
            [pair.overtaker, pair.overtaken].map(|at| log.request(&log.claims[at]).to_owned());
        let text = format!("`{}` was let in before `{}`, which came first", names[0], names[1]);
        Witness { text, requests: names.to_vec(), ..Witness::default() }
    };
    passing.first.into_iter().chain(worst).map(witness).collect()
}

/// A claim's place in the lock's line.
fn place(claim: &LockedClaim) -> Place {
    let (until, fate) = match (claim.granted_us(), claim.gave_up_us()) {
        (Some(granted), _) => (granted, Fate::Granted),
        (None, Some(gave_up)) => (gave_up, Fate::GaveUp),
        (None, None) => (u64::MAX, Fate::Gone),
    };
    Place { arrived: claim.arrival, from: claim.asked_us, until, fate, group: None }
}
