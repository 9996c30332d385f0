//! What was seen on the side during the run: remaining quantity, snapshots, a user's own coupons.

use std::collections::BTreeSet;

use super::answers::one;
use super::checks::{
    NEEDS_INITIAL, NEEDS_LEDGER, NEEDS_PROBES, NEEDS_REQUEST_IDS, NEEDS_WHOLE_LEDGER, Outcome,
};
use super::monitor::dispenser::{self, Claim, Contradiction, Dispenser, Told};
use super::monitor::{NEVER, Op};
use super::rows::RowRef;
use super::sheet::{AllAsked, Sheet, place};
use super::words::{grouped, many, moment, size};
use super::{Join, Ruling, Witness};
use crate::ledger::attempts::AttemptRef;
use crate::ledger::probes::{Probe, Saw};
use crate::ledger::{Outcome as Answer, Refusal};

/// V16: could any order of issues explain every quantity that was read and every sold-out? Exact.
pub(super) fn remaining(sheet: &Sheet<'_>) -> Outcome {
    let Some(asked) = &sheet.asked else {
        return Outcome::aside(NEEDS_LEDGER, "what was asked is not known");
    };
    let reads = reads(sheet);
    if reads.is_empty() {
        return Outcome::aside(NEEDS_PROBES, "nobody read the remaining quantity during the run");
    }
    let Some(stock) = sheet.initial.and_then(|initial| u64::try_from(initial).ok()) else {
        return Outcome::aside(NEEDS_INITIAL, "the initial stock is not known");
    };
    if !sheet.books.ledger_complete {
        return Outcome::aside(NEEDS_WHOLE_LEDGER, "some requests are not in the ledger");
    }
    let by_group =
        asked.by == Join::Request || (asked.by == Join::User && sheet.books.one_per_user);
    if asked.repeats && !by_group {
        let unknown = "requests were sent more than once, and no row says which one it answers";
        return Outcome::aside(NEEDS_REQUEST_IDS, unknown);
    }
    let history = History::new(sheet, asked, (reads, by_group));
    let dispenser = Dispenser { stock, per_user: history.per_user, owners: &history.owners };
    let contradiction = dispenser::check(&dispenser, history.ops()).err();
    let shown = history.stale(stock);
    let stale = size(shown.len());
    let wrong = stale.max(i128::from(contradiction.is_some()));
    let because = match wrong {
        0 => format!(
            "{} can be explained by an order of the issues",
            many(size(history.reads.len()), "read")
        ),
        _ => format!(
            "{} of {} show more left than there can have been; no order of issues explains them",
            grouped(stale),
            many(size(history.reads.len()), "read")
        ),
    };
    let first = contradiction.map(|found| history.witness(&found));
    let shown = first.into_iter().chain(shown.iter().map(|&stale| history.stale_witness(stale)));
    Outcome::counted(wrong, because).shown_by(shown.take(sheet.room).collect())
}

/// Probes that read a quantity of at least 0; a negative one is V04's.
fn reads<'a>(sheet: &Sheet<'a>) -> Vec<(&'a Probe, u64)> {
    let quantity = |probe: &'a Probe| match probe.saw {
        Saw::Remaining { quantity } | Saw::Snapshot { quantity, .. } => {
            Some((probe, u64::try_from(quantity).ok()?))
        }
        Saw::Own(_) | Saw::Failed { .. } => None,
    };
    sheet.books.probes.iter().flat_map(|probes| &probes.probes).filter_map(quantity).collect()
}

/// A read that shows more left than issues surely over allow.
#[derive(Clone, Copy)]
struct Stale {
    /// Which read.
    read: usize,
    /// How many issued it claims.
    claimed: i128,
    /// How many were, at least.
    over: i128,
}

/// What the monitor is told, and how its answer is found again.
struct History<'s, 'a> {
    asked: &'s AllAsked<'a>,
    reads: Vec<(&'a Probe, u64)>,
    per_user: bool,
    owners: BTreeSet<i64>,
    rows_known: bool,
    end: u64,
    /// For each group, of which each holds at most one unit, the attempt that speaks for it: the
    /// first acknowledged one, else the first unknown one, else the first. `None` where each
    /// attempt speaks for itself.
    speakers: Option<Vec<u32>>,
}

impl<'s, 'a> History<'s, 'a> {
    fn new(
        sheet: &Sheet<'_>,
        asked: &'s AllAsked<'a>,
        (reads, by_group): (Vec<(&'a Probe, u64)>, bool),
    ) -> Self {
        let by_request = asked.by == Join::Request;
        let known = asked.attempts.iter().all(|told| told.user() != 0);
        let last = asked.attempts.iter().map(AttemptRef::end_us).max().unwrap_or(0);
        Self {
            asked,
            reads,
            per_user: sheet.books.one_per_user && known && by_request,
            owners: sheet.earlier.iter().map(RowRef::user).collect(),
            rows_known: sheet.rows.is_some() && by_request,
            end: last,
            speakers: (by_group && asked.has_repeats()).then(|| speakers(asked)),
        }
    }

    fn speaks(&self, told: AttemptRef<'_>) -> bool {
        let group = self.asked.group_of(told.index());
        self.speakers.as_ref().is_none_or(|all| all[group] as usize == told.index())
    }

    /// Attempts first, then reads, then rows that nobody asked for: each at the place that the
    /// monitor will name.
    fn ops(&self) -> impl Iterator<Item = Op<Told>> + Clone + '_ {
        let attempts = self.asked.attempts.iter().map(|told| self.op(told));
        let reads = self.reads.iter().map(|(probe, remaining)| Op {
            start: probe.start_us,
            end: probe.end_us,
            told: Told::Read { remaining: *remaining },
        });
        let strays = self.asked.strays.iter().map(|row| Op {
            start: 0,
            end: self.end,
            told: Told::Issued(row.user()),
        });
        attempts.chain(reads).chain(strays)
    }

    /// One attempt. The rows decide what its client does not know.
    fn op(&self, told: AttemptRef<'_>) -> Op<Told> {
        let group = self.asked.group(told);
        let speaks = self.speaks(told);
        let has_row = self.rows_known && group.rows > 0 && speaks;
        // Any earlier attempt of the same request may have been the one that took effect.
        let start = match &self.speakers {
            Some(_) if speaks => self.asked.first(group).start_us(),
            _ => told.start_us(),
        };
        let (end, user) = (told.end_us(), told.user());
        let nothing = Op { start, end, told: Told::Absent(0) };
        let by_the_end = Op { start, end: self.end.max(end), told: Told::Issued(user) };
        match told.outcome() {
            // A repeated request and a replay issue nothing of their own.
            Answer::Acknowledged => {
                let replay = self.rows_known && group.rows == 0 && group.yes == 0;
                let issued = Op { start, end, told: Told::Issued(user) };
                if speaks && !replay { issued } else { nothing }
            }
            Answer::Unknown(_) | Answer::Refused(_) if has_row => by_the_end,
            Answer::Unknown(_) if self.rows_known || !speaks => nothing,
            Answer::Unknown(_) => Op { start, end: NEVER, told: Told::Unknown(user) },
            Answer::Refused(Refusal::SoldOut) => {
                Op { start: told.start_us(), end, told: Told::SoldOut }
            }
            Answer::Refused(_) => nothing,
        }
    }

    /// Reads that show more left than issues surely over allow: a bound that each breaks by itself.
    fn stale(&self, stock: u64) -> Vec<Stale> {
        let mut ends: Vec<u64> = self
            .asked
            .attempts
            .iter()
            .map(|told| self.op(told))
            .filter(|op| matches!(op.told, Told::Issued(_)))
            .map(|op| op.end)
            .collect();
        ends.sort_unstable();
        let stale = |(read, (probe, remaining)): (usize, &(&Probe, u64))| {
            let over = size(ends.partition_point(|end| *end < probe.start_us));
            let claimed = i128::from(stock) - i128::from(*remaining);
            (over > claimed).then_some(Stale { read, claimed, over })
        };
        self.reads.iter().enumerate().filter_map(stale).collect()
    }

    fn stale_witness(&self, Stale { read, claimed, over }: Stale) -> Witness {
        let (probe, _) = self.reads[read];
        Witness {
            text: format!(
                "read #{} at {} claimed {} issued, when {} begun and acknowledged before",
                read + 1,
                moment(probe.start_us),
                grouped(claimed),
                many(over, "issue")
            ),
            times_us: vec![probe.start_us, probe.end_us],
            ..Witness::default()
        }
    }

    /// The sentence that the contradiction makes, with what it names.
    fn witness(&self, found: &Contradiction) -> Witness {
        let at = |claim: &Claim| format!("{} at {}", self.name(claim.op), moment(claim.at));
        let (ops, text) = match found {
            Contradiction::BeyondStock { read, remaining } => {
                let left = grouped(*remaining);
                (vec![*read], format!("{} told {left} left, more than ever", self.name(*read)))
            }
            Contradiction::ReadsGoBack { earlier, later } => (
                vec![earlier.op, later.op],
                format!(
                    "{} claimed {} issued; afterwards {} claimed {}",
                    at(earlier),
                    grouped(earlier.issued),
                    at(later),
                    grouped(later.issued)
                ),
            ),
            Contradiction::NeverRequested { read, requested } => (
                vec![read.op],
                format!(
                    "{} claimed {} issued, when only {} had been sent that can have got one",
                    at(read),
                    grouped(read.issued),
                    many(*requested, "request")
                ),
            ),
            Contradiction::NotVisible { after, read, issued } => (
                after.iter().map(|claim| claim.op).chain([read.op]).collect(),
                format!(
                    "{}{} claimed {} issued, when {} begun and acknowledged {}",
                    after.as_ref().map_or(String::new(), |claim| format!(
                        "{} claimed {} issued; ",
                        at(claim),
                        grouped(claim.issued)
                    )),
                    at(read),
                    grouped(read.issued),
                    many(*issued, "issue"),
                    if after.is_some() { "in between" } else { "before" }
                ),
            ),
            Contradiction::Oversold { after, issued } => (
                after.iter().map(|claim| claim.op).collect(),
                format!(
                    "{}{} afterwards, more than were left",
                    after.as_ref().map_or(String::new(), |claim| format!(
                        "{} claimed {} issued; ",
                        at(claim),
                        grouped(claim.issued)
                    )),
                    many(*issued, "issue")
                ),
            ),
            Contradiction::IssuedTwice { user, first, second } => (
                first.iter().copied().chain([*second]).collect(),
                format!("user {user} was issued a second unit"),
            ),
            Contradiction::NeverAsked { user, claim, .. } => {
                (vec![*claim], format!("user {user} owns a unit and had not asked for one"))
            }
            Contradiction::Disowned { user, absent, .. } => {
                (vec![*absent], format!("user {user} owned a unit and was told to own none"))
            }
        };
        self.with_facts(&ops, text)
    }

    fn attempt(&self, op: usize) -> Option<AttemptRef<'a>> {
        (op < self.asked.attempts.len()).then(|| self.asked.attempts.get(op))
    }

    fn probe(&self, op: usize) -> Option<&'a Probe> {
        let read = op.checked_sub(self.asked.attempts.len())?;
        self.reads.get(read).map(|(probe, _)| *probe)
    }

    fn name(&self, op: usize) -> String {
        match (self.attempt(op), self.probe(op)) {
            (Some(told), _) => format!("`{}`", told.request()),
            (_, Some(_)) => format!("read #{}", op - self.asked.attempts.len() + 1),
            (None, None) => "a row that nobody asked for".to_owned(),
        }
    }

    fn with_facts(&self, ops: &[usize], text: String) -> Witness {
        let mut witness = Witness { text, ..Witness::default() };
        for &op in ops {
            if let Some(told) = self.attempt(op) {
                let fact = one(told, String::new());
                witness.requests.extend(fact.requests);
                witness.users.extend(fact.users);
                witness.rows.extend(fact.rows);
                witness.times_us.extend(fact.times_us);
            } else if let Some(probe) = self.probe(op) {
                witness.times_us.extend([probe.start_us, probe.end_us]);
            }
        }
        witness.times_us.sort_unstable();
        witness
    }
}

fn speakers(asked: &AllAsked<'_>) -> Vec<u32> {
    let mut speakers: Vec<u32> =
        asked.groups.iter().map(|group| place(asked.first(group).index())).collect();
    let mut speak = |of: fn(Answer) -> bool| {
        for told in asked.attempts.iter().rev().filter(|told| of(told.outcome())) {
            speakers[asked.group_of(told.index())] = place(told.index());
        }
    };
    speak(|outcome| matches!(outcome, Answer::Unknown(_)));
    speak(|outcome| outcome == Answer::Acknowledged);
    speakers
}

/// V16b: a user's own list that does not show what had been acknowledged before it was asked for.
pub(super) fn own(sheet: &Sheet<'_>) -> Outcome {
    let probes = sheet.books.probes.iter().flat_map(|probes| &probes.probes);
    let own = probes.filter_map(|probe| match &probe.saw {
        Saw::Own(own) => Some((probe, own)),
        Saw::Remaining { .. } | Saw::Snapshot { .. } | Saw::Failed { .. } => None,
    });
    let own: Vec<_> = own.collect();
    if own.is_empty() {
        return Outcome::aside(NEEDS_PROBES, "nobody asked for a user's own coupons");
    }
    // A list that holds anything may have been cut off before what was looked for.
    let missing: Vec<_> = own
        .iter()
        .filter(|(_, own)| !own.present && own.rows.as_ref().is_some_and(|rows| cut(rows, own.row)))
        .collect();
    let because = match missing.len() {
        0 => format!("{} showed what had been acknowledged", many(size(own.len()), "list")),
        count => {
            format!("{} of {} did not show it", grouped(size(count)), many(size(own.len()), "list"))
        }
    };
    let shown = missing.iter().take(sheet.room).map(|(probe, own)| Witness {
        text: format!(
            "user {} asked for the own coupons at {} and did not see that of `{}`, acknowledged \
             before",
            own.user,
            moment(probe.start_us),
            own.request
        ),
        requests: vec![own.request.clone()],
        rows: own.row.into_iter().collect(),
        users: vec![own.user],
        times_us: vec![probe.start_us, probe.end_us],
    });
    Outcome::counted(size(missing.len()), because).shown_by(shown.collect())
}

/// Whether the list is whole as far as the row goes: short, or it shows later rows.
fn cut(rows: &[i64], row: Option<i64>) -> bool {
    rows.len() < WHOLE_LIST || row.is_some_and(|row| rows.iter().any(|other| *other > row))
}

/// A list shorter than this is taken for whole: services page by 20, 50 or 100 at least.
const WHOLE_LIST: usize = 20;

/// V17: quantity and rows, read in one transaction, that do not add up.
pub(super) fn snapshots(sheet: &Sheet<'_>) -> Outcome {
    let probes = sheet.books.probes.iter().flat_map(|probes| &probes.probes);
    let snapshots = probes.filter_map(|probe| match probe.saw {
        Saw::Snapshot { quantity, issued } => {
            Some((probe, i128::from(quantity), i128::from(issued)))
        }
        Saw::Remaining { .. } | Saw::Own(_) | Saw::Failed { .. } => None,
    });
    let snapshots: Vec<_> = snapshots.collect();
    if snapshots.is_empty() {
        return Outcome::aside(NEEDS_PROBES, "nobody read quantity and rows in one transaction");
    }
    let Some(before) = &sheet.books.before else {
        return Outcome::aside(NEEDS_INITIAL, "stock and rows of before the run are not known");
    };
    let total = i128::from(before.remaining) + i128::from(before.issued);
    let wrong: Vec<_> =
        snapshots.iter().filter(|(_, quantity, issued)| quantity + issued != total).collect();
    let because = match wrong.len() {
        0 => format!("{} add up to {}", many(size(snapshots.len()), "snapshot"), grouped(total)),
        count => format!(
            "{} of {} do not add up to {}",
            grouped(size(count)),
            many(size(snapshots.len()), "snapshot"),
            grouped(total)
        ),
    };
    let shown = wrong.iter().take(sheet.room).map(|(probe, quantity, issued)| Witness {
        text: format!(
            "at {}: {} left and {} issued make {}, not {}",
            moment(probe.end_us),
            grouped(*quantity),
            many(*issued, "row"),
            grouped(quantity + issued),
            grouped(total)
        ),
        times_us: vec![probe.start_us, probe.end_us],
        ..Witness::default()
    });
    let counted = Outcome::counted(size(wrong.len()), because).shown_by(shown.collect());
    if counted.ruling == Ruling::Fail && !sheet.books.declared.atomic {
        // Only a service that claims to move both in one transaction breaks its word by this.
        return Outcome { ruling: Ruling::Warn, ..counted };
    }
    counted
}
