//! What each level of evidence can decide, what flaws in the evidence do, and the stored document.

use super::{attempt, audit, failed, request, row, ruling, sound, stock};
use cplock::ledger::{Doubt, Outcome};
use cplock::verify::{Join, Level, Ruling, Verdict};

/// Goal: a database alone decides V01 to V05, says what it cannot know, and can still PASS.
#[test]
fn a_database_alone_decides_the_stock_and_says_what_it_cannot_know() {
    let mut books = sound(20, 20, 5);
    books.attempts = None;
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.level, verdict.verdict), (Level::E0, Ruling::Pass));
    for id in ["V01", "V02", "V03", "V04", "V05", "V28"] {
        assert_eq!(ruling(&verdict, id), Ruling::Pass, "{id}");
    }
    for id in ["V06", "V07", "V08", "V09", "V10", "V12", "V14"] {
        let finding = verdict.finding(id).expect("a known check");
        assert_eq!((finding.verdict, finding.decides), (Ruling::Unknown, false), "{id}");
        assert_eq!(finding.needs.as_deref(), Some("the client ledger"), "{id}");
    }
}

/// Goal: a ledger alone is not enough to PASS, and can FAIL by promises alone.
#[test]
fn a_ledger_alone_is_unknown_unless_it_promised_too_much() {
    let mut books = sound(20, 20, 5);
    (books.after, books.rows) = (None, None);
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.level, verdict.verdict), (Level::Ledger, Ruling::Unknown));
    assert!(verdict.findings.iter().all(|f| f.verdict != Ruling::Unknown || f.needs.is_some()));

    books.attempts.as_mut().expect("sound").push(attempt(99, Outcome::Acknowledged));
    let verdict = audit(&books);
    // Number 99 asked when others had long been told that nothing was left.
    assert_eq!(failed(&verdict), ["V03", "V13"]);
    assert_eq!(verdict.finding("V03").expect("V03").observed, Some(1));
}

/// Goal: no evidence at all is UNKNOWN.
#[test]
fn empty_books_are_unknown() {
    let mut books = sound(0, 0, 0);
    (books.before, books.after, books.rows, books.attempts) = (None, None, None, None);
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.level, verdict.verdict), (Level::Nothing, Ruling::Unknown));
}

/// Goal: rows of before the run are not counted against it, wherever they stand in the list.
#[test]
fn a_used_table_is_judged_by_this_run_alone() {
    let mut books = sound(20, 10, 0);
    let mut rows: Vec<_> = (101..=110).map(row).collect();
    for (old, new) in rows.iter_mut().zip(1..) {
        old.request = request(new);
        old.user.0 = i64::from(new);
    }
    rows.extend((1..=4).map(|n| {
        let mut old = row(n);
        old.user.0 = 1_000 + i64::from(n);
        old.request = format!("earlier {n}");
        old
    }));
    for attempt in books.attempts.as_mut().expect("sound") {
        attempt.facts.row = attempt.facts.row.map(|row| row + 100);
    }
    books.rows = Some(rows);
    books.before = Some(stock(20, 16, 4, 4));
    books.after = Some(stock(20, 6, 14, 110));
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass, "{:?}", failed(&verdict));
    assert_eq!((verdict.counts.initial, verdict.counts.issued), (Some(16), Some(10)));

    books.before = None;
    let verdict = audit(&books);
    assert_eq!(failed(&verdict), ["V07", "V09"], "without `before` the old rows have no attempt");
}

/// Goal: a service that keeps no request ids is joined by user, and one without users by count.
#[test]
fn rows_without_request_ids_are_joined_by_user_or_by_count() {
    let mut books = sound(20, 10, 0);
    for row in books.rows.as_mut().expect("sound") {
        row.request.clear();
    }
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.join, verdict.verdict), (Some(Join::User), Ruling::Pass));

    let mut missing = books.clone();
    missing.rows.as_mut().expect("sound").remove(3);
    missing.after = Some(stock(20, 11, 9, 10));
    assert_eq!(failed(&audit(&missing)), ["V06", "V09"]);

    for attempt in books.attempts.as_mut().expect("sound") {
        attempt.user = 0;
    }
    books.one_per_user = false;
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.join, verdict.verdict), (Some(Join::Count), Ruling::Pass));
    books.attempts.as_mut().expect("sound").push(attempt(11, Outcome::Acknowledged));
    books.attempts.as_mut().expect("sound").push(attempt(0, Outcome::Unknown(Doubt::Timeout)));
    assert_eq!(failed(&audit(&books)), ["V06", "V09"]);
}

/// Goal: rows that still move make healable checks UNKNOWN and leave sure violations standing.
#[test]
fn books_that_still_move_are_unknown_except_where_it_is_certain() {
    let mut books = sound(20, 10, 0);
    books.rows.as_mut().expect("sound").push(row(11));
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Unknown);
    assert!(verdict.evidence.flaw.is_some());
    assert_eq!(ruling(&verdict, "V07"), Ruling::Unknown);

    books.after = Some(stock(20, -1, 21, 21));
    let verdict = audit(&books);
    assert_eq!(failed(&verdict), ["V03", "V04"]);
}

/// Goal: parts that do not belong together are not compared.
#[test]
fn parts_of_different_runs_are_not_compared() {
    let sound = sound(20, 10, 0);
    let mut other_coupon = sound.clone();
    other_coupon.before.as_mut().expect("sound").coupon.0 = 2;
    let mut reseeded = sound.clone();
    reseeded.before.as_mut().expect("sound").initial = 1;
    let mut purged = sound.clone();
    purged.before = Some(stock(20, 20, 99, 0));
    let mut twice = sound;
    let mut changed = row(3);
    changed.created_us = 7;
    twice.rows.as_mut().expect("sound").push(changed);
    for books in [other_coupon, reseeded, purged, twice] {
        let verdict = audit(&books);
        assert_eq!(verdict.verdict, Ruling::Unknown, "{:?}", verdict.evidence);
        let finding = verdict.finding("V01").expect("V01");
        assert!(finding.needs.is_some(), "{finding:?}");
    }
}

/// Goal: joined by user, a second acknowledgement of one user is a double promise, not a missing
/// row: one user is owed one row.
#[test]
fn joined_by_user_one_row_is_owed_to_each() {
    let mut books = sound(20, 10, 0);
    for row in books.rows.as_mut().expect("sound") {
        row.request.clear();
    }
    let mut again = attempt(40, Outcome::Acknowledged);
    again.user = 3;
    books.attempts.as_mut().expect("sound").push(again);
    assert_eq!(failed(&audit(&books)), ["V10"]);
}

/// Goal: one login for all, as in the published runs: counts are compared, not users.
#[test]
fn a_shared_login_is_compared_by_counts() {
    let mut books = sound(20, 10, 0);
    books.one_per_user = false;
    for row in books.rows.as_mut().expect("sound") {
        row.request.clear();
        row.user.0 = 7;
    }
    for attempt in books.attempts.as_mut().expect("sound") {
        attempt.user = 7;
    }
    assert_eq!(audit(&books).verdict, Ruling::Pass);
    books.rows.as_mut().expect("sound").truncate(8);
    books.after = Some(stock(20, 12, 8, 8));
    let verdict = audit(&books);
    assert_eq!(verdict.finding("V06").expect("V06").total_violations, 2);

    (books.before, books.after, books.rows) = (Some(stock(4, 4, 0, 0)), None, None);
    let verdict = audit(&books);
    assert_eq!(verdict.finding("V03").expect("V03").observed, Some(6), "promised beyond stock");
}

/// Goal: a single attempt of an unknown user may own any row, so nothing is joined by user.
#[test]
fn an_unknown_user_among_known_ones_forbids_the_join_by_user() {
    let mut books = sound(20, 10, 0);
    for row in books.rows.as_mut().expect("sound") {
        row.request.clear();
    }
    books.attempts.as_mut().expect("sound")[4].user = 0;
    let verdict = audit(&books);
    assert_eq!((verdict.evidence.join, verdict.verdict), (Some(Join::Count), Ruling::Pass));
}

/// Goal: a ledger that was cut off excuses surplus rows, not missing ones.
#[test]
fn a_cut_off_ledger_does_not_excuse_missing_rows() {
    let mut books = sound(20, 10, 0);
    books.ledger_complete = false;
    books.rows.as_mut().expect("sound").pop();
    books.after = Some(stock(20, 11, 9, 9));
    assert_eq!(failed(&audit(&books)), ["V06", "V09"]);
}

/// Goal: when the stock was set anew in between, nobody can say what was oversold.
#[test]
fn oversell_is_not_judged_against_a_changed_stock() {
    let mut books = sound(20, 20, 5);
    books.before = Some(stock(10, 10, 0, 0));
    assert_eq!(ruling(&audit(&books), "V03"), Ruling::Unknown);
}

/// Goal: rows of another coupon are none of this coupon's business.
#[test]
fn rows_of_another_coupon_are_left_out() {
    let mut books = sound(20, 10, 0);
    let mut other = row(50);
    other.coupon.0 = 2;
    books.rows.as_mut().expect("sound").push(other);
    let verdict = audit(&books);
    assert_eq!(verdict.verdict, Ruling::Pass, "{:?}", verdict.evidence);
}

/// Goal: the document is the same byte for byte, and reads back as the same value.
#[test]
fn the_document_is_stable_and_reads_back() {
    let mut books = sound(20, 20, 5);
    let text = serde_json::to_string_pretty(&audit(&books)).expect("serializes");
    assert!(text.starts_with("{\n  \"schema\": \"cplock.verdict/1\",\n  \"verdict\": \"PASS\""));
    books.rows.as_mut().expect("sound").reverse();
    let again = serde_json::to_string_pretty(&audit(&books)).expect("serializes");
    assert_eq!(text, again, "the order of rows does not matter");
    let read: Verdict = serde_json::from_str(&text).expect("reads back");
    assert_eq!(read, audit(&books));
}

/// Goal: books of a service that was not at rest prove only what more rows could not heal; a
/// contradiction in the evidence weighs more than that.
#[test]
fn what_was_not_at_rest_is_final_or_unknown() {
    let judge = |mut books: super::Books, coupon: i64| {
        if let Some(before) = &mut books.before {
            before.coupon.0 = coupon;
        }
        let mut books = books.of_run("r");
        books.unsettled = Some("the service was still moving".to_owned());
        cplock::verify::audit(&books)
    };
    let sound = || sound(20, 20, 5);
    let verdict = judge(sound(), 1);
    assert_eq!(verdict.verdict, Ruling::Unknown);
    assert_eq!(verdict.evidence.flaw.as_deref(), Some("the service was still moving"));
    assert!(failed(&verdict).is_empty());
    assert_eq!(ruling(&verdict, "V01"), Ruling::Unknown);

    let mut books = sound();
    books.rows.as_mut().expect("sound").push(row(21));
    books.after = Some(stock(20, 0, 21, 21));
    let oversold = judge(books.clone(), 1);
    assert_eq!(ruling(&oversold, "V03"), Ruling::Fail, "more rows only make it worse");
    assert_eq!(ruling(&oversold, "V01"), Ruling::Unknown, "the stock may still follow");
    assert_eq!(ruling(&judge(books, 2), "V03"), Ruling::Unknown, "two coupons' readings");
}
