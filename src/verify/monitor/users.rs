//! The dispenser where one user may hold one unit only: all words about a user become one job.
//!
//! Helper of `dispenser.rs`. A user's unit is issued once, at some time T. A yes over `[a, b]` says
//! a <= T <= b, and then no other request of that user was issued one; else T is at or after the
//! start of the first request of unknown outcome, or there is no T. A word that the user owns a
//! unit, ended at d, says T <= d; a word that the user owns none, begun at c, says c <= T.

use std::collections::BTreeSet;

use super::dispenser::{Contradiction, Job, Told};
use super::{NEVER, Op, compact, count, place};

/// What an operation says of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Issued,
    Present,
    Absent,
    Unknown,
}

/// One word about one user.
#[derive(Debug, Clone, Copy)]
struct Word {
    user: i64,
    start: u64,
    end: u64,
    op: u32,
    says: Says,
}

/// So many words are gathered at once, if `MOST_PARTS` times as many are all there are.
const PART: u64 = 1 << 20;
const MOST_PARTS: u64 = 16;

/// Calls `add` with the job of each user who has one. Users are gathered a part at a time, so that
/// the words of all are never in memory at once.
///
/// # Errors
/// A user whose words contradict each other: of several, the one whose first word comes first in
/// the history.
pub(super) fn each_job<I>(
    owners: &BTreeSet<i64>,
    ops: &I,
    mut add: impl FnMut(Job),
) -> Result<(), Contradiction>
where
    I: Iterator<Item = Op<Told>> + Clone,
{
    let parts = (count(words(ops.clone()).count()) / PART + 1).min(MOST_PARTS);
    let mut gathered = Vec::new();
    let mut first: Option<(u32, Contradiction)> = None;
    for part in 0..parts {
        gathered.clear();
        gathered.extend(words(ops.clone()).filter(|word| part_of(word.user, parts) == part));
        gathered.sort_unstable_by_key(|word: &Word| word.user);
        for words in gathered.chunk_by(|one, other| one.user == other.user) {
            match job(words, owners.contains(&words[0].user)) {
                Ok(job) => job.into_iter().for_each(&mut add),
                Err(found) => {
                    let op = words.iter().map(|word| word.op).min().unwrap_or(0);
                    if first.is_none_or(|(earliest, _)| op < earliest) {
                        first = Some((op, found));
                    }
                }
            }
        }
    }
    first.map_or(Ok(()), |(_, contradiction)| Err(contradiction))
}

/// The words about users, in the order of the operations.
fn words(ops: impl Iterator<Item = Op<Told>>) -> impl Iterator<Item = Word> {
    ops.enumerate().filter_map(|(op_place, Op { start, end, told })| {
        let (user, says) = match told {
            Told::Issued(user) => (user, Says::Issued),
            Told::Present(user) => (user, Says::Present),
            Told::Absent(user) => (user, Says::Absent),
            Told::Unknown(user) => (user, Says::Unknown),
            Told::SoldOut | Told::Read { .. } => return None,
        };
        Some(Word { user, start, end, op: compact(op_place), says })
    })
}

/// The part that a user's words are gathered in: even, whatever the numbering of users.
/// Source: the finalizer of splitmix64 (Steele, Lea and Flood, 2014).
fn part_of(user: i64, parts: u64) -> u64 {
    if parts == 1 {
        return 0;
    }
    let mut bits = user.cast_unsigned();
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) % parts
}

/// The one job of one user, if there is any.
fn job(words: &[Word], owned_before: bool) -> Result<Option<Job>, Contradiction> {
    let user = words[0].user;
    let said = |says| words.iter().filter(move |word| word.says == says);
    let first_sent = |says| said(says).min_by_key(|word| (word.start, word.op));

    let issue = first_sent(Says::Issued);
    let present = said(Says::Present).min_by_key(|word| (word.end, word.op));
    let absent = said(Says::Absent).max_by_key(|word| (word.start, word.op));
    if owned_before {
        return if let Some(issue) = issue {
            Err(Contradiction::IssuedTwice { user, first: None, second: place(issue.op) })
        } else if let Some(absent) = absent {
            Err(Contradiction::Disowned { user, owned: None, absent: place(absent.op) })
        } else {
            Ok(None)
        };
    }
    if let Some(issue) = issue {
        let others = said(Says::Issued).filter(|word| word.op != issue.op);
        if let Some(second) = others.min_by_key(|word| (word.start, word.op)) {
            let (first, second) = (Some(place(issue.op)), place(second.op));
            return Err(Contradiction::IssuedTwice { user, first, second });
        }
    }
    let request = issue.or_else(|| first_sent(Says::Unknown));
    if let Some(claim) = present
        && request.is_none_or(|request| claim.end < request.start)
    {
        let request = request.map(|request| place(request.op));
        return Err(Contradiction::NeverAsked { user, claim: place(claim.op), request });
    }
    let Some(request) = request else { return Ok(None) };
    let owned = issue.into_iter().chain(present).min_by_key(|word| (word.end, word.op));
    if let (Some(owned), Some(absent)) = (owned, absent)
        && owned.end < absent.start
    {
        let (owned, absent) = (Some(place(owned.op)), place(absent.op));
        return Err(Contradiction::Disowned { user, owned, absent });
    }
    Ok(Some(Job {
        from: request.start.max(absent.map_or(0, |absent| absent.start)),
        until: owned.map_or(NEVER, |owned| owned.end),
        mandatory: owned.is_some(),
    }))
}
