//! The server's own account of its lock: who was inside at once, who worked beyond a lease, whether
//! tokens kept their order, and whether every grant ended.

use std::num::NonZeroUsize;

use super::checks::{NEEDS_LOCKS, Outcome};
use super::monitor::holds::{Hold, Lock, Overlap, sweep};
use super::monitor::numbered::{self, Contradiction, Numbers, Told};
use super::monitor::{NEVER, Op};
use super::sheet::Sheet;
use super::words::{grouped, many, moment, size};
use super::{Ruling, Witness};
use crate::ledger::locks::{LockLog, LockedClaim, Release};

/// The strategy that promises no exclusion.
const NO_LOCK: &str = "none";

/// The log of a strategy that locks, or what to say instead.
fn locked<'s>(sheet: &Sheet<'s>) -> Result<&'s LockLog, Box<Outcome>> {
    match &sheet.books.locks {
        None => {
            let unknown = Outcome::aside(NEEDS_LOCKS, "what the server's lock did is not known");
            Err(Box::new(unknown))
        }
        Some(log) if log.about.strategy == NO_LOCK => {
            Err(Box::new(Outcome::untested("this strategy lets everybody in")))
        }
        Some(log) => Ok(log),
    }
}

/// When the lease of a claim had lapsed at the latest, as far as the server can know.
fn lapsed_by(log: &LockLog, claim: &LockedClaim) -> Option<u64> {
    Some(claim.granted_us()?.saturating_add(log.about.lease_us))
}

/// When a claim was surely inside: it was granted and had neither sent its release nor lapsed.
///
/// A release that went well shows that the lease had not lapsed. In any other case it may have been
/// counted from as early as the moment of asking.
fn definite(log: &LockLog, claim: &LockedClaim) -> Option<Hold> {
    let from = claim.granted_us()?;
    let leased = claim.asked_us.saturating_add(log.about.lease_us);
    let until = match (claim.release(), claim.release_sent_us()) {
        (Some(Release::Clean), Some(sent)) => sent,
        (_, Some(sent)) => sent.min(leased),
        (_, None) => leased,
    };
    Some(Hold { owner: claim.arrival, from, until })
}

/// V18: two holders inside at once. Exact, over the time in which each was surely inside.
pub(super) fn mutual_exclusion(sheet: &Sheet<'_>) -> Outcome {
    let log = match locked(sheet) {
        Ok(log) => log,
        Err(outcome) => return *outcome,
    };
    let granted: Vec<&LockedClaim> =
        log.claims.iter().filter(|claim| claim.granted_us().is_some()).collect();
    if granted.len() < 2 {
        return Outcome::untested("fewer than two grants");
    }
    let lock = Lock { permits: NonZeroUsize::MIN, reentrant: false };
    let found = sweep(&lock, granted.iter().filter_map(|claim| definite(log, claim)));
    let because = match found.violations {
        0 => format!("{}, never two inside at once", many(size(granted.len()), "grant")),
        count => format!(
            "{} of {} entered while somebody was inside",
            grouped(count),
            many(size(granted.len()), "grant")
        ),
    };
    let overlap = |found: &Overlap| {
        let (inside, entered) = (granted[found.inside], granted[found.entered]);
        let text = format!(
            "`{}` entered at {} while `{}`, inside since {}, stayed until {}",
            log.request(entered),
            moment(found.from),
            log.request(inside),
            moment(inside.granted_us().unwrap_or(0)),
            moment(definite(log, inside).map_or(0, |hold| hold.until))
        );
        let requests = [inside, entered].map(|claim| log.request(claim).to_owned());
        let times_us = vec![found.from, found.until];
        Witness { text, requests: requests.to_vec(), times_us, ..Witness::default() }
    };
    let mut shown: Vec<Witness> = found.first.iter().map(overlap).collect();
    shown.extend(found.worst.filter(|worst| Some(*worst) != found.first).iter().map(overlap));
    Outcome::counted(found.violations.into(), because).shown_by(shown)
}

/// V19: written when no longer inside: a commit after the release was sent, or after the lease.
pub(super) fn outside_hold(sheet: &Sheet<'_>) -> Outcome {
    let log = match locked(sheet) {
        Ok(log) => log,
        Err(outcome) => return *outcome,
    };
    let commits = || log.claims.iter().filter_map(|claim| Some((claim, claim.commit_sent_us()?)));
    let total = size(commits().count());
    if total == 0 {
        return Outcome::untested("nothing was committed under the lock");
    }
    let late = |(claim, sent): (&LockedClaim, u64)| {
        let released = claim.release_sent_us().is_some_and(|release| release < sent);
        let lapsed = lapsed_by(log, claim).is_some_and(|lapsed| lapsed < sent);
        let why = match (released, lapsed) {
            (true, _) => "after it had released the lock",
            (false, true) => "after its lease had lapsed",
            (false, false) => return None,
        };
        let text = format!("`{}` committed at {} {why}", log.request(claim), moment(sent));
        Some(witness(log, &[claim], text, vec![claim.granted_us().unwrap_or(0), sent]))
    };
    let violations = size(commits().filter_map(late).count());
    let because = match violations {
        0 => format!("each of {} within its hold", many(total, "commit")),
        _ => format!("{} of {} outside its hold", grouped(violations), many(total, "commit")),
    };
    let shown = commits().filter_map(late).take(sheet.room).collect();
    Outcome::counted(violations, because).shown_by(shown)
}

/// V20: fencing tokens: none twice, handed out in order, and none written after a higher one.
pub(super) fn fencing(sheet: &Sheet<'_>) -> Outcome {
    let log = match locked(sheet) {
        Ok(log) => log,
        Err(outcome) => return *outcome,
    };
    let fenced: Vec<(&LockedClaim, u64)> =
        log.claims.iter().filter_map(|claim| Some((claim, claim.token()?))).collect();
    if fenced.len() < 2 {
        return Outcome::untested("this strategy gives no fencing tokens");
    }
    let ops = fenced.iter().map(|(claim, token)| Op {
        start: claim.asked_us,
        end: claim.granted_us().unwrap_or(NEVER),
        told: Told::Number(*token),
    });
    let sparse = Numbers { first: 0, last: u64::MAX, dense: false };
    let grants = numbered::check(&sparse, ops).err();
    let stale = stale_writes(&fenced);
    let violations = size(stale.len()) + i128::from(grants.is_some());
    let because = match violations {
        0 => format!(
            "{}, in order at the grant and at the commit",
            many(size(fenced.len()), "token")
        ),
        _ => format!("{} after one of a later holder", many(size(stale.len()), "commit")),
    };
    let mut shown: Vec<Witness> =
        grants.iter().filter_map(|found| token_witness(log, &fenced, found)).collect();
    shown.extend(stale.iter().take(sheet.room).map(|(late, newer)| {
        let text = format!(
            "`{}` (token {}) committed at {}, after `{}` (token {}) had",
            log.request(late),
            late.token().unwrap_or(0),
            moment(late.commit_sent_us().unwrap_or(0)),
            log.request(newer),
            newer.token().unwrap_or(0)
        );
        let times = [newer.committed_us(), late.commit_sent_us()].into_iter().flatten().collect();
        witness(log, &[newer, late], text, times)
    }));
    Outcome::counted(violations, because).shown_by(shown)
}

/// Commits that were sent after one with a higher token had ended, each with the highest such.
fn stale_writes<'a>(fenced: &[(&'a LockedClaim, u64)]) -> Vec<(&'a LockedClaim, &'a LockedClaim)> {
    let mut ended: Vec<(u64, u64, &LockedClaim)> = fenced
        .iter()
        .filter_map(|(claim, token)| Some((claim.committed_us()?, *token, *claim)))
        .collect();
    ended.sort_unstable_by_key(|(time, token, _)| (*time, *token));
    let mut sent: Vec<(u64, u64, &LockedClaim)> = fenced
        .iter()
        .filter_map(|(claim, token)| Some((claim.commit_sent_us()?, *token, *claim)))
        .collect();
    sent.sort_unstable_by_key(|(time, token, _)| (*time, *token));
    let (mut next, mut highest) = (0, None::<(u64, &LockedClaim)>);
    let mut stale = Vec::new();
    for (time, token, claim) in sent {
        while let Some((_, other, newer)) = ended.get(next).filter(|(end, ..)| *end < time) {
            if highest.is_none_or(|(top, _)| *other > top) {
                highest = Some((*other, newer));
            }
            next += 1;
        }
        if let Some((_, newer)) = highest.filter(|(top, _)| *top > token) {
            stale.push((claim, newer));
        }
    }
    stale
}

fn token_witness(
    log: &LockLog,
    fenced: &[(&LockedClaim, u64)],
    found: &Contradiction,
) -> Option<Witness> {
    let (one, other, how) = match *found {
        Contradiction::Duplicate { first, second, .. } => (first, second, "the same token as"),
        Contradiction::OutOfOrder { earlier, later } => {
            (later.op, earlier.op, "a lower token, asked for after the grant of")
        }
        Contradiction::OutOfRange { .. } | Contradiction::Gap { .. } => return None,
    };
    let ((one, token), (other, _)) = (fenced[one], fenced[other]);
    let text = format!("`{}` has token {token}, {how} `{}`", log.request(one), log.request(other));
    let times = [one, other].iter().filter_map(|claim| claim.granted_us()).collect();
    Some(witness(log, &[one, other], text, times))
}

/// V21: a grant that never ended, though the log did; or a long time in which somebody waited and
/// nobody was inside.
pub(super) fn stuck(sheet: &Sheet<'_>) -> Outcome {
    let log = match locked(sheet) {
        Ok(log) => log,
        Err(outcome) => return *outcome,
    };
    if !log.complete {
        return Outcome::aside(NEEDS_LOCKS, "the server was killed, and its log was cut off");
    }
    let open = |claim: &&LockedClaim| claim.granted_us().is_some() && claim.release().is_none();
    let leaked = || log.claims.iter().filter(open);
    let violations = size(leaked().count());
    let because = match violations {
        0 => "every grant was handed back".to_owned(),
        _ => format!("{} never handed back", many(violations, "grant")),
    };
    let shown = leaked().take(sheet.room).map(|claim| {
        let granted = claim.granted_us().unwrap_or(0);
        let text = format!("`{}`, granted at {}, never ended", log.request(claim), moment(granted));
        witness(log, &[claim], text, vec![granted])
    });
    let counted = Outcome::counted(violations, because).shown_by(shown.collect());
    match drought(log) {
        Some((length, text)) if counted.ruling == Ruling::Pass && length > log.about.lease_us => {
            Outcome::said(Ruling::Warn, Some(0), text)
        }
        _ => counted,
    }
}

/// The longest time from a release to the next grant in which somebody was waiting.
fn drought(log: &LockLog) -> Option<(u64, String)> {
    let mut grants: Vec<(u64, u64)> =
        log.claims.iter().filter_map(|claim| Some((claim.granted_us()?, claim.asked_us))).collect();
    grants.sort_unstable();
    let mut ends: Vec<u64> = log.claims.iter().filter_map(LockedClaim::released_us).collect();
    ends.sort_unstable();
    let longest = ends.iter().filter_map(|end| {
        let next = grants.partition_point(|(granted, _)| granted < end);
        let (granted, asked) = *grants.get(next)?;
        Some((granted - asked.max(*end).min(granted), *end))
    });
    let (length, end) = longest.max()?;
    let text =
        format!("somebody waited {} after {} and nobody was inside", moment(length), moment(end));
    Some((length, text))
}

fn witness(
    log: &LockLog,
    claims: &[&LockedClaim],
    text: String,
    mut times_us: Vec<u64>,
) -> Witness {
    times_us.sort_unstable();
    Witness {
        text,
        requests: claims.iter().map(|claim| log.request(claim).to_owned()).collect(),
        rows: claims.iter().filter_map(|claim| claim.row()).collect(),
        users: Vec::new(),
        times_us,
    }
}
