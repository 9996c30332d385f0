//! Mutual exclusion: were more inside at once than there are permits? Locks are one permit.
//!
//! A client was surely inside from the answer to its acquire until it sent its release; that is its
//! definite hold. If definite holds are never deeper than the permits, taking each acquire as late
//! and each release as early as can be is an order that explains the history; if they are, none
//! does. So a sweep is exact, without a search.
//!
//! * Equal times are concurrency: a hold that starts at the moment another one ends does not
//!   overlap it. Nor do two holds of no length at one moment. A hold of no length strictly within
//!   another does overlap it: both were surely inside at that moment.
//! * Whose hold it is does not matter, unless the lock is reentrant: an owner is who asks for one
//!   grant (a thread, a token), and a lock that grants the same owner twice lets two pieces of work
//!   in. A reentrant lock may do so, and its owner's overlapping holds count as one.
//! * An acquire of unknown outcome is no hold: its client never entered. A release of any outcome
//!   ends the hold when it was sent. A lease ends the hold when it lapses at the latest: what the
//!   holder does then is the holder's fault, not the lock's.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use super::{compact, count, place};

/// What the lock promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    /// How many may be inside at once.
    pub permits: NonZeroUsize,
    /// Whether an owner who is inside may enter again, on the same permit.
    pub reentrant: bool,
}

/// When one owner was surely inside. Holds are named by their place in the history, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Who; any numbering that tells owners apart.
    pub owner: u64,
    /// The end of the acquire, in µs.
    pub from: u64,
    /// The start of the release or the lapse of the lease, whichever is earlier, in µs;
    /// [`super::NEVER`] if it was not released. Before `from`, there is no definite hold.
    pub until: u64,
}

/// One grant that should have waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The place of a hold that was inside: of the `permits` that would have been the last to
    /// leave, the first to leave.
    pub inside: usize,
    /// The place of the hold that entered all the same.
    pub entered: usize,
    /// When it entered, in µs.
    pub from: u64,
    /// When the first of both left, in µs; until then more were inside than permitted.
    pub until: u64,
}

/// What was found. Without a violation, `violations` is 0 and there is no overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exclusion {
    /// How many holds entered while all permits were taken.
    pub violations: u64,
    /// The most that were inside at once, violation or not.
    pub deepest: u64,
    /// The first violation by time.
    pub first: Option<Overlap>,
    /// The longest violation; of equally long ones the first.
    pub worst: Option<Overlap>,
}

#[derive(Debug, Clone, Copy)]
struct Inside {
    from: u64,
    until: u64,
    owner: u64,
    place: u32,
}

/// Sweeps the holds by time. Some order of acquires and releases explains them if and only if there
/// are no violations.
///
/// Time O(n log n), memory 32 bytes a hold and 16 for each that is inside at once.
pub fn sweep(lock: &Lock, holds: impl Iterator<Item = Hold>) -> Exclusion {
    let mut holds = definite(holds);
    if lock.reentrant {
        merge_by_owner(&mut holds);
    }
    holds.sort_unstable_by_key(|hold| (hold.from, hold.until, hold.place));

    let permits = lock.permits.get();
    let mut found = Exclusion::default();
    // Who is inside, by when they leave: the `permits` last to leave, and all the others. Others
    // leave before any of the last, so that none of them ever becomes one of the last.
    let (mut last, mut others) = (BinaryHeap::new(), BinaryHeap::new());
    for hold in holds {
        for inside in [&mut others, &mut last] {
            while inside.peek().is_some_and(|Reverse((until, _))| *until <= hold.from) {
                inside.pop();
            }
        }
        found.deepest = found.deepest.max(count(last.len() + others.len() + 1));
        if last.len() == permits
            && let Some(Reverse((until, inside))) = last.peek()
        {
            let overlap = Overlap {
                inside: place(*inside),
                entered: place(hold.place),
                from: hold.from,
                until: hold.until.min(*until),
            };
            found.violations += 1;
            found.first = found.first.or(Some(overlap));
            let longer = |worst: Overlap| overlap.until - overlap.from > worst.until - worst.from;
            if found.worst.is_none_or(longer) {
                found.worst = Some(overlap);
            }
        }
        last.push(Reverse((hold.until, hold.place)));
        if last.len() > permits {
            others.extend(last.pop());
        }
    }
    found
}

fn definite(holds: impl Iterator<Item = Hold>) -> Vec<Inside> {
    let holds = holds.enumerate().filter(|(_, hold)| hold.from <= hold.until);
    holds
        .map(|(hold_place, Hold { owner, from, until })| Inside {
            from,
            until,
            owner,
            place: compact(hold_place),
        })
        .collect()
}

/// Makes one hold of all that overlap and have one owner, under the place of the first.
fn merge_by_owner(holds: &mut Vec<Inside>) {
    holds.sort_unstable_by_key(|hold| (hold.owner, hold.from, hold.until, hold.place));
    holds.dedup_by(|next, kept| {
        let again = next.owner == kept.owner && next.from < kept.until;
        if again {
            kept.until = kept.until.max(next.until);
        }
        again
    });
}
