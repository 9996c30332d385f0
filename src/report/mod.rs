//! What is shown: finished numbers in, pages out. Never touches a database or a ledger line.
//!
//! [`Report`] is the one document of a run (`report.json`); every drawing is made from it alone:
//! `comparison.rs` (strategies side by side), `summary.rs` (one load), `findings.rs` (one verdict),
//! all on the same `table.rs`. Printing is `cli`'s. `history/` stands apart: it tells the books of
//! a run themselves, in the words of other people's checkers.

pub mod comparison;
pub mod findings;
pub mod history;
pub mod summary;
pub mod table;
pub mod units;

pub use table::terminal_width;

use crate::ledger::measured::Measured;
use crate::scenario::Expect;
use crate::verify::{Order, Ruling, Verdict, Waits};

/// Version of the report document.
pub const SCHEMA: &str = "cplock.report/1";

/// Everything that one invocation found out, for one or several strategies.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of cplock that wrote it.
    pub version: String,
    /// Name of the scenario.
    pub name: String,
    /// The scenario's sentence for people; may be empty.
    pub description: String,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// The machine, as (what, value) in reading order.
    pub machine: Vec<(String, String)>,
    /// One entry a strategy, in the order in which they ran.
    pub runs: Vec<Run>,
}

/// One strategy under one load.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Heading: the strategy, or the target of a load against somebody else's service.
    pub label: String,
    /// Write mode; empty where not known.
    pub write: String,
    /// The verdict that was announced.
    pub expect: Expect,
    /// What the load measured; absent after an audit of a database alone.
    pub measured: Option<Measured>,
    /// The verdict; absent until `verify` has spoken.
    pub verdict: Option<Verdict>,
    /// Grants against arrivals, where the service tells both.
    pub order: Option<Order>,
    /// Medians of wait and hold time, where the service tells them.
    pub waits: Option<Waits>,
    /// Settings and versions that matter, as (what, value) in reading order.
    pub settings: Vec<(String, String)>,
}

impl Run {
    /// The verdict's word, and whether it was the announced one: `FAIL (as expected)`.
    pub fn verdict_words(&self) -> String {
        let Some(verdict) = &self.verdict else { return "not verified".to_owned() };
        let word = verdict.verdict.name();
        match (self.expect, verdict.verdict) {
            (Expect::Fail, Ruling::Fail) => format!("{word} (as expected)"),
            (Expect::Fail, _) => format!("{word} (should have failed)"),
            (Expect::Pass, _) => word.to_owned(),
        }
    }

    /// Rows issued a second over the whole load; absent without rows or load.
    pub fn issued_per_s(&self) -> Option<f64> {
        let issued = self.verdict.as_ref()?.counts.issued?;
        let elapsed_ms = self.measured.as_ref()?.elapsed_ms;
        (elapsed_ms > 0).then(|| units::float(issued) * 1e3 / units::float(elapsed_ms))
    }
}
