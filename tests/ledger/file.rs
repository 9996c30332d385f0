//! `ledger.ndjson`: what is written is read back, and what is not a ledger is refused.

use std::io::Write as _;
use std::path::Path;

use cplock::ledger::file::{LedgerError, Writer};
use cplock::ledger::read::{Reader, load};
use cplock::ledger::{Attempt, Doubt, Facts, Outcome, Refusal};
use proptest::option;
use proptest::prelude::*;

const HEADER: &str = r#"{"schema":"cplock.ledger/1","run":"r1"}"#;
const GOOD: &str = concat!(
    r#"{"vu":1,"iteration":0,"request":"r1-1-0","user":7,"scheduled_us":5,"start_us":5,"#,
    r#""end_us":9,"outcome":"refused","reason":"sold_out","status":400}"#
);

/// A reader as an iterator, which ends after its first error.
struct Lines(Reader, bool);

fn read(path: &Path) -> Result<Lines, LedgerError> {
    Ok(Lines(Reader::open(path)?, false))
}

impl Iterator for Lines {
    type Item = Result<Attempt, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.1 {
            return None;
        }
        let item = self.0.next_entry();
        self.1 = !matches!(item, Ok(Some(_)));
        item.map(|entry| entry.map(cplock::ledger::attempts::Entry::to_attempt)).transpose()
    }
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Acknowledged),
        proptest::sample::select(&Refusal::ALL[..]).prop_map(Outcome::Refused),
        proptest::sample::select(&Doubt::ALL[..]).prop_map(Outcome::Unknown),
    ]
}

prop_compose! {
    fn some_facts()(
        (row, quantity) in (option::of(any::<i64>()), option::of(any::<i64>())),
        (arrival, ticket) in (option::of(any::<u64>()), option::of(any::<u64>())),
        (token, grant) in (option::of(any::<u64>()), option::of(any::<u64>())),
        (wait_us, hold_us) in (option::of(any::<u64>()), option::of(any::<u64>())),
    ) -> Facts {
        Facts { row, quantity, arrival, ticket, token, grant, wait_us, hold_us }
    }
}

prop_compose! {
    fn attempts()(
        (vu, iteration, request) in (any::<u32>(), any::<u32>(), any::<String>()),
        (user, scheduled_us) in (any::<i64>(), any::<u64>()),
        (one, two) in (any::<u64>(), any::<u64>()),
        (outcome, status, facts) in (outcomes(), any::<u16>(), some_facts()),
    ) -> Attempt {
        let (start_us, end_us) = (one.min(two), one.max(two));
        Attempt {
            vu, iteration, request, user, scheduled_us, start_us, end_us, outcome, status, facts,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any attempts whatever come back equal; those of one VU in their order.
    #[test]
    fn round_trip(given in proptest::collection::vec(attempts(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.ndjson");
        let writer = Writer::create(&path, "run \"odd\"\n").unwrap();
        for attempt in &given {
            writer.append(attempt);
        }
        prop_assert_eq!(writer.finish().unwrap(), given.len() as u64);
        let reader = read(&path).unwrap();
        prop_assert_eq!(&reader.0.run, "run \"odd\"\n");
        let mut found: Vec<Attempt> = reader.map(Result::unwrap).collect();
        let mut expected = given.clone();
        found.sort_by_key(|attempt| attempt.vu);
        expected.sort_by_key(|attempt| attempt.vu);
        prop_assert_eq!(found, expected);
    }

    /// No file whatever makes the reader panic, and it ends after its first error.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), whole: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.ndjson");
        let head = if whole { format!("{HEADER}\n").into_bytes() } else { Vec::new() };
        std::fs::write(&path, [head, bytes].concat()).unwrap();
        if let Ok(reader) = read(&path) {
            let errors = reader.filter(Result::is_err).count();
            prop_assert!(errors <= 1);
        }
    }
}

fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.ndjson");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

/// The error that ends a ledger of this text, after so many good lines.
fn error_after(text: &str) -> (usize, LedgerError) {
    let (_folder, path) = written(text);
    let reader = match read(&path) {
        Ok(reader) => reader,
        Err(error) => return (0, error),
    };
    let mut items: Vec<_> = reader.collect();
    let last = items.pop().expect("at least the error");
    assert!(items.iter().all(Result::is_ok));
    (items.len(), last.expect_err("the last item is the error"))
}

/// A line cut short at the end is told apart from a broken one: the run was killed.
#[test]
fn torn() {
    let cut = &GOOD[..40];
    let (good, error) = error_after(&format!("{HEADER}\n{GOOD}\n{cut}"));
    assert!(matches!(error, LedgerError::Torn { line: 3 }), "{error}");
    assert_eq!(good, 1);
    assert!(matches!(error_after("").1, LedgerError::Torn { line: 1 }));
    assert!(matches!(error_after(HEADER).1, LedgerError::Torn { line: 1 }));
}

/// Another schema, another file, and each kind of wrong line: refused by number, with the reason.
#[test]
fn refused() {
    let other = HEADER.replace("ledger/1", "ledger/2");
    assert!(matches!(error_after(&format!("{other}\n")).1, LedgerError::Schema { .. }));
    assert!(matches!(error_after("vu,iteration\n1,2\n").1, LedgerError::Schema { .. }));
    for (from, to) in [
        ("\"vu\":1,", ""),
        ("\"vu\":1", "\"vu\":-1"),
        ("\"vu\":1", "\"vu\":1,\"surprise\":1"),
        ("sold_out", "sold_off"),
        ("\"refused\",\"reason\":\"sold_out\"", "\"refused\""),
        ("\"refused\",\"reason\":\"sold_out\"", "\"maybe\""),
        ("\"refused\"", "\"acknowledged\""),
        ("\"end_us\":9", "\"end_us\":4"),
        ("}", ""),
    ] {
        let bad = GOOD.replace(from, to);
        assert_ne!(bad, GOOD);
        let (good, error) = error_after(&format!("{HEADER}\n{GOOD}\n{bad}\n{GOOD}\n"));
        assert!(matches!(error, LedgerError::Line { line: 3, .. }), "{bad}: {error}");
        assert_eq!(good, 1, "{bad}");
    }
    let long = format!("{HEADER}\n{}", "x".repeat(200_000));
    assert!(matches!(error_after(&long).1, LedgerError::Line { line: 2, .. }));
    assert!(matches!(read(Path::new("/nowhere/ledger")), Err(LedgerError::Read { .. })));
}

/// Goal: a line out of its turn, one given twice, and a clock that jumps back are told by line; VUs
/// may be interleaved in any way.
#[test]
fn each_vu_keeps_its_order() {
    let line = |vu: u32, iteration: u32, start: u64| {
        let moved = GOOD.replace("\"vu\":1", &format!("\"vu\":{vu}"));
        let moved = moved.replace("\"iteration\":0", &format!("\"iteration\":{iteration}"));
        let moved = moved.replace("\"start_us\":5", &format!("\"start_us\":{start}"));
        moved.replace("\"end_us\":9", &format!("\"end_us\":{}", start + 4))
    };
    let told = |lines: &[String]| {
        let (_folder, path) = written(&format!("{HEADER}\n{}\n", lines.join("\n")));
        load(&path).map(|loaded| loaded.attempts.len()).map_err(|error| error.to_string())
    };
    assert_eq!(told(&[line(1, 0, 5), line(2, 0, 5), line(1, 1, 9), line(2, 7, 20)]), Ok(4));
    for (last, what) in [
        (line(1, 0, 30), "line 4 of the ledger is not an attempt: iteration 0 of VU 1 follows"),
        (line(1, 1, 8), "line 4 of the ledger is not an attempt: VU 1 asks at 8 µs, before"),
    ] {
        let error = told(&[line(1, 0, 5), line(2, 0, 5), last]).unwrap_err();
        assert!(error.starts_with(what), "{error}");
    }
}

fn attempt(vu: u32, iteration: u32) -> Attempt {
    Attempt {
        vu,
        iteration,
        request: format!("r1-{vu}-{iteration}"),
        user: 1,
        scheduled_us: 1,
        start_us: 1,
        end_us: 2,
        outcome: Outcome::Acknowledged,
        status: 200,
        facts: Facts::default(),
    }
}

/// Many threads at once, past the size at which a buffer is written by the one who fills it: every
/// line is there, and each VU's are in order.
#[test]
fn many_writers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.ndjson");
    let writer = Writer::create(&path, "r1").unwrap();
    let (threads, each) = (4, 20_000);
    std::thread::scope(|scope| {
        for vu in 0..threads {
            let writer = &writer;
            // The same buffer for all: 16 apart.
            scope.spawn(move || (0..each).for_each(|n| writer.append(&attempt(vu * 16, n))));
        }
    });
    assert_eq!(writer.finish().unwrap(), u64::from(threads * each));
    let mut next = std::collections::HashMap::new();
    for attempt in read(&path).unwrap() {
        let attempt = attempt.unwrap();
        let expected = next.entry(attempt.vu).or_insert(0);
        assert_eq!(attempt.iteration, *expected);
        *expected += 1;
    }
    assert!(next.len() == 4 && next.values().all(|count| *count == each));
}

/// A full disk is told at the end, and at once to who asks; nothing panics.
#[test]
fn full_disk() {
    let writer = Writer::create(Path::new("/dev/full"), "r1");
    assert!(matches!(writer, Err(LedgerError::Write { .. })), "the header is written at once");

    // A pipe whose reader has gone: the header fits, what follows does not.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let opener = path.clone();
    let (send, reader) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        send.send(std::fs::File::open(opener).unwrap()).unwrap();
    });
    let writer = Writer::create(&path, "r1").unwrap();
    drop(reader.recv().unwrap());
    thread.join().unwrap();
    writer.append(&attempt(0, 0));
    let error = writer.finish().unwrap_err();
    assert!(matches!(error, LedgerError::Write { .. }), "{error}");
    assert!(writer.failed());
}

/// A file that somebody else has begun is replaced, not continued.
#[test]
fn replaced() {
    let (_folder, path) = written("old\n");
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"older\n").unwrap();
    let writer = Writer::create(&path, "r2").unwrap();
    assert_eq!(writer.finish().unwrap(), 0);
    assert_eq!(read(&path).unwrap().count(), 0);
}

/// Goal: the moment from which times count is in the header, though it is known only later; a
/// ledger without it is still read.
#[test]
fn the_beginning_is_in_the_header() {
    let (_folder, path) = written("");
    let writer = Writer::create(&path, "r1").unwrap();
    writer.append(&attempt(0, 0));
    assert_eq!(read(&path).unwrap().0.began_unix_us, None);
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_micros(1_700_000_000_654_321);
    writer.began(at);
    writer.finish().unwrap();
    let reader = read(&path).unwrap();
    assert_eq!((&*reader.0.run, reader.0.began_unix_us), ("r1", Some(1_700_000_000_654_321)));
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), [attempt(0, 0)]);
    let (_folder, path) = written(&format!("{HEADER}\n{GOOD}\n"));
    let reader = read(&path).unwrap();
    assert_eq!((reader.0.began_unix_us, reader.count()), (None, 1));
}
