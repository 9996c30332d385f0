//! Planted defects that show during a run: answers against each other, reads on the side, the lock
//! log, order, and stores beside the database. Each base is clean before its defect is planted.

use super::{Books, attempt, audit, failed, request, ruling, sound, stock};
use cplock::ledger::locks::{self, Done, Fate, Granted, LockLog, Release};
use cplock::ledger::probes::{About, Own, Probe, Probes, Saw};
use cplock::ledger::{Attempt, Doubt, Facts, Outcome, Refusal};
use cplock::verify::{Counter, Pipeline, Ruling, Verdict};

const DUPLICATE: Outcome = Outcome::Refused(Refusal::Duplicate);

fn attempts(books: &mut Books) -> &mut Vec<Attempt> {
    books.attempts.as_mut().expect("sound")
}

/// Asserts that exactly these checks fail, and returns the verdict.
#[track_caller]
fn fails(books: &Books, ids: &[&str]) -> Verdict {
    let verdict = audit(books);
    assert_eq!(failed(&verdict), ids, "{verdict:#?}");
    verdict
}

#[track_caller]
fn because(verdict: &Verdict, id: &str, text: &str) {
    let finding = verdict.finding(id).expect("a known check");
    let told = finding.witnesses.iter().any(|witness| witness.text.contains(text));
    assert!(told, "{id}: no `{text}` in {:#?}", finding.witnesses);
}

/// D14: the mark against duplicates is set before the stock is looked at.
#[test]
fn told_to_hold_one_and_holding_none() {
    let mut books = sound(20, 10, 0);
    let mut again = attempt(11, DUPLICATE);
    again.user = 4;
    attempts(&mut books).push(again);
    assert_eq!(ruling(&audit(&books), "V11"), Ruling::Pass, "user 4 holds one");
    attempts(&mut books)[10].user = 11;
    let verdict = fails(&books, &["V11"]);
    because(&verdict, "V11", "user 11 was told to hold one already before asking for any");
    // His own request before it failed for another reason, and left no row.
    let mut timeout = attempt(1, Outcome::Unknown(Doubt::Timeout));
    (timeout.user, timeout.request) = (11, "r-11-7".to_owned());
    attempts(&mut books).push(timeout);
    because(&fails(&books, &["V11"]), "V11", "already and holds none");
    books.ledger_complete = false;
    assert_eq!(ruling(&audit(&books), "V11"), Ruling::Unknown);
}

/// D23: somebody was refused, and a later one was served.
#[test]
fn sold_after_a_refusal() {
    let mut books = sound(20, 20, 1);
    attempts(&mut books)[20].start_us = 20;
    attempts(&mut books)[20].end_us = 199;
    assert_eq!(ruling(&audit(&books), "V13"), Ruling::Fail, "number 20 was sent at 200 µs");
    attempts(&mut books)[20].end_us = 200;
    assert_eq!(ruling(&audit(&books), "V13"), Ruling::Pass, "a tie is no order");
}

/// Books in which each reply names the quantity that it read.
fn numbered(issued: u32) -> Books {
    let mut books = sound(issued, issued, 0);
    for (n, attempt) in (0..).zip(attempts(&mut books)) {
        attempt.facts.quantity = Some(i64::from(issued) - n);
    }
    books
}

/// D01 from replies alone: two took their unit from the same quantity. D24: a number is skipped.
#[test]
fn numbers_are_handed_out_once_and_in_order() {
    assert_eq!(ruling(&audit(&numbered(9)), "V15"), Ruling::Pass);
    let mut twice = numbered(9);
    attempts(&mut twice)[5].facts.quantity = Some(5);
    because(&fails(&twice, &["V15"]), "V15", "both took their unit from 5 left");
    let mut beyond = numbered(9);
    attempts(&mut beyond)[5].facts.quantity = Some(12);
    fails(&beyond, &["V15"]);
    let mut backwards = numbered(9);
    attempts(&mut backwards)[1].facts.quantity = Some(3);
    attempts(&mut backwards)[6].facts.quantity = Some(8);
    because(&fails(&backwards, &["V15"]), "V15", "sent afterwards, from");
    let mut skipped = numbered(9);
    attempts(&mut skipped)[8].facts.quantity = Some(0);
    fails(&skipped, &["V15"]);
    // The one of unknown outcome took it.
    let mut explained = numbered(9);
    let unknown = &mut attempts(&mut explained)[4];
    (unknown.outcome, unknown.facts) = (Outcome::Unknown(Doubt::Reset), Facts::default());
    assert_eq!(ruling(&audit(&explained), "V15"), Ruling::Pass);
}

fn look(books: &mut Books, at: u64, saw: Saw) {
    let about = About { run: "r".to_owned(), coupon: 1, every_us: 1 };
    let empty = Probes { about, began_unix_us: None, complete: true, probes: Vec::new() };
    let probes = books.more.probes.get_or_insert(empty);
    probes.probes.push(Probe { start_us: at, end_us: at, saw });
}

/// D21: the remaining quantity comes from a cache. C15: reads at the very edge are no fault.
#[test]
fn reads_that_no_order_explains() {
    let mut books = sound(20, 10, 0);
    // Attempt n runs from 10 n to 10 n + 15.
    look(&mut books, 25, Saw::Remaining { quantity: 20 });
    look(&mut books, 60, Saw::Remaining { quantity: 14 });
    look(&mut books, 200, Saw::Remaining { quantity: 10 });
    assert_eq!(ruling(&audit(&books), "V16"), Ruling::Pass);
    assert_eq!(ruling(&audit(&books), "V17"), Ruling::Unknown, "no snapshot was taken");
    let mut stale = books.clone();
    look(&mut stale, 210, Saw::Remaining { quantity: 13 });
    let verdict = fails(&stale, &["V16"]);
    because(&verdict, "V16", "claimed 7 issued");
    assert!(verdict.causes.iter().any(|cause| cause.cause.contains("cache")), "{verdict:?}");
    look(&mut stale, 220, Saw::Remaining { quantity: 12 });
    let all = cplock::verify::violations(&stale.of_run("r"));
    let reads = all.iter().filter(|one| one.witness.text.contains("acknowledged before"));
    assert!(reads.count() >= 2, "each stale read is listed: {all:?}");
    let mut early = books.clone();
    look(&mut early, 12, Saw::Remaining { quantity: 18 });
    because(&fails(&early, &["V16"]), "V16", "when only 1 request had been sent");
    let mut more_than_ever = books;
    look(&mut more_than_ever, 5, Saw::Remaining { quantity: 21 });
    because(&fails(&more_than_ever, &["V16"]), "V16", "more than ever");
}

/// D32: a lost and a leaked decrement cancel in the end; a snapshot in between shows them. Where
/// nobody claims that both move at once it is a remark.
#[test]
fn snapshots_that_do_not_add_up() {
    let mut books = sound(20, 10, 0);
    look(&mut books, 60, Saw::Snapshot { quantity: 15, issued: 5 });
    assert_eq!(ruling(&audit(&books), "V17"), Ruling::Pass);
    look(&mut books, 70, Saw::Snapshot { quantity: 15, issued: 6 });
    assert_eq!(ruling(&audit(&books), "V17"), Ruling::Warn);
    books.more.declared.atomic = true;
    because(&fails(&books, &["V17"]), "V17", "15 left and 6 rows issued make 21, not 20");
}

/// D22: a user's own list comes from a replica.
#[test]
fn own_lists_without_what_was_acknowledged() {
    let own = |present, rows: Vec<i64>| {
        let count = rows.len() as u64;
        let rows = Some(rows);
        Saw::Own(Own { user: 3, request: request(3), row: Some(3), present, count, rows })
    };
    let mut books = sound(20, 10, 0);
    look(&mut books, 60, own(true, vec![3]));
    look(&mut books, 61, own(false, (100..200).collect()));
    assert_eq!(ruling(&audit(&books), "V16b"), Ruling::Fail, "later rows are there");
    books.more.probes = None;
    look(&mut books, 61, own(false, vec![]));
    because(&fails(&books, &["V16b"]), "V16b", "did not see that of `r-3-0`");
    books.more.probes = None;
    look(&mut books, 61, own(false, (-200..-100).collect()));
    assert_eq!(ruling(&audit(&books), "V16b"), Ruling::Pass, "the list may be cut off");
}

/// One holder: granted, commit sent, released, and how; with its token.
type Held = (u64, u64, u64, Release, u64);

/// The log of these holders, who arrived and asked in the given order, one µs apart; the lease is
/// 1,000 µs.
fn log(holders: &[Held], complete: bool) -> LockLog {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("locks.ndjson");
    let about = locks::About {
        process: "p".to_owned(),
        strategy: "fair".to_owned(),
        lease_us: 1_000,
        wait_us: 1_000,
    };
    let writer = locks::Writer::create(&path, &about).expect("a log");
    for (arrival, &(granted_us, commit, released, release, token)) in (1..).zip(holders) {
        let request = request(u32::try_from(arrival).expect("few"));
        writer.granted(&Granted {
            arrival,
            request: &request,
            arrived_us: arrival,
            asked_us: arrival,
            granted_us,
            grant: arrival,
            ticket: Some(arrival),
            token: Some(token),
        });
        if released > 0 {
            writer.done(&Done {
                arrival,
                request: &request,
                commit_sent_us: Some(commit),
                committed_us: Some(commit + 1),
                release_sent_us: released,
                released_us: released + 1,
                release,
                fate: Fate::Issued(1),
            });
        }
    }
    if complete {
        writer.finish().expect("written");
    } else {
        drop(writer);
    }
    locks::read(&path).expect("a good log")
}

fn locked(holders: &[Held]) -> Books {
    let mut books = sound(20, 10, 0);
    books.more.locks = Some(log(holders, true));
    books
}

const CLEAN: Release = Release::Clean;
const LAPSED: Release = Release::Lapsed;

/// Goal: holders one after the other are blamed for nothing, touching ones neither (C15).
#[test]
fn a_lock_that_holds_is_not_blamed() {
    let books = locked(&[(10, 12, 20, CLEAN, 5), (20, 25, 30, CLEAN, 6), (40, 45, 50, CLEAN, 9)]);
    let verdict = audit(&books);
    for id in ["V18", "V19", "V20", "V21", "V22"] {
        assert_eq!(ruling(&verdict, id), Ruling::Pass, "{verdict:#?}");
    }
    assert_eq!(verdict.verdict, Ruling::Pass);
}

/// D15: somebody else's release let the second one in.
#[test]
fn two_inside_at_once() {
    let verdict = fails(&locked(&[(10, 12, 30, CLEAN, 5), (20, 31, 40, CLEAN, 6)]), &["V18"]);
    because(&verdict, "V18", "entered at 0.000 s while `r-1-0`");
}

/// D16: the holder slept past its lease. The lock kept its word: V18 passes.
#[test]
fn a_commit_outside_its_hold() {
    let slept = [(10, 1_500, 1_600, LAPSED, 5), (1_100, 1_700, 1_800, CLEAN, 6)];
    because(&fails(&locked(&slept), &["V19"]), "V19", "after its lease had lapsed");
    // D03: released first, on every run.
    let early = [(10, 22, 20, CLEAN, 5), (25, 40, 50, CLEAN, 6)];
    because(&fails(&locked(&early), &["V19"]), "V19", "after it had released the lock");
}

/// D17: tokens are given out, and a stale holder writes all the same.
#[test]
fn a_stale_holder_that_writes() {
    let stale = [(10, 1_500, 1_600, LAPSED, 5), (1_100, 1_200, 1_300, CLEAN, 6)];
    let verdict = fails(&locked(&stale), &["V19", "V20"]);
    because(&verdict, "V20", "`r-1-0` (token 5) committed at 0.001 s, after `r-2-0` (token 6) had");
    assert!(verdict.causes[0].cause.contains("stale holder"));
    // The same token twice.
    fails(&locked(&[(10, 12, 20, CLEAN, 5), (30, 35, 40, CLEAN, 5)]), &["V20"]);
}

/// D18: a grant that never ends. In the log of a killed server that proves nothing.
#[test]
fn a_grant_without_an_end() {
    let leaked = [(10, 12, 20, CLEAN, 5), (30, 0, 0, CLEAN, 6)];
    because(&fails(&locked(&leaked), &["V21"]), "V21", "never ended");
    let mut killed = sound(20, 10, 0);
    killed.more.locks = Some(log(&leaked, false));
    let verdict = fails(&killed, &[]);
    assert_eq!(ruling(&verdict, "V21"), Ruling::Unknown);
    assert_eq!(verdict.verdict, Ruling::Pass, "what a run may do without does not decide");
}

/// D25: newest first. A remark, unless an order was promised.
#[test]
fn granted_out_of_turn() {
    let mut books = locked(&[(30, 35, 40, CLEAN, 6), (10, 15, 20, CLEAN, 5)]);
    let verdict = fails(&books, &[]);
    assert_eq!((ruling(&verdict, "V22"), verdict.verdict), (Ruling::Warn, Ruling::Pass));
    books.more.declared.fifo = true;
    because(&fails(&books, &["V22"]), "V22", "`r-2-0` was let in before `r-1-0`");
    let because = |books: &Books| audit(books).finding("V22").expect("V22").because.clone();
    assert!(because(&books).contains("hand-over gap"), "{}", because(&books));
    // First come: number 1 to arrive was sent away while the second got the only unit.
    let mut misallocated = sound(1, 1, 1);
    for (attempt, (arrival, grant)) in attempts(&mut misallocated).iter_mut().zip([(2, 1), (1, 2)])
    {
        (attempt.facts.arrival, attempt.facts.grant) = (Some(arrival), Some(grant));
    }
    let text = because(&misallocated);
    assert!(text.contains("of the first 1 to arrive 1 got none"), "{text}");
    // From replies alone.
    books.more.locks = None;
    let told = [(1, 2), (2, 1)];
    for (attempt, (arrival, grant)) in attempts(&mut books).iter_mut().zip(told) {
        (attempt.facts.arrival, attempt.facts.grant) = (Some(arrival), Some(grant));
    }
    fails(&books, &["V22"]);
}

/// D30: the reply names a row that is another's.
#[test]
fn a_reply_that_names_anothers_row() {
    let mut books = sound(20, 10, 0);
    books.one_per_user = false;
    attempts(&mut books)[4].facts.row = Some(8);
    let verdict = audit(&books);
    assert_eq!(ruling(&verdict, "V24"), Ruling::Fail);
    because(&verdict, "V24", "`r-5-0` of user 5 was told row 8, which is `r-8-0` of user 8");
}

/// D12 and D13: a slot is taken and not given back, or given back twice. Marks without rows.
#[test]
fn a_counter_that_disagrees_with_the_rows() {
    let mut books = sound(20, 10, 0);
    let counter = |remaining, users: Option<Vec<i64>>| Some(Counter { remaining, users });
    books.more.counter = counter(10, Some((1..=10).collect()));
    assert_eq!(ruling(&audit(&books), "V25"), Ruling::Pass);
    for (remaining, count) in [(8, 2), (13, 3)] {
        books.more.counter = counter(remaining, None);
        let verdict = fails(&books, &["V25"]);
        assert_eq!(verdict.finding("V25").expect("V25").total_violations, count);
    }
    books.more.counter = counter(10, Some(vec![1, 77]));
    because(&fails(&books, &["V25"]), "V25", "user 77 is marked as an owner and has no row");
}

/// D27: accepted, and neither a row nor a dead letter. C06: not drained is not known.
#[test]
fn a_pipeline_that_loses_messages() {
    let mut books = sound(20, 10, 0);
    let mut queue = Pipeline { accepted: 12, dead: 1, rejected: 1, in_flight: 0 };
    books.more.pipeline = Some(queue);
    assert_eq!(ruling(&audit(&books), "V26"), Ruling::Pass);
    (queue.accepted, books.more.pipeline) = (13, None);
    books.more.pipeline = Some(queue);
    fails(&books, &["V26"]);
    queue.in_flight = 1;
    books.more.pipeline = Some(queue);
    let verdict = fails(&books, &[]);
    assert_eq!((ruling(&verdict, "V26"), verdict.verdict), (Ruling::Unknown, Ruling::Unknown));
}

/// Goal: rows of nobody or of another year are remarked; a clock a minute off is not.
#[test]
fn rows_that_make_no_sense() {
    let mut books = sound(20, 10, 0);
    books.more.began_unix_us = Some(1_790_000_000_000_000);
    let rows = books.rows.as_mut().expect("sound");
    rows[2].created_us = 1_790_000_060_000_000;
    assert_eq!(ruling(&audit(&books), "V27"), Ruling::Pass);
    books.rows.as_mut().expect("sound")[3].created_us = 1_690_000_000_000_000;
    let verdict = audit(&books);
    assert_eq!((ruling(&verdict, "V27"), verdict.verdict), (Ruling::Warn, Ruling::Warn));
}

/// Goal: the list of violations is whole where the verdict shows ten.
#[test]
fn every_violation_is_listed() {
    let mut books = sound(40, 30, 0);
    books.rows.as_mut().expect("sound").truncate(5);
    books.after = Some(stock(40, 35, 5, 5));
    let verdict = audit(&books);
    assert_eq!(verdict.finding("V06").expect("V06").witnesses.len(), 10);
    let all = cplock::verify::violations(&books.of_run("r"));
    assert_eq!(all.iter().filter(|one| one.id == "V06").count(), 25);
    assert!(all.iter().any(|one| one.witness.requests == [request(30)]));
    assert_eq!(cplock::verify::violations(&sound(20, 10, 0).of_run("r")), []);
}
