//! What probably went wrong, from the pattern of failed checks. Hypotheses, never findings.

use super::{Cause, Finding, Ruling};

/// One pattern. The first that fits its checks is told, and takes them: a later rule does not
/// explain the same again.
struct Rule {
    /// All of these failed …
    failed: &'static [&'static str],
    /// … and none of these.
    held: &'static [&'static str],
    cause: &'static str,
    remedy: &'static str,
}

/// From the most specific to the most general.
const RULES: &[Rule] = &[
    Rule {
        failed: &["V20"],
        held: &[],
        cause: "a stale holder wrote: tokens are given out, but the database does not compare them",
        remedy: "write only where the stored token is lower: `… WHERE fence < :token`",
    },
    Rule {
        failed: &["V19", "V18"],
        held: &[],
        cause: "the lock is released, or lapses, before the commit",
        remedy: "commit inside the lock, and make the lease longer than the slowest work",
    },
    Rule {
        failed: &["V19"],
        held: &[],
        cause: "work outlasts its hold: the lease is too short, or the lock is released first",
        remedy: "release after the commit; lengthen or renew the lease; fence the write",
    },
    Rule {
        failed: &["V18"],
        held: &[],
        cause: "the lock lets two in: it is released by somebody who does not hold it",
        remedy: "give back only what is yours: compare the owner's token and delete in one step",
    },
    Rule {
        failed: &["V04", "V03"],
        held: &["V01"],
        cause: "the decrement is atomic but unguarded",
        remedy: "`UPDATE … SET quantity = quantity - 1 WHERE id = ? AND quantity > 0`",
    },
    Rule {
        failed: &["V02"],
        held: &[],
        cause: "lost updates: two read the same quantity, and both wrote one less",
        remedy: "`UPDATE … SET quantity = quantity - 1 WHERE id = ? AND quantity > 0`, or a lock \
                 that is held until the commit",
    },
    Rule {
        failed: &["V15"],
        held: &["V01"],
        cause: "numbers are computed from a count that others read too",
        remedy: "let the database number the rows, in the transaction that writes them",
    },
    Rule {
        failed: &["V05"],
        held: &[],
        cause: "the check for an earlier unit and the insert are not one step",
        remedy: "a unique key on (user, coupon)",
    },
    Rule {
        failed: &["V23"],
        held: &[],
        cause: "a retry after an unclear commit writes again",
        remedy: "a unique key on the request id, and the first answer for a repeated request",
    },
    Rule {
        failed: &["V08"],
        held: &[],
        cause: "an error after the commit is answered as a refusal",
        remedy: "nothing that can fail between commit and reply may change the answer",
    },
    Rule {
        failed: &["V06"],
        held: &[],
        cause: "success is answered before the commit, or although it failed",
        remedy: "answer after the commit, and map a failed transaction to an error",
    },
    Rule {
        failed: &["V07"],
        held: &[],
        cause: "somebody else writes to this coupon",
        remedy: "stop other clients of this database, or load a coupon of its own",
    },
    Rule {
        failed: &["V25"],
        held: &[],
        cause: "a slot is taken in the counter and not given back when the write fails, or twice",
        remedy: "compensate exactly once, and reconcile the counter with the rows",
    },
    Rule {
        failed: &["V11"],
        held: &[],
        cause: "the mark against duplicates is set before the stock is checked",
        remedy: "set the mark in the same step that takes the unit",
    },
    Rule {
        failed: &["V12", "V13"],
        held: &[],
        cause: "the stock is split, and one part is sold out before the others",
        remedy: "refuse only when all parts are empty, or rebalance them",
    },
    Rule {
        failed: &["V12", "V01"],
        held: &[],
        cause: "the stock is taken, and the row is not written: units leak",
        remedy: "take the unit and write the row in one transaction",
    },
    Rule {
        failed: &["V01"],
        held: &["V02"],
        cause: "the stock is taken, and the row is not written: units leak",
        remedy: "take the unit and write the row in one transaction",
    },
    Rule {
        failed: &["V17"],
        held: &["V01"],
        cause: "lost and leaked decrements cancel each other in the end",
        remedy: "move stock and row in one transaction",
    },
    Rule {
        failed: &["V16"],
        held: &["V01"],
        cause: "reads come from a cache or a replica that lags",
        remedy: "read the stock where it is written, or declare how old an answer may be",
    },
    Rule {
        failed: &["V16b"],
        held: &[],
        cause: "a user's own list comes from a replica that lags",
        remedy: "read your own writes from the primary",
    },
];

/// The causes that fit, each with the failed checks that it would explain.
pub(super) fn causes(findings: &[Finding]) -> Vec<Cause> {
    let failed = |id: &str| {
        findings.iter().any(|finding| finding.id == id && finding.verdict == Ruling::Fail)
    };
    let mut told: Vec<&str> = Vec::new();
    let mut causes = Vec::new();
    for rule in RULES {
        let fits =
            rule.failed.iter().all(|id| failed(id)) && !rule.held.iter().any(|id| failed(id));
        if fits && rule.failed.iter().any(|id| !told.contains(id)) {
            told.extend(rule.failed);
            causes.push(Cause {
                cause: rule.cause.to_owned(),
                explains: rule.failed.iter().map(|id| (*id).to_owned()).collect(),
                remedy: rule.remedy.to_owned(),
            });
        }
    }
    causes
}
