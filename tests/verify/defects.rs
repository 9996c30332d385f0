//! Planted defects: each breaks sound books in one way and must flip its own check.

use super::{Books, attempt, audit, failed, request, row, ruling, sound, stock};
use cplock::ledger::{Doubt, Outcome, Refusal};
use cplock::verify::Ruling;

/// Goal: `id` is among the failed checks, with `violations`, and the whole verdict is FAIL.
#[track_caller]
fn assert_flips(books: &Books, id: &str, violations: u64) {
    let verdict = audit(books);
    let finding = verdict.finding(id).expect("a known check");
    assert_eq!(finding.verdict, Ruling::Fail, "{id}: {finding:?}");
    assert_eq!(finding.total_violations, violations, "{id}: {finding:?}");
    assert_eq!(verdict.verdict, Ruling::Fail);
}

/// Goal: the base that every defect is planted into is clean, so that a FAIL is the defect's.
#[test]
fn sound_books_pass_every_check() {
    let verdict = audit(&sound(20, 20, 5));
    assert_eq!(verdict.verdict, Ruling::Pass, "{verdict:#?}");
    let mut decides = verdict.findings.iter().filter(|finding| finding.decides);
    assert!(decides.all(|finding| finding.verdict == Ruling::Pass));
    let aside = |ruling| ruling == Ruling::Unknown || ruling == Ruling::Vacuous;
    let mut others = verdict.findings.iter().filter(|finding| !finding.decides);
    assert!(others.all(|finding| finding.id == "V14" || aside(finding.verdict)));
    assert_eq!(verdict.counts.refused["sold_out"], 5);
}

/// D01: three decrements were lost.
#[test]
fn lost_decrements_flip_conservation_and_lost_updates() {
    let mut books = sound(100, 20, 0);
    books.after.as_mut().expect("sound").remaining += 3;
    assert_flips(&books, "V01", 3);
    assert_flips(&books, "V02", 3);
    let verdict = audit(&books);
    assert_eq!(verdict.counts.lost_updates, Some(3));
    let [cause] = verdict.causes.as_slice() else { panic!("{:?}", verdict.causes) };
    assert!(cause.cause.starts_with("lost updates"), "{cause:?}");
}

/// D11: a decrement was committed, its row was not.
#[test]
fn a_leaked_decrement_flips_conservation_alone() {
    let mut books = sound(100, 20, 0);
    books.after.as_mut().expect("sound").remaining -= 2;
    assert_flips(&books, "V01", 2);
    let verdict = audit(&books);
    assert_eq!(failed(&verdict), ["V01"]);
    assert_eq!(verdict.finding("V01").expect("V01").observed, Some(-2));
    assert_eq!(verdict.counts.uncovered, Some(2));
}

/// D02: an unguarded atomic decrement. Conservation holds, and it is oversold all the same.
#[test]
fn an_unguarded_decrement_flips_oversell_and_negative_stock() {
    let mut books = sound(20, 20, 0);
    for n in 21..=23 {
        books.rows.as_mut().expect("sound").push(row(n));
        books.attempts.as_mut().expect("sound").push(attempt(n, Outcome::Acknowledged));
    }
    books.after = Some(stock(20, -3, 23, 23));
    assert_flips(&books, "V03", 3);
    assert_flips(&books, "V04", 3);
    assert_eq!(ruling(&audit(&books), "V01"), Ruling::Pass);
}

/// D04: a double click gives one user a second row; without `one_per_user` it is nobody's concern.
#[test]
fn a_second_row_for_a_user_flips_duplicates() {
    let mut books = sound(20, 10, 0);
    books.rows.as_mut().expect("sound")[9].user = cplock::coupon::UserId(3);
    books.attempts.as_mut().expect("sound")[9].user = 3;
    assert_flips(&books, "V05", 1);
    let verdict = audit(&books);
    let witness = &verdict.finding("V05").expect("V05").witnesses[0];
    assert_eq!((witness.rows.as_slice(), witness.users.as_slice()), (&[3, 10][..], &[3][..]));
    books.one_per_user = false;
    let verdict = audit(&books);
    assert_eq!(ruling(&verdict, "V05"), Ruling::Vacuous);
    assert_eq!(verdict.verdict, Ruling::Pass, "a check that is not asked for does not decide");
}

/// D04 on a used table: the second row is of this run, the first of an earlier one.
#[test]
fn a_duplicate_of_an_earlier_row_is_found() {
    let mut books = sound(20, 10, 0);
    let mut earlier = row(3);
    (earlier.row, earlier.request) = (-5, "of an earlier run".to_owned());
    books.rows.as_mut().expect("sound").push(earlier);
    books.before = Some(stock(20, 20, 1, 0));
    books.after = Some(stock(20, 10, 11, 10));
    assert_flips(&books, "V05", 1);
    assert_eq!(failed(&audit(&books)), ["V05"]);
}

/// D08: 200 before the commit, then a rollback.
#[test]
fn an_acknowledged_rollback_flips_missing() {
    let mut books = sound(20, 10, 0);
    books.rows.as_mut().expect("sound").pop();
    books.after = Some(stock(20, 11, 9, 9));
    assert_flips(&books, "V06", 1);
    let verdict = audit(&books);
    assert_eq!(verdict.finding("V06").expect("V06").witnesses[0].requests, [request(10)]);
}

/// D06: a foreign writer. D10: one request written twice.
#[test]
fn rows_that_nobody_asked_for_flip_unexpected() {
    for other in ["of somebody else", &request(4), ""] {
        let mut books = sound(20, 10, 0);
        let mut ghost = row(11);
        ghost.request = other.to_owned();
        books.rows.as_mut().expect("sound").push(ghost);
        books.after = Some(stock(20, 9, 11, 11));
        assert_flips(&books, "V07", 1);
        assert_eq!(audit(&books).finding("V07").expect("V07").witnesses.len(), 1);
        // One request with two rows needs no ledger to be wrong.
        assert_eq!(failed(&audit(&books)).contains(&"V23"), other == request(4));
        books.ledger_complete = false;
        if other == request(4) {
            assert_eq!(failed(&audit(&books)), ["V23"]);
            continue;
        }
        let verdict = audit(&books);
        assert_eq!(verdict.verdict, Ruling::Unknown, "the lost end of the ledger may explain it");
        let finding = verdict.finding("V07").expect("V07");
        assert_eq!(finding.needs.as_deref(), Some("a ledger that holds every attempt"));
    }
}

/// D07: committed, then an exception that the client sees as a refusal.
#[test]
fn a_row_after_a_refusal_flips_refused_but_present() {
    let mut books = sound(20, 10, 0);
    let attempts = books.attempts.as_mut().expect("sound");
    attempts[6].outcome = Outcome::Refused(Refusal::Deadlock);
    assert_flips(&books, "V08", 1);
    assert_eq!(audit(&books).finding("V08").expect("V08").witnesses[0].rows, [7]);
}

/// Unknown outcomes are decided by their rows, and fail only when no history explains the total.
#[test]
fn unknowns_are_resolved_and_fail_only_when_impossible() {
    let mut books = sound(20, 10, 0);
    let attempts = books.attempts.as_mut().expect("sound");
    for written in [2, 5] {
        attempts[written].outcome = Outcome::Unknown(Doubt::Timeout);
    }
    attempts.push(attempt(11, Outcome::Unknown(Doubt::Reset)));
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass, "{verdict:#?}");
    assert_eq!(
        (verdict.counts.unknown_issued, verdict.counts.unknown_not_issued),
        (Some(2), Some(1))
    );
    let because = &verdict.finding("V09").expect("V09").because;
    assert_eq!(because, "3 unknown: 2 issued, 1 not");

    let rows = books.rows.as_mut().expect("sound");
    rows.extend([row(12), row(13)]);
    books.after = Some(stock(20, 8, 12, 13));
    assert_flips(&books, "V09", 1);
}

/// One row for two requests, two rows for one request, a second unit for one user.
#[test]
fn promises_made_twice_flip_double_acknowledgement() {
    let mut one_row = sound(20, 10, 0);
    one_row.attempts.as_mut().expect("sound")[4].facts.row = Some(4);
    assert_flips(&one_row, "V10", 1);
    for attempt in one_row.attempts.as_mut().expect("sound") {
        attempt.user = 0;
    }
    assert_flips(&one_row, "V10", 1);

    let mut two_rows = sound(20, 10, 0);
    let attempts = two_rows.attempts.as_mut().expect("sound");
    attempts[4].request = request(4);
    attempts[4].user = 4;
    assert_flips(&two_rows, "V10", 1);

    let mut one_user = sound(20, 10, 0);
    one_user.attempts.as_mut().expect("sound")[4].user = 4;
    assert_flips(&one_user, "V10", 1);
    one_user.one_per_user = false;
    assert_eq!(ruling(&audit(&one_user), "V10"), Ruling::Pass);
}

/// C09: a retry that is answered with the same row again is a replay, not a second promise.
#[test]
fn replayed_answers_are_no_defect() {
    let mut books = sound(20, 10, 0);
    let attempts = books.attempts.as_mut().expect("sound");
    let same_request = attempts[3].clone();
    let mut other_request = attempts[5].clone();
    other_request.request = "asked again".to_owned();
    attempts.extend([same_request, other_request]);
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass, "{:?}", failed(&verdict));
}

/// A request that timed out and was answered when it was sent again is not unknown.
#[test]
fn a_doubt_that_a_retry_settles_is_no_unknown() {
    let mut books = sound(20, 10, 0);
    let attempts = books.attempts.as_mut().expect("sound");
    let mut timed_out = attempts[3].clone();
    timed_out.outcome = Outcome::Unknown(Doubt::Timeout);
    attempts.insert(3, timed_out);
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass, "{:?}", failed(&verdict));
    let counts = &verdict.counts;
    assert_eq!((counts.unknown_issued, counts.unknown_not_issued), (Some(0), Some(0)));
    assert_eq!(counts.unknown["timeout"], 1, "the client did not know at the time");
}

/// D23 and D12: told sold out before so many had even asked, and with units left at the end.
#[test]
fn early_refusals_flip_premature_sold_out() {
    let mut unsold = sound(20, 20, 4);
    unsold.rows.as_mut().expect("sound").truncate(17);
    unsold.attempts.as_mut().expect("sound").drain(17..20);
    unsold.after = Some(stock(20, 3, 17, 17));
    assert_flips(&unsold, "V12", 4);

    let mut early = sound(20, 20, 4);
    let refusal = &mut early.attempts.as_mut().expect("sound")[20];
    (refusal.start_us, refusal.end_us) = (20, 30);
    assert_flips(&early, "V12", 1);
    let verdict = audit(&early);
    let finding = verdict.finding("V12").expect("V12");
    assert!(finding.because.contains("up to 17 units were left"), "{}", finding.because);
}

/// One unsold unit is enough; and an unknown outcome without a row took no unit.
#[test]
fn a_single_unit_makes_a_refusal_premature() {
    let mut one_left = sound(20, 20, 1);
    one_left.rows.as_mut().expect("sound").pop();
    one_left.attempts.as_mut().expect("sound").remove(19);
    one_left.after = Some(stock(20, 1, 19, 19));
    assert_flips(&one_left, "V12", 1);
    let mut one_rolled_back = sound(20, 20, 1);
    one_rolled_back.rows.as_mut().expect("sound").pop();
    one_rolled_back.after = Some(stock(20, 1, 19, 19));
    assert_flips(&one_rolled_back, "V12", 1);

    let mut early = sound(20, 20, 1);
    let attempts = early.attempts.as_mut().expect("sound");
    (attempts[20].start_us, attempts[20].end_us) = (150, 195);
    let mut nothing_came_of_it = attempt(99, Outcome::Unknown(Doubt::Timeout));
    nothing_came_of_it.start_us = 10;
    attempts.push(nothing_came_of_it);
    assert_flips(&early, "V12", 1);
}

/// A ghost row may have taken the last unit: the refusal is then not to be blamed.
#[test]
fn unexplained_rows_excuse_an_early_refusal() {
    let mut books = sound(20, 20, 1);
    books.attempts.as_mut().expect("sound").remove(18);
    let refusal = books.attempts.as_mut().expect("sound").last_mut().expect("the refusal");
    (refusal.start_us, refusal.end_us) = (195, 200);
    let verdict = audit(&books);
    assert_eq!(failed(&verdict), ["V07", "V09"]);
}

/// Sales lost to lock timeouts are told, and are never a fault of the books.
#[test]
fn lost_sales_are_a_remark() {
    let mut books = sound(20, 10, 0);
    let timeout = Outcome::Refused(Refusal::LockTimeout);
    books.attempts.as_mut().expect("sound").push(attempt(11, timeout));
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass);
    assert_eq!(verdict.finding("V14").expect("V14").observed, Some(1));
}

/// Nothing tested is VACUOUS: no attempt, no yes, never two at once.
#[test]
fn a_run_that_tested_nothing_is_vacuous() {
    let mut alone = sound(20, 3, 0);
    for (n, attempt) in (0..).zip(alone.attempts.as_mut().expect("sound")) {
        (attempt.start_us, attempt.end_us) = (n * 100, n * 100 + 99);
    }
    for books in [sound(20, 0, 0), sound(0, 0, 9), alone] {
        let verdict = audit(&books);
        assert_eq!(verdict.verdict, Ruling::Vacuous, "{verdict:#?}");
        assert_eq!(ruling(&verdict, "V28"), Ruling::Vacuous);
    }
}

/// A FAIL is never masked, neither by a lack of evidence nor by a vacuous test.
#[test]
fn a_violation_outweighs_everything_else() {
    let mut books = sound(20, 0, 0);
    books.after.as_mut().expect("sound").remaining = -1;
    books.rows = None;
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Fail);
    assert!(verdict.findings.iter().any(|finding| finding.verdict == Ruling::Unknown));
    assert!(verdict.findings.iter().any(|finding| finding.verdict == Ruling::Vacuous));
}

/// Goal: many violations are counted in full and shown in part.
#[test]
fn witnesses_are_limited_and_the_total_is_not() {
    let mut books = sound(1_000, 500, 0);
    books.rows.as_mut().expect("sound").clear();
    books.after = Some(stock(1_000, 1_000, 0, 0));
    let verdict = audit(&books);
    let finding = verdict.finding("V06").expect("V06");
    assert_eq!((finding.total_violations, finding.witnesses.len()), (500, 10));
}
