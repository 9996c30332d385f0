//! Monitors from outside: known answers by hand for each contradiction, ties, and size.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Instant;

use cplock::verify::monitor::dispenser::{self, Claim, Contradiction, Dispenser, Told};
use cplock::verify::monitor::holds::{Exclusion, Hold, Lock, Overlap, sweep};
use cplock::verify::monitor::numbered::{self, Number, Numbers};
use cplock::verify::monitor::{NEVER, Op};

fn op<T>(start: u64, end: u64, told: T) -> Op<T> {
    Op { start, end, told }
}

fn issued(start: u64, end: u64) -> Op<Told> {
    op(start, end, Told::Issued(1))
}

fn read(start: u64, end: u64, remaining: u64) -> Op<Told> {
    op(start, end, Told::Read { remaining })
}

/// The judgement on a stock of 10 whose users may hold any number.
fn any(ops: &[Op<Told>]) -> Result<(), Contradiction> {
    let dispenser = Dispenser { stock: 10, per_user: false, owners: &BTreeSet::new() };
    dispenser::check(&dispenser, ops.iter().copied())
}

/// The judgement on a stock of 10 whose users may hold one each, and user 9 does already.
fn one_each(ops: &[Op<Told>]) -> Result<(), Contradiction> {
    let dispenser = Dispenser { stock: 10, per_user: true, owners: &BTreeSet::from([9]) };
    dispenser::check(&dispenser, ops.iter().copied())
}

/// Goal: what has not happened contradicts nothing.
#[test]
fn empty_histories_are_explained() {
    assert_eq!(any(&[]), Ok(()));
    assert_eq!(one_each(&[]), Ok(()));
    assert_eq!(numbers(true, &[]), Ok(()));
    assert_eq!(swept(1, false, &[]), Exclusion::default());
}

/// Goal: a read of more than the stock is named, and of all of it is not.
#[test]
fn a_read_beyond_the_stock_is_found() {
    assert_eq!(any(&[read(0, 1, 10)]), Ok(()));
    let found = Contradiction::BeyondStock { read: 1, remaining: 11 };
    assert_eq!(any(&[read(0, 1, 10), read(2, 3, 11)]), Err(found));
}

/// Goal: a count that goes back is found when one read ended before the other began, and only then.
#[test]
fn reads_that_go_back_are_found() {
    let jobs = [issued(0, 1), issued(0, 1)];
    let tied = [&jobs[..], &[read(2, 5, 8), read(0, 5, 9)]].concat();
    assert_eq!(any(&tied), Ok(()));
    let stale = [&jobs[..1], &[op(0, 1, Told::Unknown(2)), read(2, 5, 8), read(6, 9, 9)]].concat();
    let found = Contradiction::ReadsGoBack {
        earlier: Claim { op: 2, issued: 2, at: 5 },
        later: Claim { op: 3, issued: 1, at: 6 },
    };
    assert_eq!(any(&stale), Err(found));
    let touching = [&stale[..3], &[read(5, 9, 9)]].concat();
    assert_eq!(any(&touching), Ok(()), "both at 5, the other way round");
}

/// Goal: the worst claim of more issued than requested is told, with the number of requests sent by
/// its end, whatever became of them.
#[test]
fn claims_of_more_than_was_requested_are_found() {
    let ops = [
        read(0, 4, 9),
        read(0, 6, 6),
        issued(2, 20),
        op(6, 7, Told::Unknown(2)),
        op(7, 8, Told::Unknown(3)),
    ];
    let worst = Claim { op: 1, issued: 4, at: 6 };
    assert_eq!(any(&ops), Err(Contradiction::NeverRequested { read: worst, requested: 2 }));
    assert_eq!(any(&[&ops[..1], &ops[2..]].concat()), Ok(()));
    let sold_out = [op(3, 5, Told::SoldOut), op(1, 2, Told::SoldOut), issued(0, 9)];
    let read = Claim { op: 1, issued: 10, at: 2 };
    assert_eq!(any(&sold_out), Err(Contradiction::NeverRequested { read, requested: 1 }));
}

/// Goal: issues that a later read does not see are counted from the read before, or from the
/// beginning.
#[test]
fn issues_that_a_read_does_not_see_are_found() {
    let three = [issued(1, 2), issued(1, 3), issued(0, 4)];
    let from_the_beginning = [&three[..], &[read(5, 6, 9)]].concat();
    let stale = Claim { op: 3, issued: 1, at: 5 };
    let found = Contradiction::NotVisible { after: None, read: stale, issued: 3 };
    assert_eq!(any(&from_the_beginning), Err(found));
    let tied = [&three[..], &[read(3, 6, 9)]].concat();
    assert_eq!(any(&tied), Ok(()), "two may come at or after 3, when the read was taken");

    let unknown = [0, 1, 2].map(|start| op(start, start, Told::Unknown(2)));
    let between =
        [&unknown[..], &[read(10, 11, 7)], &[issued(12, 13), issued(12, 14)], &[read(15, 16, 6)]]
            .concat();
    let found = Contradiction::NotVisible {
        after: Some(Claim { op: 3, issued: 3, at: 11 }),
        read: Claim { op: 6, issued: 4, at: 15 },
        issued: 2,
    };
    assert_eq!(any(&between), Err(found));
}

/// Goal: more than the stock is found from the beginning and after a read; what nobody knows of
/// does not count.
#[test]
fn overselling_is_found() {
    let mut ops: Vec<_> = (0..10).map(|n| issued(n, n)).collect();
    ops.extend([op(0, 1, Told::Unknown(2)), op(0, 50, Told::SoldOut)]);
    assert_eq!(any(&ops), Ok(()));
    ops.push(issued(0, NEVER));
    assert_eq!(any(&ops), Err(Contradiction::Oversold { after: None, issued: 11 }));

    let after = Claim { op: 2, issued: 9, at: 3 };
    let mut ops: Vec<_> = (0..9).map(|_| op(0, 1, Told::Unknown(2))).collect();
    ops[2] = read(2, 3, 1);
    ops.extend([op(0, 0, Told::Unknown(3)), issued(4, 5), issued(4, 6)]);
    let found = Contradiction::Oversold { after: Some(after), issued: 2 };
    assert_eq!(any(&ops), Err(found));
}

/// Goal: a second unit of one user is found, also of an owner of before; where users may hold any
/// number, words about users say nothing.
#[test]
fn a_second_unit_of_a_user_is_found() {
    let ops = [op(4, 5, Told::Issued(1)), op(0, 1, Told::Issued(2)), op(2, 9, Told::Issued(1))];
    let found = Contradiction::IssuedTwice { user: 1, first: Some(2), second: 0 };
    assert_eq!(one_each(&ops), Err(found));
    let found = Contradiction::IssuedTwice { user: 9, first: None, second: 0 };
    assert_eq!(one_each(&[op(0, 1, Told::Issued(9))]), Err(found));
    let words = [op(0, 1, Told::Present(5)), op(2, 3, Told::Absent(9)), op(4, 5, Told::Absent(1))];
    assert_eq!(any(&[&ops[..], &words[..]].concat()), Ok(()));
}

/// Goal: "already issued" needs a request that was sent by then.
#[test]
fn owners_who_never_asked_are_found() {
    let present = op(2, 4, Told::Present(1));
    let none = Contradiction::NeverAsked { user: 1, claim: 0, request: None };
    assert_eq!(one_each(&[present]), Err(none));
    let late = Contradiction::NeverAsked { user: 1, claim: 0, request: Some(1) };
    assert_eq!(one_each(&[present, op(5, 9, Told::Unknown(1))]), Err(late));
    assert_eq!(one_each(&[present, op(4, 4, Told::Unknown(1))]), Ok(()), "both at 4");
    assert_eq!(one_each(&[op(0, 0, Told::Present(9))]), Ok(()), "an owner of before");
    let two = [op(5, 9, Told::Issued(1)), present, op(0, 1, Told::Unknown(1))];
    let not_that = Contradiction::NeverAsked { user: 1, claim: 1, request: Some(0) };
    assert_eq!(one_each(&two), Err(not_that), "the yes was not for the request at 0");
}

/// Goal: who owned a unit before a look-up began is not told to own none.
#[test]
fn owners_who_are_told_to_own_none_are_found() {
    let absent = op(5, 6, Told::Absent(1));
    let gone = Contradiction::Disowned { user: 1, owned: Some(0), absent: 1 };
    assert_eq!(one_each(&[op(0, 4, Told::Issued(1)), absent]), Err(gone));
    assert_eq!(one_each(&[op(0, 5, Told::Issued(1)), absent]), Ok(()), "both at 5");
    let seen = [op(2, 4, Told::Present(1)), absent, op(0, 1, Told::Unknown(1))];
    assert_eq!(one_each(&seen), Err(gone));
    let before = Contradiction::Disowned { user: 9, owned: None, absent: 0 };
    assert_eq!(one_each(&[op(0, 1, Told::Absent(9))]), Err(before));
}

/// Goal: words about a user count in the comparison with reads: an unanswered request that a later
/// "already issued" proves must be seen, and one that an "owns none" rules out until then is not.
#[test]
fn words_about_users_bind_unanswered_requests() {
    let proven = [op(0, 1, Told::Unknown(1)), op(2, 3, Told::Present(1)), read(4, 5, 10)];
    let read_at_4 = Claim { op: 2, issued: 0, at: 4 };
    let found = Contradiction::NotVisible { after: None, read: read_at_4, issued: 1 };
    assert_eq!(one_each(&proven), Err(found));
    let ruled_out = [op(0, 1, Told::Unknown(1)), op(8, 9, Told::Absent(1)), read(4, 5, 9)];
    let read_at_5 = Claim { op: 2, issued: 1, at: 5 };
    let found = Contradiction::NeverRequested { read: read_at_5, requested: 0 };
    assert_eq!(one_each(&ruled_out), Err(found));
}

/// Numbers from 1, without end.
fn numbers(dense: bool, ops: &[Op<numbered::Told>]) -> Result<(), numbered::Contradiction> {
    let numbers = Numbers { first: 1, last: u64::MAX, dense };
    numbered::check(&numbers, ops.iter().copied())
}

fn number(start: u64, end: u64, value: u64) -> Op<numbered::Told> {
    op(start, end, numbered::Told::Number(value))
}

/// Goal: numbers out of range and numbers handed out twice are named, dense or not.
#[test]
fn numbers_that_cannot_be_are_found() {
    for dense in [false, true] {
        let limited =
            |ops: &[_]| numbered::check(&Numbers { first: 3, last: 4, dense }, ops.iter().copied());
        assert_eq!(limited(&[number(0, 9, 4), number(0, 9, 3)]), Ok(()));
        for value in [2, 5] {
            let found = numbered::Contradiction::OutOfRange { op: 1, value };
            assert_eq!(limited(&[number(0, 1, 3), number(2, 3, value)]), Err(found));
        }
        let ops = [number(8, 9, 2), number(0, 9, 1), number(3, 4, 2)];
        let found = numbered::Contradiction::Duplicate { value: 2, first: 0, second: 2 };
        assert_eq!(numbers(dense, &ops), Err(found));
    }
}

/// Goal: of all pairs in the wrong order the one furthest apart is told; ties are no pair.
#[test]
fn numbers_out_of_order_are_found() {
    for dense in [false, true] {
        let ops = [number(0, 1, 3), number(2, 3, 2), number(7, 8, 1)];
        let found = numbered::Contradiction::OutOfOrder {
            earlier: Number { op: 0, value: 3, at: 1 },
            later: Number { op: 2, value: 1, at: 7 },
        };
        assert_eq!(numbers(dense, &ops), Err(found));
        assert_eq!(numbers(dense, &[number(0, 1, 2), number(1, 1, 1)]), Ok(()), "both at 1");
    }
}

/// Goal: left-out numbers need requests of unknown outcome that were sent in time, and sparse
/// numbers may leave out any.
#[test]
fn gaps_are_found() {
    let unknown = |start| op(start, start, numbered::Told::Unknown);
    let ops = [number(0, 5, 4), number(0, 3, 1), unknown(5), unknown(6)];
    let number_at_5 = Number { op: 0, value: 4, at: 5 };
    let found = numbered::Contradiction::Gap { number: number_at_5, unseen: 2, unknown: 1 };
    assert_eq!(numbers(true, &ops), Err(found));
    assert_eq!(numbers(false, &ops), Ok(()));
    assert_eq!(numbers(true, &[&ops[..3], &[unknown(0)]].concat()), Ok(()));
}

fn hold(owner: u64, from: u64, until: u64) -> Hold {
    Hold { owner, from, until }
}

fn swept(permits: usize, reentrant: bool, holds: &[Hold]) -> Exclusion {
    let permits = NonZeroUsize::new(permits).unwrap();
    sweep(&Lock { permits, reentrant }, holds.iter().copied())
}

/// Goal: holds that touch, and holds of no length at an edge, overlap nothing; within another hold
/// they do.
#[test]
fn touching_holds_do_not_overlap() {
    let touching = [hold(1, 0, 5), hold(2, 5, 5), hold(3, 5, 5), hold(4, 5, 9)];
    assert_eq!(swept(1, false, &touching), Exclusion { deepest: 1, ..Exclusion::default() });
    let within = swept(1, false, &[hold(1, 0, 5), hold(2, 3, 3)]);
    let overlap = Overlap { inside: 0, entered: 1, from: 3, until: 3 };
    assert_eq!((within.violations, within.deepest), (1, 2));
    assert_eq!((within.first, within.worst), (Some(overlap), Some(overlap)));
    let lapsed = swept(1, false, &[hold(1, 0, 5), hold(2, 3, 2)]);
    assert_eq!(lapsed.violations, 0, "no definite hold");
}

/// Goal: first and worst overlap, number and depth are told, with one permit and with two.
#[test]
fn overlapping_holds_are_found() {
    let holds =
        [hold(5, 20, 30), hold(1, 0, 10), hold(2, 9, 12), hold(3, 25, NEVER), hold(4, 26, 29)];
    let first = Overlap { inside: 1, entered: 2, from: 9, until: 10 };
    let worst = Overlap { inside: 0, entered: 3, from: 25, until: 30 };
    let found = Exclusion { violations: 3, deepest: 3, first: Some(first), worst: Some(worst) };
    assert_eq!(swept(1, false, &holds), found);
    let three_inside = Overlap { inside: 0, entered: 4, from: 26, until: 29 };
    let found = Exclusion {
        violations: 1,
        deepest: 3,
        first: Some(three_inside),
        worst: Some(three_inside),
    };
    assert_eq!(swept(2, false, &holds), found);
    assert_eq!(swept(3, false, &holds).violations, 0);
    let equal = [hold(1, 0, 9), hold(2, 2, 4), hold(3, 5, 7)];
    let first = Overlap { inside: 0, entered: 1, from: 2, until: 4 };
    assert_eq!(swept(1, false, &equal).worst, Some(first), "of equally long ones the first");
}

/// Goal: one owner inside twice is a violation, unless the lock is reentrant; then both are one
/// hold, until the later end.
#[test]
fn an_owner_may_enter_a_reentrant_lock_again() {
    let holds = [hold(1, 0, 9), hold(1, 2, 12), hold(2, 12, 14)];
    assert_eq!(swept(1, false, &holds).violations, 1);
    assert_eq!(swept(1, true, &holds).violations, 0);
    let other = [hold(1, 0, 9), hold(1, 2, 12), hold(2, 11, 14)];
    let overlap = Overlap { inside: 0, entered: 2, from: 11, until: 12 };
    let found = Exclusion { violations: 1, deepest: 2, first: Some(overlap), worst: Some(overlap) };
    assert_eq!(swept(1, true, &other), found);
}

/// Goal: twenty times the operations take nowhere near four hundred times as long, with reads and
/// with users, in a run where every second claim overlaps a read. The limit is wide, since an
/// unoptimised build on a shared machine is slow; anything quadratic misses it by far.
#[test]
fn histories_are_judged_in_near_linear_time() {
    let mut times = Vec::new();
    for size in [20_000_u64, 400_000] {
        let told = move |n: u64| match n % 4 {
            0 => Told::Read { remaining: size - n / 2 },
            2 => Told::Unknown(i64::try_from(n).unwrap()),
            _ => Told::Issued(i64::try_from(n).unwrap()),
        };
        let ops = (0..size).map(|n| op(n * 10, n * 10 + 15, told(n)));
        let begun = Instant::now();
        let dispenser = Dispenser { stock: size, per_user: true, owners: &BTreeSet::new() };
        assert_eq!(dispenser::check(&dispenser, ops.clone()), Ok(()));
        let stale = ops.clone().chain([read(size * 10 + 15, size * 10 + 16, size)]);
        let read = Claim { op: usize::try_from(size).unwrap(), issued: 0, at: size * 10 + 15 };
        let found = Contradiction::NotVisible { after: None, read, issued: size / 2 };
        assert_eq!(dispenser::check(&dispenser, stale), Err(found));
        let serials = ops
            .clone()
            .enumerate()
            .map(|(n, Op { start, end, .. })| op(start, end, numbered::Told::Number(1 + n as u64)));
        assert_eq!(
            numbered::check(&Numbers { first: 1, last: size, dense: true }, serials),
            Ok(())
        );
        let lock = Lock { permits: NonZeroUsize::new(2).unwrap(), reentrant: false };
        let holds = ops.map(|op| hold(1, op.start, op.end));
        assert_eq!(sweep(&lock, holds).violations, 0);
        times.push(begun.elapsed());
    }
    assert!(times[1] < times[0] * 100, "20,000 took {:?}, 400,000 {:?}", times[0], times[1]);
}

/// Goal: users are gathered a part at a time where there are many; each of them counts once, and
/// words far apart still meet. The limit of one part is 2^20 words.
#[test]
fn users_in_many_parts_count_once_each() {
    let size: i64 = (1 << 20) + 7;
    let last = usize::try_from(size).unwrap();
    let ops = (0..size).map(|user| op(0, NEVER, Told::Issued(user)));
    let judge = |stock: i64, owners: &BTreeSet<i64>, more: &[Op<Told>]| {
        let stock = u64::try_from(stock).unwrap();
        let ops = ops.clone().chain(more.iter().copied());
        dispenser::check(&Dispenser { stock, per_user: true, owners }, ops)
    };
    let (none, one) = (BTreeSet::new(), BTreeSet::from([size - 2]));
    assert_eq!(judge(size, &none, &[]), Ok(()));
    let oversold = Contradiction::Oversold { after: None, issued: u64::try_from(size).unwrap() };
    assert_eq!(judge(size - 1, &none, &[]), Err(oversold));
    let again = [op(0, 1, Told::Issued(size - 1)), op(2, 3, Told::Issued(1))];
    let twice = Contradiction::IssuedTwice { user: 1, first: Some(1), second: last + 1 };
    assert_eq!(judge(size, &none, &again), Err(twice), "user 1 comes before the last one");
    let owner = Contradiction::IssuedTwice { user: size - 2, first: None, second: last - 2 };
    assert_eq!(judge(size, &one, &[]), Err(owner));
}
