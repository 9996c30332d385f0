//! First come, first served: a [`Line`] of [`Place`]s goes in, counts with witnesses come out.
//! Facts, not a judgement: what is too much, the caller says.
//!
//! `line.rs` sorts the places once. `overtakes.rs` counts who was served past whom, `rank.rs` how
//! far grants kept the order of arrivals, `gaps.rs` the time in which somebody waited and nobody
//! was served, `shares.rs` who got a unit and who did not. `replies.rs` is the short form for
//! reports, from what replies say of themselves. `tally.rs` and `numbers.rs` are tools. Nothing
//! here reads a ledger or a lock log, or makes places of them.

mod gaps;
mod line;
mod numbers;
mod overtakes;
mod rank;
mod replies;
mod shares;
mod tally;

pub use gaps::{Drought, Gap, HandOvers, Patience, Starvation};
pub use line::Line;
pub use overtakes::Passing;
pub use rank::{Displacement, Kendall};
pub use replies::{Order, Waits, order, waits};
pub use shares::{FirstCome, Jain, ServedAfterRefusal};

/// One claim in a line: of a lock (granted: it may enter) or of a coupon (granted: it got a unit).
///
/// Two axes. `arrived` is compared with `arrived` alone; `from` and `until` of all places, and
/// releases, are compared with each other. On both, greater is later and equal is "either way".
/// A server process's own numbers (arrival number; position in its lock log) are exact; clients'
/// clocks, in µs since the run's start, need a slack (see [`Line::new`]). Waits, gaps and droughts
/// are in the unit of `from` and `until`, so these two are µs wherever such lengths are asked for.
///
/// 32 bytes. `until` before `from` (a clock that jumped) is taken as no wait at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Key of arrival: the server's arrival number, or the client's moment of sending.
    pub arrived: u64,
    /// When it began to wait. 0 where the order of arrival is the order of beginning to wait.
    pub from: u64,
    /// When the wait ended, as `fate` has it; for a granted claim the order key of its grant.
    pub until: u64,
    /// How the wait ended.
    pub fate: Fate,
    /// The instance, tenant or zone that it belongs to.
    pub group: Option<u16>,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It got what it waited for.
    Granted,
    /// Told that nothing is left.
    Denied,
    /// Not served in time: it left the line, or was sent away.
    GaveUp,
    /// Left for a reason that is its own (cut off, wrong request, duplicate), or that nobody knows:
    /// never counted as refused, nor as entitled.
    Gone,
}

/// One claim and another that was served before it, as indices into the places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Arrived first.
    pub overtaken: usize,
    /// Arrived later, served.
    pub overtaker: usize,
}

impl Place {
    fn is_granted(&self) -> bool {
        self.fate == Fate::Granted
    }

    /// Whether it waited for any time at all.
    fn waits(&self) -> bool {
        self.from < self.until
    }

    fn wait(&self) -> u64 {
        self.until.saturating_sub(self.from)
    }
}
