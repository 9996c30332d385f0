//! The history of a run in the words of other people's checkers, so that they can check us.
//!
//! The door: which histories there are. `moments.rs` puts calls and ends in the order of time;
//! `jepsen.rs` and `porcupine.rs` write them down. Nothing is judged here. Reading the bundle and
//! printing are `cli`'s.

mod jepsen;
mod moments;
mod porcupine;

use std::io::{self, Write};

use crate::ledger::probes::Probe;
use crate::verify::Books;

/// Which history is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Jepsen: each request is an `add` of a number of its own, the rows of the run are the last
    /// `read`. For the checkers `set` and `set-full`.
    Set,
    /// Jepsen: each claim is an `add` of 1, each probe a `read` of how many units are gone. For the
    /// checker `counter`.
    Counter,
    /// Porcupine: one event a line, in the fields of its `Event`.
    Events,
}

/// Why there is no history. What was written before is to be thrown away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The bundle does not hold what this history is made of. Nothing was written.
    #[error("{0}")]
    Missing(&'static str),
    /// The history could not be written.
    #[error("cannot write the history")]
    Write(#[from] io::Error),
}

/// Writes one history of the run in `books`, with `probes` where it has a place for them (those
/// that got no answer are left out: they say nothing of the service). Beside the books it holds
/// 8 bytes an attempt, and the attempts under way.
///
/// Each VU is a process. One whose request ended unknown is retired: its next request is that of
/// a new process, as the request may still take effect. Moments are in the order of time; of two
/// at the same µs the beginning comes first, as intervals are closed. A VU that begins in the µs
/// in which it ended gets a new process too.
///
/// # Errors
/// [`HistoryError`].
pub fn write(
    history: History,
    books: &Books,
    probes: &[Probe],
    to: &mut dyn Write,
) -> Result<(), HistoryError> {
    match history {
        History::Set => jepsen::set(books, to),
        History::Counter => jepsen::counter(books, probes, to),
        History::Events => porcupine::events(books, probes, to),
    }
}

const NO_LEDGER: HistoryError =
    HistoryError::Missing("there is no ledger.ndjson, so nothing is known of what clients asked");
