//! The table of checks, and how one of them becomes a finding.
//!
//! A new check is one function in the file of its idea and one line in [`CHECKS`].

use super::sheet::{Flaw, Sheet};
use super::words::{narrow, total};
use super::{Finding, Level, Method, Ruling, Witness};
use super::{adequacy, answers, exclusion, fairness, promises, reads, sales, stock, stores};

/// One check: what it looks for, how sure it is, and the function that looks.
pub struct Check {
    /// `V01` … ; see [`Finding::id`].
    pub id: &'static str,
    /// What is checked, in a few words.
    pub name: &'static str,
    /// The violation as a formula.
    pub formula: &'static str,
    /// What is counted, in the plural.
    pub unit: &'static str,
    /// Whether a PASS rules the violation out, given the evidence that it asks for.
    pub complete: bool,
    /// How far a FAIL stands when the evidence contradicts itself.
    pub endures: Endures,
    run: fn(&Sheet<'_>) -> Outcome,
}

/// How far a FAIL stands when the evidence contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endures {
    /// It could be healed by what is still moving: becomes UNKNOWN.
    Never,
    /// More rows can only make it worse: stands while rows are still moving.
    Moving,
    /// Each witness stands for itself.
    Always,
    /// It asks for no books at all, so that even a PASS stands.
    Whatever,
}

/// What a check's function says.
pub(super) struct Outcome {
    pub(super) ruling: Ruling,
    pub(super) decides: bool,
    pub(super) observed: Option<i128>,
    pub(super) method: Method,
    pub(super) because: String,
    pub(super) needs: Option<&'static str>,
    pub(super) violations: i128,
    pub(super) witnesses: Vec<Witness>,
}

impl Outcome {
    /// PASS when `violations` is 0 and FAIL otherwise.
    pub(super) fn counted(violations: i128, because: String) -> Self {
        let ruling = if violations == 0 { Ruling::Pass } else { Ruling::Fail };
        Self { violations, ..Self::said(ruling, Some(violations), because) }
    }

    /// Not to be known without `needs`.
    pub(super) fn unknown(needs: &'static str, because: &str) -> Self {
        let because = because.to_owned();
        Self { needs: Some(needs), ..Self::said(Ruling::Unknown, None, because) }
    }

    /// Not to be known without evidence that a run may do without: does not decide.
    pub(super) fn aside(needs: &'static str, because: &str) -> Self {
        Self { decides: false, ..Self::unknown(needs, because) }
    }

    /// Not put to the test by this run, and not asked of it either: does not decide.
    pub(super) fn untested(because: &str) -> Self {
        let because = because.to_owned();
        Self { decides: false, ..Self::said(Ruling::Vacuous, None, because) }
    }

    /// Any ruling, without violations.
    pub(super) fn said(ruling: Ruling, observed: Option<i128>, because: String) -> Self {
        Self {
            ruling,
            decides: true,
            observed,
            method: Method::Exact,
            because,
            needs: None,
            violations: 0,
            witnesses: Vec::new(),
        }
    }

    /// The same, with its first witnesses.
    pub(super) fn shown_by(self, witnesses: Vec<Witness>) -> Self {
        Self { witnesses, ..self }
    }

    /// The same, its number being a lower bound if `bound`.
    pub(super) fn bounded(self, bound: bool) -> Self {
        Self { method: if bound { Method::Bound } else { Method::Exact }, ..self }
    }
}

/// What is missing where a check says UNKNOWN.
pub(super) const NEEDS_LEDGER: &str = "the client ledger";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_WHOLE_LEDGER: &str = "a ledger that holds every attempt";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_STOCK: &str = "the stock in the database after the run";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_INITIAL: &str = "the stock in the database before or after the run";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_ROWS: &str = "the issued rows";

/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_REQUEST_IDS: &str = "rows that carry the request id";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_PROBES: &str = "probes during the run (--probe)";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_LOCKS: &str = "the server's lock log (--lock-log)";
/// See [`NEEDS_LEDGER`].
pub(super) const NEEDS_ARRIVALS: &str = "arrival and grant numbers of the server";

/// Every check, in table order.
pub const CHECKS: &[Check] = &[
    Check {
        id: "V01",
        name: "conservation",
        formula: "issued + remaining - initial",
        unit: "units",
        complete: false, // Opposite faults cancel in the sum.
        endures: Endures::Never,
        run: stock::conservation,
    },
    Check {
        id: "V02",
        name: "lost updates",
        formula: "max(0, issued - (initial - remaining))",
        unit: "updates",
        complete: false,
        endures: Endures::Never,
        run: stock::lost_updates,
    },
    Check {
        id: "V03",
        name: "oversell",
        formula: "max(0, issued - initial, acknowledged - initial)",
        unit: "units",
        complete: true,
        endures: Endures::Moving,
        run: stock::oversell,
    },
    Check {
        id: "V04",
        name: "negative stock",
        formula: "max(0, -remaining)",
        unit: "units",
        complete: false, // Between start and end nobody looked.
        endures: Endures::Always,
        run: stock::negative_stock,
    },
    Check {
        id: "V05",
        name: "duplicates",
        formula: "sum over users of max(0, rows - 1)",
        unit: "rows",
        complete: true,
        endures: Endures::Always,
        run: stock::duplicates,
    },
    Check {
        id: "V06",
        name: "acknowledged but missing",
        formula: "acknowledged requests without a row",
        unit: "requests",
        complete: true,
        endures: Endures::Never,
        run: promises::missing,
    },
    Check {
        id: "V07",
        name: "unexpected rows",
        formula: "rows that no attempt asked for",
        unit: "rows",
        complete: true,
        endures: Endures::Never,
        run: promises::unexpected,
    },
    Check {
        id: "V08",
        name: "refused but present",
        formula: "rows of requests that were refused",
        unit: "rows",
        complete: true,
        endures: Endures::Always,
        run: promises::refused_but_present,
    },
    Check {
        id: "V09",
        name: "unknowns resolved",
        formula: "distance of issued from [acknowledged, acknowledged + unknown]",
        unit: "rows",
        complete: true,
        endures: Endures::Never,
        run: promises::unknowns,
    },
    Check {
        id: "V10",
        name: "double acknowledgement",
        formula: "rows promised twice, requests promised two rows, users promised a second unit",
        unit: "promises",
        complete: false, // Replies that name no row cannot be compared.
        endures: Endures::Always,
        run: promises::double_acknowledgement,
    },
    Check {
        id: "V11",
        name: "false already-issued",
        formula: "users told to hold one who own none and had asked for none",
        unit: "replies",
        complete: true,
        endures: Endures::Never,
        run: answers::false_duplicate,
    },
    Check {
        id: "V12",
        name: "premature sold-out",
        formula: "sold-out replies before `initial` issues had begun, or with units left unsold",
        unit: "replies",
        complete: false, // Bounds from the client's side.
        endures: Endures::Never,
        run: sales::premature_sold_out,
    },
    Check {
        id: "V13",
        name: "sold after sold-out",
        formula: "issues sent after a completed sold-out",
        unit: "issues",
        complete: true,
        endures: Endures::Always,
        run: answers::sold_after_refusal,
    },
    Check {
        id: "V14",
        name: "lost sales",
        formula: "max(0, min(initial, demand) - issued)",
        unit: "units",
        complete: true,
        endures: Endures::Never,
        run: sales::lost_sales,
    },
    Check {
        id: "V15",
        name: "numbers",
        formula: "quantities named twice, out of range or out of order",
        unit: "replies",
        complete: true,
        endures: Endures::Always,
        run: answers::numbers,
    },
    Check {
        id: "V16",
        name: "remaining read back",
        formula: "no order of issues explains reads and sold-outs",
        unit: "reads",
        complete: true,
        endures: Endures::Never,
        run: reads::remaining,
    },
    Check {
        id: "V16b",
        name: "own coupons read back",
        formula: "own lists without what was acknowledged before",
        unit: "lists",
        complete: false, // Only those whose list was asked for.
        endures: Endures::Always,
        run: reads::own,
    },
    Check {
        id: "V17",
        name: "snapshots",
        formula: "quantity + rows - initial, in one transaction",
        unit: "snapshots",
        complete: false, // Between two snapshots nobody looked.
        endures: Endures::Always,
        run: reads::snapshots,
    },
    Check {
        id: "V18",
        name: "mutual exclusion",
        formula: "holds that begin while another holder is inside",
        unit: "grants",
        complete: true,
        endures: Endures::Always,
        run: exclusion::mutual_exclusion,
    },
    Check {
        id: "V19",
        name: "writes outside the hold",
        formula: "commits sent after the release, or after the lease",
        unit: "commits",
        complete: false, // A lease in Redis may lapse a little before the server knows.
        endures: Endures::Always,
        run: exclusion::outside_hold,
    },
    Check {
        id: "V20",
        name: "fencing",
        formula: "tokens twice or out of order, commits after a later holder's",
        unit: "tokens",
        complete: true,
        endures: Endures::Always,
        run: exclusion::fencing,
    },
    Check {
        id: "V21",
        name: "stuck lock",
        formula: "grants without an end",
        unit: "grants",
        complete: true,
        endures: Endures::Always,
        run: exclusion::stuck,
    },
    Check {
        id: "V22",
        name: "first come, first served",
        formula: "later arrivals granted while earlier ones waited",
        unit: "overtakes",
        complete: true,
        endures: Endures::Always,
        run: fairness::fifo,
    },
    Check {
        id: "V23",
        name: "idempotency",
        formula: "rows of one request, less one",
        unit: "rows",
        complete: true,
        endures: Endures::Moving,
        run: answers::idempotency,
    },
    Check {
        id: "V24",
        name: "response truth",
        formula: "replies that name another's row",
        unit: "replies",
        complete: true,
        endures: Endures::Moving,
        run: answers::response_truth,
    },
    Check {
        id: "V25",
        name: "counter and rows",
        formula: "initial - counter - issued",
        unit: "units",
        complete: true,
        endures: Endures::Never,
        run: stores::counter,
    },
    Check {
        id: "V26",
        name: "pipeline",
        formula: "accepted - issued - dead - rejected",
        unit: "messages",
        complete: true,
        endures: Endures::Never,
        run: stores::pipeline,
    },
    Check {
        id: "V27",
        name: "hygiene",
        formula: "rows of nobody, or of another time",
        unit: "rows",
        complete: false,
        endures: Endures::Always,
        run: stores::hygiene,
    },
    Check {
        id: "V28",
        name: "adequacy",
        formula: "conditions of a test that are not met",
        unit: "conditions",
        complete: true,
        endures: Endures::Whatever,
        run: adequacy::adequacy,
    },
];

impl Check {
    /// Runs the check and weighs its result against flaws in the evidence.
    pub(super) fn judge(&self, sheet: &Sheet<'_>) -> Finding {
        let mut outcome = self.weighed((self.run)(sheet), sheet);
        outcome.witnesses.truncate(sheet.room);
        Finding {
            id: self.id.to_owned(),
            name: self.name.to_owned(),
            verdict: outcome.ruling,
            decides: outcome.decides,
            formula: self.formula.to_owned(),
            expected: 0,
            observed: outcome.observed.map(narrow),
            unit: self.unit.to_owned(),
            method: outcome.method,
            sound: true,
            complete: self.complete && outcome.method == Method::Exact,
            because: outcome.because,
            needs: outcome.needs.map(str::to_owned),
            total_violations: total(outcome.violations),
            witnesses: outcome.witnesses,
        }
    }

    fn weighed(&self, outcome: Outcome, sheet: &Sheet<'_>) -> Outcome {
        let outcome = match (&sheet.flaw, outcome.ruling) {
            (Some(flaw), Ruling::Pass | Ruling::Fail) if !self.stands(&outcome, flaw) => {
                Outcome { needs: Some(flaw.remedy()), ..unsettled(outcome, flaw) }
            }
            _ => outcome,
        };
        // A database alone is a legal audit: what only clients can tell does not weigh in it.
        let beyond = sheet.level == Level::E0 && outcome.needs == Some(NEEDS_LEDGER);
        Outcome { decides: outcome.decides && !beyond, ..outcome }
    }

    fn stands(&self, outcome: &Outcome, flaw: &Flaw) -> bool {
        let failed = outcome.ruling == Ruling::Fail;
        match self.endures {
            Endures::Never => false,
            Endures::Moving => failed && matches!(flaw, Flaw::Moving(_)),
            Endures::Always => failed,
            Endures::Whatever => true,
        }
    }
}

/// The same numbers, but no longer a ruling.
fn unsettled(outcome: Outcome, flaw: &Flaw) -> Outcome {
    let because = format!("{}; but {}", outcome.because, flaw.text());
    Outcome { ruling: Ruling::Unknown, because, ..outcome }
}
