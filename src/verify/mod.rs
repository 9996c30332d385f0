//! Do the books balance? A pure function from what is known to a [`Verdict`] with its proof.
//!
//! The door holds the words: [`Books`] go in, a [`Verdict`] of [`Finding`]s comes out. `sheet.rs`
//! joins the books once; each check is one function in `checks.rs` and its siblings, listed in one
//! table; `order` measures first come, first served. No I/O, no clock, no async here: the same
//! books give the same bytes.

mod adequacy;
mod answers;
mod causes;
mod checks;
mod exclusion;
mod fairness;
pub(crate) mod index;
pub mod monitor;
pub mod order;
mod promises;
mod reads;
pub mod rows;
mod sales;
mod sheet;
mod stock;
mod stores;
mod words;

use std::collections::BTreeMap;

use crate::coupon::Snapshot;
use crate::ledger::attempts::Attempts;
use crate::ledger::locks::LockLog;
use crate::ledger::probes::Probes;
use rows::Rows;

pub use checks::{CHECKS, Check, Endures};
pub use order::{Order, Waits, order, waits};
pub use words::grouped;

/// Version of the verdict document.
pub const SCHEMA: &str = "cplock.verdict/1";

/// At most this many witnesses are kept for each finding; the total is always exact.
pub const WITNESSES: usize = 10;

/// Everything that is known of one run. Absent parts make the checks that need them UNKNOWN.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    /// Whether one user may hold one unit only.
    pub one_per_user: bool,
    /// Stock and counts before the first attempt. Without it the coupon's whole life is audited.
    pub before: Option<Snapshot>,
    /// Stock and counts after the last attempt, VUs stopped and server drained.
    pub after: Option<Snapshot>,
    /// Rows of this coupon, in any order; those of before the run may be among them.
    pub rows: Option<Rows>,
    /// What clients were told, in any order.
    pub attempts: Option<Attempts>,
    /// Whether every attempt is in `attempts`: false after the load itself was killed.
    pub ledger_complete: bool,
    /// Why `after` and `rows` are not those of a service at rest, as a clause; `None` where they
    /// are, or where nobody looked. What could still be healed is UNKNOWN then.
    pub unsettled: Option<String>,
    /// When the run began, in µs since the Unix epoch, by the load's wall clock.
    pub began_unix_us: Option<u64>,
    /// What was read on the side during the run.
    pub probes: Option<Probes>,
    /// The server's own account of its lock.
    pub locks: Option<LockLog>,
    /// The counter that hands out units before a row is written, at the end, where there is one.
    pub counter: Option<Counter>,
    /// The pipeline between promise and row, at the end, where there is one.
    pub pipeline: Option<Pipeline>,
    /// What the service claims beyond the books.
    pub declared: Declared,
}

/// What a service claims; without the claim its opposite is a remark, not a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Declared {
    /// Stock and row are moved in one transaction.
    pub atomic: bool,
    /// Claims are served in order of arrival.
    pub fifo: bool,
}

/// A counter beside the database (in Redis, say), once nothing moves any more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counter {
    /// Units that it would still hand out.
    pub remaining: i64,
    /// Users that it holds for owners, in any order; absent if it keeps none.
    pub users: Option<Vec<i64>>,
}

/// A pipeline (queue, stream) that turns promises into rows, once nothing moves any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Messages that went in during the run.
    pub accepted: u64,
    /// Messages set aside as undeliverable.
    pub dead: u64,
    /// Messages refused for a reason of the business.
    pub rejected: u64,
    /// Messages that are still inside.
    pub in_flight: u64,
}

/// The result of one check, and of all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Ruling {
    /// Holds.
    Pass,
    /// Holds, with something that a person should look at.
    Warn,
    /// Nothing was tested, so nothing was shown.
    Vacuous,
    /// Cannot be decided from this evidence.
    Unknown,
    /// Violated.
    Fail,
}

impl Ruling {
    /// Every ruling, from the best to the worst: the last one found is the verdict.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Warn, Self::Vacuous, Self::Unknown, Self::Fail];

    /// The word in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Vacuous => "VACUOUS",
            Self::Unknown => "UNKNOWN",
            Self::Fail => "FAIL",
        }
    }
}

/// Whether a number is the whole truth or a limit of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The number is exact.
    Exact,
    /// The number is a lower bound: opposite faults may hide in it.
    Bound,
}

/// What one check found. Every number counts violations, so `expected` is 0.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// `V01` … ; never reused for another meaning.
    pub id: String,
    /// What is checked, in a few words.
    pub name: String,
    /// The result.
    pub verdict: Ruling,
    /// Whether it counts in the whole verdict; false where the scenario does not ask for it or
    /// where the evidence level cannot know it.
    pub decides: bool,
    /// The violation as a formula.
    pub formula: String,
    /// What a sound run shows.
    pub expected: i64,
    /// What this run shows; absent where it cannot be known. Saturates at the ends of `i64`.
    pub observed: Option<i64>,
    /// What is counted.
    pub unit: String,
    /// Whether `observed` is exact.
    pub method: Method,
    /// Whether a FAIL is always a real violation.
    pub sound: bool,
    /// Whether a PASS rules the violation out.
    pub complete: bool,
    /// One sentence for people: why this result.
    pub because: String,
    /// For UNKNOWN: the evidence that is missing.
    pub needs: Option<String>,
    /// How many single violations there are.
    pub total_violations: u64,
    /// The first few of them, in order; at most [`WITNESSES`].
    pub witnesses: Vec<Witness>,
}

/// One violation that can be looked up: in the ledger by request, in the table by row.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// What happened, in one sentence.
    pub text: String,
    /// Request ids concerned.
    pub requests: Vec<String>,
    /// Primary keys of rows concerned.
    pub rows: Vec<i64>,
    /// Users concerned.
    pub users: Vec<i64>,
    /// Moments concerned, in µs since the run's start, in ascending order.
    pub times_us: Vec<u64>,
}

/// How much is known, and therefore what can be decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Level {
    /// Neither a database nor a ledger.
    #[serde(rename = "none")]
    Nothing,
    /// Client ledger alone: promises, but not what became of them.
    #[serde(rename = "ledger")]
    Ledger,
    /// Final state of the database alone: the stock, but nothing of what clients were told.
    E0,
    /// Database and client ledger.
    E1,
    /// These, and reads during the run.
    E2,
    /// These, and the server's lock log.
    E3,
}

impl Level {
    /// What this level means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Nothing => "no evidence",
            Self::Ledger => "client ledger alone",
            Self::E0 => "E0: database alone",
            Self::E1 => "E1: database and client ledger",
            Self::E2 => "E2: database, client ledger and probes",
            Self::E3 => "E3: database, client ledger and lock log",
        }
    }
}

/// How attempts and rows were joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// By request id: each attempt finds its own row.
    Request,
    /// By user id, because no row carries a request id of the ledger: only counts are known.
    User,
    /// By count alone, because the ledger does not know its users either.
    Count,
}

/// What the verdict stands on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// How much is known.
    pub level: Level,
    /// Whether stock and counts of before the run are known.
    pub before: bool,
    /// Whether stock and counts of after the run are known.
    pub after: bool,
    /// Whether the single rows are known.
    pub rows: bool,
    /// Whether the client ledger holds every attempt; absent without a ledger.
    pub ledger_complete: Option<bool>,
    /// How both were joined; absent unless both are known.
    pub join: Option<Join>,
    /// A contradiction in the evidence itself; checks that depend on it are UNKNOWN.
    pub flaw: Option<String>,
}

/// The numbers behind the findings, of this run alone. Absent where not known; `i64` saturates.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Units left when the run began.
    pub initial: Option<i64>,
    /// Units left at its end.
    pub remaining: Option<i64>,
    /// Initial − remaining.
    pub consumed: Option<i64>,
    /// Rows written during the run.
    pub issued: Option<i64>,
    /// Rows that were there before.
    pub issued_before: Option<i64>,
    /// Issued − consumed where positive: rows for which the stock never moved.
    pub lost_updates: Option<i64>,
    /// Consumed − issued where positive: stock that moved without a row.
    pub uncovered: Option<i64>,
    /// Issued − initial where positive.
    pub oversold: Option<i64>,
    /// Attempts in the ledger.
    pub attempts: Option<u64>,
    /// Told yes.
    pub acknowledged: Option<u64>,
    /// Told no, by reason; empty without a ledger.
    pub refused: BTreeMap<String, u64>,
    /// Not known to the client, by reason; empty without a ledger.
    pub unknown: BTreeMap<String, u64>,
    /// Of the unknown: a row shows that it was issued.
    pub unknown_issued: Option<u64>,
    /// Of the unknown: no row, so it was not issued.
    pub unknown_not_issued: Option<u64>,
}

/// All findings and their worst; `verdict.json` is this value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// [`SCHEMA`].
    pub schema: String,
    /// The worst ruling among the findings that decide.
    pub verdict: Ruling,
    /// What it stands on.
    pub evidence: Evidence,
    /// The numbers.
    pub counts: Counts,
    /// One finding a check, in the order of [`CHECKS`].
    pub findings: Vec<Finding>,
    /// What probably went wrong: hypotheses, the most specific first.
    #[serde(default)]
    pub causes: Vec<Cause>,
}

/// A hypothesis on the pattern of failed checks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cause {
    /// What probably went wrong.
    pub cause: String,
    /// Ids of the failed checks that it would explain.
    pub explains: Vec<String>,
    /// What to try.
    pub remedy: String,
}

/// One violation as `violations.ndjson` lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Violation {
    /// The check that found it.
    pub id: String,
    /// What it found.
    #[serde(flatten)]
    pub witness: Witness,
}

/// Every violation of every failed check that can be shown one by one, in the order of [`CHECKS`].
/// Where a verdict shows the first few, this shows all.
pub fn violations(books: &Books) -> Vec<Violation> {
    let sheet = sheet::Sheet::new(books, usize::MAX);
    let findings = CHECKS.iter().map(|check| check.judge(&sheet));
    let listed = findings.filter(|finding| finding.verdict != Ruling::Pass);
    listed
        .flat_map(|Finding { id, witnesses, .. }| {
            witnesses.into_iter().map(move |witness| Violation { id: id.clone(), witness })
        })
        .collect()
}

impl Verdict {
    /// The finding with this id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }
}

/// Judges the books: every check, then the worst ruling among those that decide.
///
/// Never panics, whatever the books hold: what the service did wrong is a finding. Time and memory
/// grow linearly (with one sort) in attempts and rows.
pub fn audit(books: &Books) -> Verdict {
    let sheet = sheet::Sheet::new(books, WITNESSES);
    let findings: Vec<_> = CHECKS.iter().map(|check| check.judge(&sheet)).collect();
    let worst = |ruling: &Ruling| {
        findings.iter().any(|finding| finding.decides && finding.verdict == *ruling)
    };
    let verdict = Ruling::ALL.into_iter().rev().find(worst).unwrap_or(Ruling::Unknown);
    Verdict {
        schema: SCHEMA.to_owned(),
        verdict,
        evidence: sheet.evidence(),
        counts: sheet.counts(),
        causes: causes::causes(&findings),
        findings,
    }
}
