//! Histories for other people's checkers: a small known run as it is written, and what holds for
//! every run.

use std::collections::{BTreeMap, HashMap, HashSet};

use cplock::ledger::probes::{Kind, Own, Probe, Saw};
use cplock::ledger::{Attempt, Doubt, Facts, Outcome, Refusal};
use cplock::report::history::{self, History};
use proptest::prelude::*;
use serde_json::Value;

use crate::verify::{Books, row, stock};

const UNKNOWN: Outcome = Outcome::Unknown(Doubt::Timeout);
const SOLD_OUT: Outcome = Outcome::Refused(Refusal::SoldOut);

fn claim(vu: u32, iteration: u32, (start_us, end_us): (u64, u64), outcome: Outcome) -> Attempt {
    Attempt {
        vu,
        iteration,
        request: format!("r-{vu}-{iteration}"),
        user: i64::from(vu) + 1,
        scheduled_us: start_us,
        start_us,
        end_us,
        outcome,
        status: 200,
        facts: Facts::default(),
    }
}

fn probe(start_us: u64, end_us: u64, saw: Saw) -> Probe {
    Probe { start_us, end_us, saw }
}

/// Three VUs, three units: two acknowledged, one unknown that was written, one refused; one row
/// of nobody. The ledger is in the order of the ends, as it is written.
fn known() -> (Books, Vec<Probe>) {
    let attempts = vec![
        claim(0, 0, (10, 30), Outcome::Acknowledged),
        claim(1, 0, (20, 40), Outcome::Acknowledged),
        claim(0, 1, (30, 50), UNKNOWN),
        claim(0, 2, (60, 70), SOLD_OUT),
    ];
    let mut rows: Vec<_> = (8..=11).map(row).collect();
    let names = ["r-0-0", "r-1-0", "r-0-1", "by hand"];
    for (row, name) in rows.iter_mut().zip(names) {
        name.clone_into(&mut row.request);
    }
    // One of before the run.
    rows.insert(0, row(7));
    let own = Own {
        user: 1,
        request: "r-0-0".to_owned(),
        row: None,
        present: true,
        count: 1,
        rows: None,
    };
    let failed = Saw::Failed { kind: Kind::Remaining, error: "no reply".to_owned() };
    let probes = vec![
        probe(5, 15, Saw::Remaining { quantity: 3 }),
        probe(31, 33, Saw::Own(own)),
        probe(35, 45, failed),
        probe(45, 55, Saw::Snapshot { quantity: 1, issued: 3 }),
    ];
    let books = Books {
        one_per_user: false,
        before: Some(stock(4, 3, 1, 7)),
        after: Some(stock(4, 0, 5, 11)),
        rows: Some(rows),
        attempts: Some(attempts),
        ledger_complete: true,
        ..Books::default()
    };
    (books, probes)
}

fn told(history: History, books: &Books, probes: &[Probe]) -> String {
    let mut out = Vec::new();
    history::write(history, &books.of_run("r"), probes, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Goal: the formats change only on purpose: other people's programs read them.
#[test]
fn a_known_run_as_histories() {
    let (books, probes) = known();
    insta::assert_snapshot!("history_jepsen", told(History::Set, &books, &probes));
    insta::assert_snapshot!("history_jepsen_counter", told(History::Counter, &books, &probes));
    insta::assert_snapshot!("history_porcupine", told(History::Events, &books, &probes));
}

/// Goal: a run of nothing is a history of nothing but its last reading, and well-formed.
#[test]
fn an_empty_run_is_an_empty_history() {
    let (mut books, _) = known();
    (books.attempts, books.rows, books.after) = (Some(Vec::new()), Some(Vec::new()), None);
    assert_eq!(told(History::Counter, &books, &[]), "[]\n");
    let set: Vec<Value> = serde_json::from_str(&told(History::Set, &books, &[])).unwrap();
    assert_eq!((set.len(), &set[1]["value"]), (2, &Value::Array(Vec::new())));
    assert_eq!(lines(&told(History::Events, &books, &[])).len(), 2, "the stock at the start");
}

/// Goal: what a bundle cannot tell is refused with the reason, before anything is written.
#[test]
fn what_cannot_be_told_is_refused() {
    let (books, _) = known();
    let refused = |history, books: &Books| {
        let mut out = Vec::new();
        let error = history::write(history, &books.of_run("r"), &[], &mut out).unwrap_err();
        assert!(out.is_empty());
        error.to_string()
    };
    for history in [History::Set, History::Counter, History::Events] {
        let alone = Books { attempts: None, ..books.clone() };
        assert!(refused(history, &alone).starts_with("there is no ledger.ndjson"));
    }
    let open = Books { rows: None, ..books.clone() };
    assert!(refused(History::Set, &open).contains("`cplock verify`"));
    let mut foreign = books.clone();
    for row in foreign.rows.as_mut().unwrap() {
        row.request = "somebody's own".to_owned();
    }
    assert!(refused(History::Set, &foreign).contains("ask for `jepsen-counter`"));
    let blank = Books { before: None, after: None, ..books };
    assert!(refused(History::Counter, &blank).contains("the stock at the start"));
}

/// Goal: a VU's process is its own until an unknown outcome; the same for a VU that ends and
/// begins in one µs, as a beginning comes before an end of that µs.
#[test]
fn processes_are_retired_when_they_must() {
    let (mut books, _) = known();
    let yes = Outcome::Acknowledged;
    books.attempts = Some(vec![
        claim(0, 0, (0, 10), yes),
        claim(0, 1, (11, 20), UNKNOWN),
        claim(0, 2, (21, 30), yes),
        claim(0, 3, (30, 40), yes),
        claim(0, 4, (41, 50), SOLD_OUT),
        claim(1, 0, (42, 43), yes),
    ]);
    let events = lines(&told(History::Events, &books, &[]));
    let calls = events.iter().filter(|event| event["Value"]["op"] == "claim");
    let clients: Vec<u64> = calls.map(|event| event["ClientId"].as_u64().unwrap()).collect();
    // 0 reads the stock before the run.
    assert_eq!(clients, [1, 1, 2, 3, 3, 4]);
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Acknowledged, SOLD_OUT, UNKNOWN])
}

/// Any run: each VU asks one thing after the other, or at once, as foreign generators do.
fn any_run() -> impl Strategy<Value = Books> {
    let claims = prop::collection::vec((0..4_u32, 0..60_u64, 0..20_u64, any_outcome()), 0..40);
    claims.prop_map(|claims| {
        let mut counts = HashMap::new();
        let attempts = claims.into_iter().map(|(vu, start, length, outcome)| {
            let count = counts.entry(vu).or_insert(0);
            *count += 1;
            claim(vu, *count - 1, (start, start + length), outcome)
        });
        Books { attempts: Some(attempts.collect()), ..known().0 }
    })
}

proptest! {
    /// Goal: in every Jepsen history the places count up and times never fall, a process does
    /// one thing at a time and nothing after `info`, each end has its beginning with the same
    /// value, and the ends are those of the ledger.
    #[test]
    fn jepsen_histories_are_well_formed(books in any_run()) {
        let (_, probes) = known();
        for history in [History::Set, History::Counter] {
            // Rows of nobody are refused for the set.
            let books = Books { rows: Some(Vec::new()), ..books.clone() };
            let text = told(history, &books, &probes);
            let ops: Vec<Value> = serde_json::from_str(&text).unwrap();
            let (mut busy, mut retired) = (HashMap::new(), HashSet::new());
            let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
            let mut last = 0;
            for (index, op) in ops.iter().enumerate() {
                let process = op["process"].as_u64().unwrap();
                let kind = op["type"].as_str().unwrap();
                let time = op["time"].as_u64().unwrap();
                prop_assert!(op["index"] == index && last <= time, "{}", op);
                last = time;
                prop_assert!(!retired.contains(&process), "{}", op);
                if kind == "invoke" {
                    prop_assert!(busy.insert(process, op).is_none(), "{}", op);
                    continue;
                }
                let begun = busy.remove(&process).expect("a beginning");
                prop_assert_eq!(&begun["f"], &op["f"]);
                if op["f"] == "add" {
                    prop_assert_eq!(&begun["value"], &op["value"]);
                    *ends.entry(kind).or_default() += 1;
                }
                if kind == "info" {
                    retired.insert(process);
                }
            }
            prop_assert!(busy.is_empty());
            let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
            for attempt in books.attempts.iter().flatten() {
                let kind = match attempt.outcome {
                    Outcome::Acknowledged => "ok",
                    Outcome::Refused(_) => "fail",
                    Outcome::Unknown(_) => "info",
                };
                *expected.entry(kind).or_default() += 1;
            }
            prop_assert_eq!(ends, expected);
        }
    }

    /// Goal: in every list of events each call has one return behind it, times never fall, and
    /// unknown claims return last; each claim is told once, at its own time.
    #[test]
    fn events_are_well_formed(books in any_run()) {
        let (_, probes) = known();
        let events = lines(&told(History::Events, &books, &probes));
        let (mut open, mut last, mut unknown) = (HashMap::new(), 0, 0);
        for (place, event) in events.iter().enumerate() {
            let (id, time) = (event["Id"].as_u64().unwrap(), event["time"].as_u64().unwrap());
            prop_assert!(last <= time, "{}", event);
            last = time;
            if event["Kind"] == false {
                prop_assert!(unknown == 0, "nothing begins behind an unknown end: {}", event);
                prop_assert!(open.insert(id, place).is_none(), "{}", event);
            } else {
                prop_assert!(open.remove(&id).is_some(), "{}", event);
                unknown += usize::from(event["Value"]["outcome"] == "unknown");
            }
        }
        prop_assert!(open.is_empty());
        let attempts = books.attempts.as_ref().unwrap();
        let doubts = attempts.iter().filter(|one| one.outcome == UNKNOWN).count();
        prop_assert_eq!(unknown, doubts);
        // The claims, three probes with an answer, and the books before and after.
        prop_assert_eq!(events.len(), 2 * (attempts.len() + 5));
        let calls: HashMap<&str, u64> = events
            .iter()
            .filter_map(|event| {
                Some((event["Value"]["request"].as_str()?, event["time"].as_u64()?))
            })
            .collect();
        for attempt in attempts {
            prop_assert_eq!(calls[attempt.request.as_str()], attempt.start_us * 1_000);
        }
    }
}
