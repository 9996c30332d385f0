//! Exit codes: the only place that decides them. A contract: scripts depend on the numbers.

use std::process::ExitCode;

use crate::scenario::Expect;
use crate::verify::Ruling;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exit {
    /// 0: all invariants hold, and thresholds and baseline.
    Ok,
    /// 1: could not run: cannot connect, cannot write, our own fault.
    CouldNotRun,
    /// 2: wrong usage, or an invalid scenario or bundle.
    Usage,
    /// 3: integrity violated.
    Violated,
    /// 4: inconclusive: a verdict is UNKNOWN or VACUOUS, or the test itself was invalid.
    Inconclusive,
    /// 130: interrupted, and no worse verdict.
    Interrupted,
}

impl Exit {
    /// The number the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::CouldNotRun => 1,
            Self::Usage => 2,
            Self::Violated => 3,
            Self::Inconclusive => 4,
            Self::Interrupted => 130,
        }
    }

    /// The words behind the number, for the last line on stderr.
    pub fn words(self) -> &'static str {
        match self {
            Self::Ok => "the books balance",
            Self::CouldNotRun => "could not run",
            Self::Usage => "wrong usage, or an invalid scenario or bundle",
            Self::Violated => "integrity violated",
            Self::Inconclusive => "inconclusive",
            Self::Interrupted => "interrupted",
        }
    }

    /// Which of two ends is told when both hold: 3 before 130 before 4, and 0 last. Failing to run
    /// at all is told before everything.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Ok => 0,
            Self::Inconclusive => 1,
            Self::Interrupted => 2,
            Self::Violated => 3,
            Self::CouldNotRun => 4,
            Self::Usage => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }

    /// The end that a verdict alone means.
    pub fn of(mark: Ruling) -> Self {
        match mark {
            Ruling::Pass | Ruling::Warn => Self::Ok,
            Ruling::Fail => Self::Violated,
            Ruling::Unknown | Ruling::Vacuous => Self::Inconclusive,
        }
    }

    /// The end that a verdict means where `expected` was announced: a control that did not fail
    /// proves nothing, so the comparison is inconclusive.
    pub fn of_expected(mark: Ruling, expected: Expect) -> Self {
        match (expected, Self::of(mark)) {
            (Expect::Pass, exit) => exit,
            (Expect::Fail, Self::Violated) => Self::Ok,
            (Expect::Fail, _) => Self::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An error that knows its exit code, carried through `anyhow`.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    message: String,
}

/// Wrong usage or an invalid file (exit 2), told with `message`.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
pub(super) fn usage(message: impl ToString) -> anyhow::Error {
    UsageError { message: message.to_string() }.into()
}

#[cfg(test)]
mod tests {
    //! The order of ends, and expectations.

    use super::*;

    #[test]
    fn a_violation_is_told_before_an_interruption_before_doubt() {
        assert_eq!(Exit::Violated.worst(Exit::Interrupted), Exit::Violated);
        assert_eq!(Exit::Inconclusive.worst(Exit::Interrupted), Exit::Interrupted);
        assert_eq!(Exit::Ok.worst(Exit::Inconclusive), Exit::Inconclusive);
    }

    #[test]
    fn a_control_must_fail() {
        assert_eq!(Exit::of_expected(Ruling::Fail, Expect::Fail), Exit::Ok);
        assert_eq!(Exit::of_expected(Ruling::Pass, Expect::Fail), Exit::Inconclusive);
        assert_eq!(Exit::of_expected(Ruling::Vacuous, Expect::Fail), Exit::Inconclusive);
        assert_eq!(Exit::of_expected(Ruling::Fail, Expect::Pass), Exit::Violated);
    }
}
