//! `locks.ndjson`: what is written is read back, and what is no lock log is refused by its line.

use std::path::PathBuf;

use cplock::ledger::locks::{
    About, Done, Fate, GaveUp, Granted, LockLog, LockedClaim, Release, Writer, read,
};
use cplock::ledger::{EvidenceError, Refusal};
use proptest::option;
use proptest::prelude::*;
use tempfile::TempDir;

fn about() -> About {
    About { process: "one \"odd\"".into(), strategy: "fair".into(), lease_us: 10, wait_us: 20 }
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.ndjson");
    (folder, path)
}

/// One claim as a server could tell of it.
#[derive(Debug, Clone)]
struct Told {
    request: String,
    times: [u64; 7],
    grant: Option<(u64, Option<u64>, Option<u64>)>,
    committed: bool,
    release: Release,
    fate: Fate,
    done: bool,
}

prop_compose! {
    fn told()(
        request in ".{0,60}",
        mut times in any::<[u32; 7]>().prop_map(|times| times.map(u64::from)),
        grant in option::of((1..u64::MAX, option::of(0..u64::MAX), option::of(0..u64::MAX))),
        release in proptest::sample::select(&Release::ALL[..]),
        fate in prop_oneof![
            any::<i64>().prop_map(Fate::Issued),
            proptest::sample::select(&Refusal::ALL[..]).prop_map(Fate::Refused),
            Just(Fate::Failed),
            Just(Fate::CommitUnknown),
        ],
        done: bool,
    ) -> Told {
        times.sort_unstable();
        let issued = matches!(fate, Fate::Issued(_));
        let fate = if issued && grant.is_none() { Fate::Failed } else { fate };
        let committed = matches!(fate, Fate::Issued(_));
        Told { request, times, grant, committed, release, fate, done }
    }
}

fn write(writer: &Writer, arrival: u64, told: &Told) {
    let [arrived_us, asked_us, granted_us, sent, committed, release_sent_us, released_us] =
        told.times;
    let request = &*told.request;
    let Some((grant, ticket, token)) = told.grant else {
        let fate = told.fate;
        let gave_up_us = granted_us;
        return writer.gave_up(&GaveUp {
            arrival,
            request,
            arrived_us,
            asked_us,
            gave_up_us,
            fate,
        });
    };
    writer.granted(&Granted {
        arrival,
        request,
        arrived_us,
        asked_us,
        granted_us,
        grant,
        ticket,
        token,
    });
    if told.done {
        writer.done(&Done {
            arrival,
            request,
            commit_sent_us: told.committed.then_some(sent),
            committed_us: told.committed.then_some(committed),
            release_sent_us,
            released_us,
            release: told.release,
            fate: told.fate,
        });
    }
}

#[track_caller]
fn same(log: &LockLog, claim: &LockedClaim, told: &Told) {
    let [arrived, asked, granted, sent, committed, release_sent, released] = told.times;
    let (inside, done) = (told.grant.is_some(), told.grant.is_some() && told.done);
    let issued = done && told.committed;
    assert_eq!(log.request(claim), told.request);
    assert_eq!((claim.arrived_us, claim.asked_us), (arrived, asked));
    assert_eq!(claim.granted_us(), inside.then_some(granted));
    assert_eq!(claim.gave_up_us(), (!inside).then_some(granted));
    assert_eq!(claim.commit_sent_us(), issued.then_some(sent));
    assert_eq!(claim.committed_us(), issued.then_some(committed));
    assert_eq!(claim.release_sent_us(), done.then_some(release_sent));
    assert_eq!(claim.released_us(), done.then_some(released));
    assert_eq!(claim.release(), done.then_some(told.release));
    assert_eq!(claim.fate(), (done || !inside).then_some(told.fate));
    assert_eq!(claim.grant(), told.grant.map(|grant| grant.0));
    assert_eq!(claim.ticket(), told.grant.and_then(|grant| grant.1));
    assert_eq!(claim.token(), told.grant.and_then(|grant| grant.2));
    let row = if let (true, Fate::Issued(row)) = (issued, told.fate) { Some(row) } else { None };
    assert_eq!(claim.row(), row);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: any claims whatever come back equal, in order of arrival however they were written.
    #[test]
    fn round_trip(given in proptest::collection::vec(told(), 0..40)) {
        let (_folder, path) = place();
        let writer = Writer::create(&path, &about()).unwrap();
        for (arrival, told) in (1..).zip(&given).collect::<Vec<_>>().into_iter().rev() {
            write(&writer, arrival, told);
        }
        let lines = writer.finish().unwrap();
        let log = read(&path).unwrap();
        prop_assert!(log.complete && lines >= given.len() as u64);
        prop_assert_eq!(&log.about, &about());
        prop_assert!(log.began_unix_us > 1_700_000_000_000_000);
        prop_assert_eq!(log.claims.len(), given.len());
        for ((arrival, told), claim) in (1..).zip(&given).zip(&log.claims) {
            prop_assert_eq!(claim.arrival, arrival);
            same(&log, claim, told);
        }
    }

    /// Goal: no file whatever makes the reader panic.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole: bool) {
        let (_folder, path) = place();
        let head = if whole { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        std::fs::write(&path, [head, bytes].concat()).unwrap();
        let _ = read(&path);
    }
}

const HEADER: &str = concat!(
    r#"{"schema":"cplock.locks/1","process":"p","strategy":"fair","lease_us":1,"wait_us":2,"#,
    r#""began_unix_us":3                   }"#
);
const GRANT: &str = concat!(
    r#"{"kind":"grant","arrival":7,"request":"r","arrived_us":1,"asked_us":2,"granted_us":3,"#,
    r#""grant":1,"ticket":4}"#
);
const DONE: &str = concat!(
    r#"{"kind":"done","arrival":7,"request":"r","commit_sent_us":4,"committed_us":5,"#,
    r#""release_sent_us":6,"released_us":7,"release":"clean","result":"issued","row":9}"#
);
const GAVE_UP: &str = concat!(
    r#"{"kind":"gave_up","arrival":8,"request":"s","arrived_us":1,"asked_us":2,"gave_up_us":3,"#,
    r#""result":"lock_timeout"}"#
);
const END: &str = r#"{"end":true,"records":3}"#;

fn read_text(text: &str) -> Result<LockLog, EvidenceError> {
    let (_folder, path) = place();
    std::fs::write(&path, text).unwrap();
    read(&path)
}

/// Goal: what a killed server leaves is read as far as it goes, and told to be incomplete.
#[test]
fn cut_short() {
    let whole = format!("{HEADER}\n{GRANT}\n{DONE}\n{GAVE_UP}\n{END}\n");
    let log = read_text(&whole).unwrap();
    assert!(log.complete && log.claims.len() == 2 && log.began_unix_us == 3);
    assert_eq!(log.claims.iter().map(|claim| claim.line).collect::<Vec<_>>(), [2, 4]);
    for cut in HEADER.len() + 1..whole.len() {
        let log = read_text(&whole[..cut]).unwrap();
        assert!(!log.complete, "cut at {cut}");
    }
    let open = read_text(&format!("{HEADER}\n{GRANT}\n")).unwrap();
    assert_eq!((open.claims[0].granted_us(), open.claims[0].fate()), (Some(3), None));
    for cut in [0, 10, HEADER.len()] {
        let error = read_text(&whole[..cut]).unwrap_err().to_string();
        assert!(error.contains("line 1: the header is cut short"), "{error}");
    }
}

/// Goal: a service that commits after it has released is wrong; its log is not, and says so.
#[test]
fn committed_after_the_release() {
    let late = DONE.replace(":4,", ":8,").replace("\"committed_us\":5", "\"committed_us\":9");
    let log = read_text(&format!("{HEADER}\n{GRANT}\n{late}\n")).unwrap();
    let [claim] = &log.claims[..] else { panic!("{log:?}") };
    assert_eq!((claim.committed_us(), claim.release_sent_us()), (Some(9), Some(6)));
}

/// Goal: each kind of wrong line is refused, with its number and the reason.
#[test]
fn refused() {
    let other = HEADER.replace("locks/1", "locks/2");
    let error = read_text(&format!("{other}\n")).unwrap_err();
    assert!(matches!(error, EvidenceError::Schema { .. }), "{error}");
    let odd_header = HEADER.replace("\"wait_us\":2,", "");
    let late = DONE.replace("\"released_us\":7", "\"released_us\":5");
    let never_sent = DONE.replace("\"commit_sent_us\":4,", "");
    let never_committed = DONE.replace("\"committed_us\":5,", "");
    for (lines, line, words) in [
        (vec![&*odd_header], 1, "missing field `wait_us`"),
        (vec![HEADER, "{}"], 2, "neither a `grant`, a `done`"),
        (vec![HEADER, &GRANT.replace("ticket", "tick")], 2, "unknown field `tick`"),
        (vec![HEADER, &GRANT.replace("\"grant\":1,", "")], 2, "missing field `grant`"),
        (vec![HEADER, &GRANT.replace(":2,", ":9,")], 2, "`granted_us` 3 is before `asked_us` 9"),
        (vec![HEADER, &GRANT.replace(":4}", ":18446744073709551615}")], 2, "out of range"),
        (vec![HEADER, &GRANT.replace("\"r\"", &format!("{:?}", "r".repeat(300)))], 2, "255"),
        (vec![HEADER, GRANT, GRANT], 3, "a second account of arrival 7"),
        (vec![HEADER, GRANT, DONE, GAVE_UP, GRANT], 5, "a second account of arrival 7"),
        (vec![HEADER, GAVE_UP, GAVE_UP], 3, "a second account of arrival 8"),
        (vec![HEADER, GRANT, &GAVE_UP.replace(":8", ":7")], 3, "a second account of arrival 7"),
        (vec![HEADER, DONE], 2, "arrival 7 is done without an open grant"),
        (vec![HEADER, GRANT, DONE, DONE], 4, "arrival 7 is done without an open grant"),
        (vec![HEADER, GRANT, &DONE.replace("\"r\"", "\"q\"")], 3, "granted to another request"),
        (vec![HEADER, GRANT, &late], 3, "`released_us` 5 is before `release_sent_us` 6"),
        (vec![HEADER, GRANT, &DONE.replace(":4,", ":2,")], 3, "is before `granted_us` 3"),
        (vec![HEADER, GRANT, &never_sent], 3, "committed and never sent"),
        (vec![HEADER, GRANT, &never_committed], 3, "`issued` does not fit its commit"),
        (vec![HEADER, GRANT, &DONE.replace(",\"row\":9", "")], 3, "issued without a `row`"),
        (vec![HEADER, GRANT, &DONE.replace("issued", "sold_out")], 3, "`sold_out` with a row"),
        (vec![HEADER, GRANT, &DONE.replace("issued", "given")], 3, "unknown result `given`"),
        (vec![HEADER, GRANT, &DONE.replace("clean", "dirty")], 3, "unknown way `dirty`"),
        (vec![HEADER, &GAVE_UP.replace("lock_timeout", "issued")], 2, "issued without a `row`"),
        (vec![HEADER, &GAVE_UP.replace(":3,", ":1,")], 2, "`gave_up_us` 1 is before `asked_us` 2"),
        (vec![HEADER, GRANT, END], 3, "it ends 3 records, and there are 1"),
        (vec![HEADER, GRANT, DONE, GAVE_UP, END, END], 6, "a line after the end"),
        (vec![HEADER, &"x".repeat(70_000)], 2, "longer than 65536 bytes"),
    ] {
        let error = read_text(&format!("{}\n", lines.join("\n"))).unwrap_err();
        let EvidenceError::Line { line: at, what } = &error else { panic!("{error}") };
        assert!(*at == line && what.contains(words), "{words}: {error}");
    }
}

/// Goal: many tasks at once write whole lines, and a claim's two lines keep their order.
#[test]
fn many_writers() {
    let (_folder, path) = place();
    let writer = Writer::create(&path, &about()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let writer = &writer;
            scope.spawn(move || {
                for n in 0..10_000 {
                    let told = Told {
                        request: format!("r-{thread}-{n}"),
                        times: [1, 2, 3, 4, 5, 6, 7],
                        grant: Some((n, Some(n), None)),
                        committed: true,
                        release: Release::Clean,
                        fate: Fate::Issued(1),
                        done: true,
                    };
                    write(writer, n * 4 + thread, &told);
                }
            });
        }
    });
    assert_eq!(writer.finish().unwrap(), 80_000);
    let log = read(&path).unwrap();
    assert!(log.complete && log.claims.len() == 40_000);
    assert!(log.claims.iter().all(|claim| claim.row() == Some(1)));
    assert_eq!(log.request(&log.claims[7]), "r-3-1");
}

/// Goal: 10⁶ claims fit 150 MB: what one costs beside its request id stays small.
#[test]
fn a_claim_is_small() {
    assert!(size_of::<LockedClaim>() <= 120, "{}", size_of::<LockedClaim>());
}
