//! Brute force: is there an order of a small history that its object allows? The judge of monitors.
//!
//! The search of Wing and Gong (1993): take any operation that no other one has to come before, as
//! long as the object allows it, and remember the sets of operations that were reached. What the
//! object knows is a function of that set alone, so that a set is all there is to remember. Nothing
//! here shares a thought with the monitors.

use cplock::verify::monitor::holds::Lock;
use cplock::verify::monitor::{Op, dispenser, numbered};

/// A set of operations: bit i is operation i.
type Set = u32;

/// The places in a set.
fn members(set: Set, size: usize) -> impl Iterator<Item = usize> {
    (0..size).filter(move |place| set >> place & 1 == 1)
}

/// What the search knows of an operation: its interval, and whether it surely took effect. One that
/// did not may at any time from `start` on.
struct Event {
    start: u64,
    end: u64,
    sure: bool,
}

/// Whether all sure events can be put in order, with any of the others, such that no event comes
/// before one that had ended when it began, and `allowed(those before, it)` holds for each.
fn explained(events: &[Event], allowed: impl Fn(Set, usize) -> bool) -> bool {
    let set = |wanted: &dyn Fn(&Event) -> bool| {
        (0..events.len())
            .filter(|place| wanted(&events[*place]))
            .fold(0, |set, place| set | 1 << place)
    };
    let sure: Set = set(&|event| event.sure);
    let before: Vec<Set> =
        events.iter().map(|event| set(&|other| other.sure && other.end < event.start)).collect();
    let mut seen = vec![false; 1 << events.len()];
    let mut open: Vec<Set> = vec![0];
    while let Some(done) = open.pop() {
        if done & sure == sure {
            return true;
        }
        for (place, before) in before.iter().enumerate() {
            let next = done | 1 << place;
            if next != done
                && before & done == *before
                && !seen[next as usize]
                && allowed(done, place)
            {
                seen[next as usize] = true;
                open.push(next);
            }
        }
    }
    false
}

/// Whether some order explains what clients of a dispenser were told.
pub(super) fn dispenser(object: &dispenser::Dispenser<'_>, ops: &[Op<dispenser::Told>]) -> bool {
    use dispenser::Told;
    let event = |op: &Op<Told>| {
        let sure = !matches!(op.told, Told::Unknown(_));
        Event { start: op.start, end: op.end, sure }
    };
    let events: Vec<_> = ops.iter().map(event).collect();
    // Who was issued a unit by this operation, once it took effect.
    let buyer = |place: usize| match ops[place].told {
        Told::Issued(user) | Told::Unknown(user) => Some(user),
        _ => None,
    };
    explained(&events, |done, place| {
        let issued = members(done, ops.len()).filter(|place| buyer(*place).is_some()).count();
        let left = object.stock - issued as u64;
        let owns = |user| {
            object.owners.contains(&user)
                || members(done, ops.len()).any(|place| buyer(place) == Some(user))
        };
        match ops[place].told {
            Told::Issued(user) | Told::Unknown(user) => {
                left > 0 && !(object.per_user && owns(user))
            }
            Told::SoldOut => left == 0,
            Told::Read { remaining } => left == remaining,
            Told::Present(user) => !object.per_user || owns(user),
            Told::Absent(user) => !object.per_user || !owns(user),
        }
    })
}

/// Whether some order explains what clients of a numbered dispenser were told.
pub(super) fn numbered(object: &numbered::Numbers, ops: &[Op<numbered::Told>]) -> bool {
    use numbered::Told;
    let event =
        |op: &Op<Told>| Event { start: op.start, end: op.end, sure: op.told != Told::Unknown };
    let events: Vec<_> = ops.iter().map(event).collect();
    explained(&events, |done, place| {
        let largest = members(done, ops.len())
            .filter_map(|place| match ops[place].told {
                Told::Number(value) => Some(value),
                Told::Unknown => None,
            })
            .max();
        let next = match (object.dense, largest) {
            (true, _) => object.first + u64::from(done.count_ones()),
            (false, None) => object.first,
            (false, Some(largest)) => largest + 1,
        };
        match ops[place].told {
            Told::Number(value) if object.dense => value == next && value <= object.last,
            Told::Number(value) => value >= next && value <= object.last,
            Told::Unknown => next <= object.last,
        }
    })
}

/// One call of a lock's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Asks for a grant for this owner.
    Acquire(u64),
    /// Gives back the grant of the acquire at this place.
    Release(usize),
}

/// A call of a lock, and whether it surely took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LockOp {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) call: Call,
    pub(super) sure: bool,
}

/// Whether some order explains what clients of a lock were told.
pub(super) fn lock(object: &Lock, ops: &[LockOp]) -> bool {
    let event = |op: &LockOp| Event { start: op.start, end: op.end, sure: op.sure };
    let events: Vec<_> = ops.iter().map(event).collect();
    explained(&events, |done, place| {
        let did = |call| members(done, ops.len()).any(|place| ops[place].call == call);
        let inside: Vec<u64> = members(done, ops.len())
            .filter(|acquire| !did(Call::Release(*acquire)))
            .filter_map(|acquire| match ops[acquire].call {
                Call::Acquire(owner) => Some(owner),
                Call::Release(_) => None,
            })
            .collect();
        match ops[place].call {
            Call::Release(acquire) => done >> acquire & 1 == 1,
            Call::Acquire(owner) if object.reentrant => {
                let others: std::collections::BTreeSet<_> = inside.iter().copied().collect();
                others.contains(&owner) || others.len() < object.permits.get()
            }
            Call::Acquire(_) => inside.len() < object.permits.get(),
        }
    })
}
