//! Exact monitors: could *any* order of what clients were told explain it? Near-linear time.
//!
//! A history is linearizable if every operation can be given one instant inside its interval such
//! that an ideal object, asked in the order of those instants, answers just so. That is hard to
//! decide in general; for the three objects here it is not, because the answers fix the order:
//!
//! | Monitor         | Object                                                | Time            |
//! | --------------- | ----------------------------------------------------- | --------------- |
//! | [`dispenser`]   | Hands out units one by one; the answer is a mere yes  | O((n+q) log n)  |
//! | [`numbered`]    | Hands out numbers in order: serials, fencing tokens   | O(n log n)      |
//! | [`holds`]       | A lock or semaphore, by who was surely inside when    | O(n log n)      |
//!
//! What all three share:
//!
//! * **Exact**: a contradiction is real, and where none is reported, an explanation exists.
//! * Intervals are closed and on one monotonic clock. Equal times are concurrency: of two
//!   operations, the one that ends at t and the one that starts at t may come in either order.
//! * An operation of unknown outcome may take effect at any time from its start on, or never.
//! * A witness is small, and enough by itself: at most two operations and a count.
//!
//! What lies outside, so that the caller must keep to bounds, or to parts of the history:
//!
//! * More than one unit a request, or more than one but not any number a user.
//! * Stock that comes back (restock, cancellation): split the history where nothing is in flight.
//! * Answers of yes with and without number for one coupon: the monitors look at one kind each.
//! * Locks: a grant whose lease had lapsed before its answer came, and an acquire of unknown
//!   outcome that was released. Neither has a moment at which its client was surely inside.
//! * Several coupons: each is judged alone, which loses nothing (Herlihy and Wing, 1990).
//!
//! Pure functions on types of their own: nothing here knows of books, ledgers or words for people.

pub mod dispenser;
pub mod holds;
pub mod numbered;
mod steps;
mod users;

/// An `end` for an operation that never ended.
pub const NEVER: u64 = u64::MAX;

/// One operation as its client saw it. Operations are named by their place in the history, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op<T> {
    /// When it was sent, in µs of the run's monotonic clock.
    pub start: u64,
    /// When its answer was there, in the same unit; not before `start`, [`NEVER`] if it was not.
    pub end: u64,
    /// What the client was told.
    pub told: T,
}

/// The place of an operation, as the compact tables keep it: half the size of a `usize`.
///
/// Panics beyond four thousand million operations, whose intervals alone are 64 GiB.
fn compact(place: usize) -> u32 {
    u32::try_from(place).expect("a history has fewer than 2^32 operations")
}

/// The place of an operation, as the caller knows it.
fn place(compact: u32) -> usize {
    usize::try_from(compact).expect("a 32-bit place fits the address space")
}

/// The size of a table, as a count.
fn count(length: usize) -> u64 {
    u64::try_from(length).expect("an address space is at most 64 bits wide")
}
