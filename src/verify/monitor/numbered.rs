//! The numbered dispenser: each yes carries a number, and numbers are handed out in order.
//!
//! Serials, the remaining count after each issue (as stock less remaining), fencing tokens. The
//! object: the next number. A yes takes it; a request of unknown outcome may, unseen, take it too.
//! Of dense numbers the next is one higher, of sparse ones it is any higher one.
//!
//! The numbers fix the order, so that, with no number twice, only two things can stand in its way:
//!
//! 1. a number that was there before a smaller one was asked for, or
//! 2. with dense numbers: more unseen numbers below one that was handed out than there were
//!    requests of unknown outcome sent by then. (The k-th unseen number goes to the k-th of these
//!    requests; that it must come in time for each larger number is the same as this comparison.)
//!
//! Reads of the count beside the numbers are for `dispenser.rs`, which looks at the same history.

use super::{Op, count};

/// What one client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Yes, with this number.
    Number(u64),
    /// Nothing: a number may have been taken at any time from the start on, or never; when the
    /// client gave up does not matter.
    Unknown,
}

/// The numbers that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// The smallest: with dense numbers, the next one before the history.
    pub first: u64,
    /// The largest; `u64::MAX` for no end.
    pub last: u64,
    /// Whether each number is one higher than the one before. Not so for tokens that are drawn
    /// for other locks too, nor for keys of a database, which rollbacks use up.
    pub dense: bool,
}

/// One number in a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The place of the operation.
    pub op: usize,
    /// The number it was told.
    pub value: u64,
    /// The time of it that matters, in µs: see the field that holds the number.
    pub at: u64,
}

/// Why no order of the operations explains the history. Each is contradictory by itself, without
/// any operation that it does not name or count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// A number that there is not.
    OutOfRange {
        /// The place of the operation.
        op: usize,
        /// The number.
        value: u64,
    },
    /// One number was handed out twice: the smallest such.
    Duplicate {
        /// The number.
        value: u64,
        /// The place of the first operation that has it.
        first: usize,
        /// The place of the second.
        second: usize,
    },
    /// A smaller number was asked for only after a larger one was there: the pair furthest apart.
    OutOfOrder {
        /// The larger number, there at `at`.
        earlier: Number,
        /// The smaller number, asked for at `at`, afterwards.
        later: Number,
    },
    /// Numbers were left out that nobody can have taken: the largest such gap.
    Gap {
        /// The number that was there at `at`.
        number: Number,
        /// How many smaller numbers nobody was told.
        unseen: u64,
        /// How many requests of unknown outcome had been sent by then; fewer than that.
        unknown: u64,
    },
}

/// One number as it was handed out. Without its place, so that ten million fit 240 MB; the places
/// in a witness are looked up again.
#[derive(Debug, Clone, Copy)]
struct Taken {
    value: u64,
    start: u64,
    end: u64,
}

/// Looks for an order of the operations that explains the history. The iterator is gone through
/// twice, once more for a witness, and never collected.
///
/// Time O(n log n), memory 24 bytes a number and 8 a request of unknown outcome.
///
/// # Errors
/// A contradiction, if and only if there is no such order: a number out of range, else a duplicate,
/// else numbers out of order, else a gap.
pub fn check<I>(numbers: &Numbers, ops: I) -> Result<(), Contradiction>
where
    I: Iterator<Item = Op<Told>> + Clone,
{
    let size = ops.clone().filter(|op| op.told != Told::Unknown).count();
    let mut taken = Vec::with_capacity(size);
    let mut unknown = Vec::new();
    for (op_place, Op { start, end, told }) in ops.clone().enumerate() {
        match told {
            Told::Number(value) if value < numbers.first || value > numbers.last => {
                return Err(Contradiction::OutOfRange { op: op_place, value });
            }
            Told::Number(value) => taken.push(Taken { value, start, end }),
            Told::Unknown => unknown.push(start),
        }
    }
    taken.sort_unstable_by_key(|taken| taken.value);
    if let Some(pair) = taken.windows(2).find(|pair| pair[0].value == pair[1].value) {
        let value = pair[0].value;
        let mut places = places(ops, value);
        let mut next = || places.next().expect("a number that was seen is seen again");
        return Err(Contradiction::Duplicate { value, first: next(), second: next() });
    }
    let number = |taken: &Taken, at| {
        let op = places(ops.clone(), taken.value).next();
        Number { op: op.expect("a number that was seen is seen again"), value: taken.value, at }
    };
    if let Some((later, earlier)) = furthest_back(&taken) {
        let (earlier, later) = (number(earlier, earlier.end), number(later, later.start));
        return Err(Contradiction::OutOfOrder { earlier, later });
    }
    if numbers.dense
        && let Some((before, unseen, unknown)) = largest_gap(&taken, numbers.first, unknown)
    {
        return Err(Contradiction::Gap { number: number(before, before.end), unseen, unknown });
    }
    Ok(())
}

/// Where this number is, in the order of the operations.
fn places(ops: impl Iterator<Item = Op<Told>>, value: u64) -> impl Iterator<Item = usize> {
    let is_it = move |(_, op): &(usize, Op<Told>)| op.told == Told::Number(value);
    ops.enumerate().filter(is_it).map(|(op_place, _)| op_place)
}

/// A smaller number and a larger one that was there before the smaller one was asked for.
fn furthest_back(taken: &[Taken]) -> Option<(&Taken, &Taken)> {
    let mut last_asked = taken.first()?;
    let mut furthest: Option<(u64, &Taken, &Taken)> = None;
    for larger in taken {
        let back = last_asked.start.saturating_sub(larger.end);
        if back > furthest.map_or(0, |(back, ..)| back) {
            furthest = Some((back, last_asked, larger));
        }
        if larger.start > last_asked.start {
            last_asked = larger;
        }
    }
    furthest.map(|(_, smaller, larger)| (smaller, larger))
}

/// The number with the most smaller ones that nobody can have taken; how many smaller ones nobody
/// was told; how many requests of unknown outcome can have taken one.
fn largest_gap(taken: &[Taken], first: u64, mut unknown: Vec<u64>) -> Option<(&Taken, u64, u64)> {
    unknown.sort_unstable();
    let mut largest: Option<(u64, &Taken, u64, u64)> = None;
    for (index, number) in taken.iter().enumerate() {
        let unseen = number.value - first - count(index);
        let sent = count(unknown.partition_point(|start| *start <= number.end));
        let missing = unseen.saturating_sub(sent);
        if missing > largest.map_or(0, |(missing, ..)| missing) {
            largest = Some((missing, number, unseen, sent));
        }
    }
    largest.map(|(_, number, unseen, sent)| (number, unseen, sent))
}
