//! Properties: a correct dispenser is never blamed, k dropped decrements are k lost updates, and no
//! books whatever make the audit panic.

use super::{Books, attempt, audit, failed, row, stock};
use cplock::coupon::{CouponId, IssuedRow, Snapshot, UserId};
use cplock::ledger::probes::{About, Probe, Probes, Saw};
use cplock::ledger::{Attempt, Doubt, Facts, Outcome, Refusal};
use cplock::verify::{Declared, Ruling};
use proptest::prelude::*;

/// What becomes of one request to a correct dispenser, and what its client hears of it.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// Served or told sold out, as the stock has it; the client hears it.
    Heard,
    /// Served or told sold out; the client hears nothing.
    Unheard(Doubt),
    /// Never reached the stock; the client hears nothing.
    LostOnTheWay(Doubt),
    /// Refused before it reached the stock.
    Refused(Refusal),
}

fn fate() -> impl Strategy<Value = Fate> {
    let doubt = || prop::sample::select(Doubt::ALL.to_vec());
    let refusal = prop::sample::select(vec![
        Refusal::LockTimeout,
        Refusal::Deadlock,
        Refusal::Busy,
        Refusal::Unauthorized,
        Refusal::Unsent,
    ]);
    prop_oneof![
        6 => Just(Fate::Heard),
        2 => doubt().prop_map(Fate::Unheard),
        1 => doubt().prop_map(Fate::LostOnTheWay),
        1 => refusal.prop_map(Fate::Refused),
    ]
}

/// One request: its fate, who asks, when it starts, how long until it takes effect and until the
/// reply.
type Request = (Fate, i64, u64, u64, u64);

fn requests() -> impl Strategy<Value = Vec<Request>> {
    prop::collection::vec((fate(), 1..6_i64, 0..200_u64, 0..30_u64, 0..30_u64), 0..60)
}

/// How the simulated service tells of itself.
#[derive(Debug, Clone, Copy)]
struct Habits {
    one_per_user: bool,
    keeps_request_ids: bool,
    names_rows: bool,
    /// Rows of an earlier run.
    earlier: i64,
}

fn habits() -> impl Strategy<Value = Habits> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..4_i64).prop_map(
        |(one, ids, names, earlier)| Habits {
            one_per_user: one,
            keeps_request_ids: ids,
            names_rows: names,
            earlier,
        },
    )
}

/// Plays `requests` against a correct dispenser of `units`: one at a time, in the order in which
/// they take effect.
fn play(units: i64, requests: &[Request], habits: Habits) -> Books {
    let begun = stock(units + habits.earlier, units, habits.earlier, habits.earlier);
    let mut rows: Vec<_> = (1..=habits.earlier).map(earlier_row).collect();
    let (mut attempts, mut probes) = (Vec::new(), Vec::new());
    let mut remaining = units;
    let mut by_effect: Vec<_> = requests.iter().zip(1..).collect();
    by_effect.sort_by_key(|((_, _, start, effect, _), _)| start + effect);
    for (&(fate, user, start, effect, reply), n) in by_effect {
        let mut made: Attempt = attempt(n, Outcome::Acknowledged);
        (made.user, made.start_us, made.end_us) = (user, start, start + effect + reply);
        let holds = habits.one_per_user && rows.iter().any(|row: &IssuedRow| row.user.0 == user);
        let reaches = matches!(fate, Fate::Heard | Fate::Unheard(_));
        let answer = if holds {
            Outcome::Refused(Refusal::Duplicate)
        } else if remaining == 0 {
            Outcome::Refused(Refusal::SoldOut)
        } else {
            Outcome::Acknowledged
        };
        if reaches && answer == Outcome::Acknowledged {
            remaining -= 1;
            let mut issued = row(n);
            (issued.row, issued.user) = (begun.last_row + 1 + units - remaining, UserId(user));
            if !habits.keeps_request_ids {
                issued.request.clear();
            }
            made.facts.row = habits.names_rows.then_some(issued.row);
            made.facts.quantity = habits.names_rows.then_some(remaining + 1);
            rows.push(issued);
        }
        // Somebody looks at that moment; his question takes as long as the claim did.
        let all = i64::try_from(rows.len()).expect("few rows");
        let saw = match n % 3 {
            0 => Saw::Snapshot { quantity: remaining, issued: all },
            _ => Saw::Remaining { quantity: remaining },
        };
        probes.push(Probe { start_us: start, end_us: start + effect + reply, saw });
        made.outcome = match fate {
            Fate::Heard => answer,
            Fate::Unheard(doubt) | Fate::LostOnTheWay(doubt) => Outcome::Unknown(doubt),
            Fate::Refused(why) => Outcome::Refused(why),
        };
        attempts.push(made);
    }
    let issued = i64::try_from(rows.len()).expect("few rows");
    let last = rows.iter().map(|row| row.row).max().unwrap_or(0);
    Books {
        one_per_user: habits.one_per_user,
        after: Some(stock(begun.initial, remaining, issued, last)),
        before: Some(begun),
        rows: Some(rows),
        attempts: Some(attempts),
        ledger_complete: true,
        more: with_probes(probes),
    }
}

/// Books of a service that moves stock and row at once, with these probes.
fn with_probes(probes: Vec<Probe>) -> cplock::verify::Books {
    let about = About { run: "r".to_owned(), coupon: 1, every_us: 1 };
    let declared = Declared { atomic: true, fifo: false };
    let probes = Some(Probes { about, began_unix_us: None, complete: true, probes });
    cplock::verify::Books { probes, declared, ..Default::default() }
}

fn blameless(books: &Books) -> bool {
    failed(&audit(books)).is_empty()
}

fn earlier_row(n: i64) -> IssuedRow {
    IssuedRow {
        row: n,
        user: UserId(1_000 + n),
        coupon: CouponId(1),
        request: format!("earlier {n}"),
        created_us: 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Goal: no false alarm. Unheard commits, lost requests, refusals, used tables, services that
    /// keep no request ids: whatever a correct dispenser does, the verdict is not FAIL.
    #[test]
    fn a_correct_dispenser_is_never_blamed(
        units in 0..20_i64, requests in requests(), habits in habits()
    ) {
        let books = play(units, &requests, habits);
        let verdict = audit(&books);
        prop_assert_eq!(failed(&verdict), Vec::<&str>::new());
        prop_assert!(matches!(verdict.verdict, Ruling::Pass | Ruling::Vacuous), "{:?}", verdict);

        let without_database = Books { after: None, rows: None, ..books.clone() };
        prop_assert!(blameless(&without_database));
        let without_ledger = Books { attempts: None, ..books.clone() };
        prop_assert!(blameless(&without_ledger));
        let without_rows = Books { rows: None, ..books };
        prop_assert!(blameless(&without_rows));
    }

    /// Goal: a load that was killed leaves fewer attempts than were made; nobody is blamed for it.
    #[test]
    fn a_ledger_that_was_cut_off_blames_nobody(
        units in 0..20_i64, requests in requests(), habits in habits(), kept in 0..60_usize
    ) {
        let mut books = play(units, &requests, habits);
        books.attempts.as_mut().expect("played").truncate(kept);
        books.ledger_complete = false;
        let verdict = audit(&books);
        prop_assert_eq!(failed(&verdict), Vec::<&str>::new(), "{:?}", verdict);
    }

    /// Goal: k dropped decrements are exactly k lost updates, and nothing else is blamed.
    #[test]
    fn dropped_decrements_are_lost_updates(
        units in 0..20_i64, requests in requests(), habits in habits(), dropped in 1..20_i64
    ) {
        let mut books = play(units, &requests, habits);
        books.after.as_mut().expect("played").remaining += dropped;
        let verdict = audit(&books);
        prop_assert_eq!(verdict.verdict, Ruling::Fail);
        prop_assert_eq!(verdict.counts.lost_updates, Some(dropped));
        prop_assert_eq!(failed(&verdict), ["V01", "V02"]);
    }

    /// Goal: nothing that books can hold makes the audit panic, and the document reads back.
    #[test]
    fn no_books_make_the_audit_panic(books in hostile_books()) {
        let verdict = audit(&books);
        prop_assert!(verdict.findings.iter().all(|f| f.witnesses.len() <= 10));
        let unknown = verdict.findings.iter().filter(|f| f.verdict == Ruling::Unknown);
        prop_assert!(unknown.clone().all(|f| f.needs.is_some()), "{:?}", verdict);
        let text = serde_json::to_string(&verdict).expect("serializes");
        prop_assert_eq!(serde_json::from_str::<cplock::verify::Verdict>(&text).ok(), Some(verdict));
        books.of_run("").attempts.as_ref().map(cplock::verify::order);
    }
}

/// Small numbers that collide, and the extremes.
fn hostile() -> impl Strategy<Value = i64> {
    prop_oneof![4 => 0..5_i64, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()]
}

fn hostile_time() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..5_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn request_id() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[ab]{0,1}", 1 => any::<String>()]
}

fn hostile_snapshot() -> impl Strategy<Value = Snapshot> {
    (hostile(), hostile(), hostile(), hostile(), hostile()).prop_map(|(a, b, c, d, e)| Snapshot {
        coupon: CouponId(a),
        initial: b,
        remaining: c,
        issued: d,
        last_row: e,
    })
}

fn hostile_row() -> impl Strategy<Value = IssuedRow> {
    (hostile(), hostile(), hostile(), request_id(), hostile()).prop_map(|(a, b, c, request, e)| {
        IssuedRow { row: a, user: UserId(b), coupon: CouponId(c), request, created_us: e }
    })
}

fn hostile_attempt() -> impl Strategy<Value = Attempt> {
    let outcomes = Refusal::ALL.map(Outcome::Refused).into_iter();
    let outcomes = outcomes.chain(Doubt::ALL.map(Outcome::Unknown));
    let outcomes: Vec<_> = outcomes.chain([Outcome::Acknowledged; 9]).collect();
    let facts = (prop::option::of(hostile()), prop::option::of(hostile_time()));
    (request_id(), hostile(), hostile_time(), hostile_time(), prop::sample::select(outcomes), facts)
        .prop_map(|(request, user, start_us, end_us, outcome, (row, number))| Attempt {
            request,
            user,
            start_us,
            end_us,
            outcome,
            facts: Facts { row, arrival: number, grant: number, ..Facts::default() },
            ..attempt(0, outcome)
        })
}

fn hostile_books() -> impl Strategy<Value = Books> {
    (
        any::<(bool, bool)>(),
        prop::option::of(hostile_snapshot()),
        prop::option::of(hostile_snapshot()),
        prop::option::of(prop::collection::vec(hostile_row(), 0..12)),
        prop::option::of(prop::collection::vec(hostile_attempt(), 0..12)),
    )
        .prop_map(|((one_per_user, ledger_complete), before, after, rows, attempts)| Books {
            one_per_user,
            before,
            after,
            rows,
            attempts,
            ledger_complete,
            ..Books::default()
        })
}
