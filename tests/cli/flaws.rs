//! Broken servers through the binary: asked for twice, counted, and one whole run of each flaw.
//!
//! [`flawed_run`] is for every test that wants a bundle with a known flaw in it. What each flaw
//! does to rows and replies is tested in `server/flaws.rs`.

use std::fs;
use std::path::PathBuf;

use cplock::coupon::flaw::Flaw;
use cplock::ledger::{locks, probes};
use cplock::verify::{Ruling, Verdict};
use serde_json::Value;

use super::{Place, json};

/// A run against a broken server. Its folder goes when this is dropped.
pub(crate) struct FlawedRun {
    _place: Place,
    /// The run's closed bundle: ledger, latencies, probes, lock log, stock before and after, rows.
    pub(crate) bundle: PathBuf,
    /// How often the flaw came out, by the server's own count.
    pub(crate) manifested: u64,
}

/// The crowd that brings a flaw out for sure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) lock: &'static str,
    pub(crate) stock: u32,
    pub(crate) once: bool,
    /// `shared`, `per-vu` or `per-claim`.
    pub(crate) users: &'static str,
    pub(crate) vus: u32,
    pub(crate) iterations: u32,
    pub(crate) think: &'static str,
}

impl Crowd {
    /// The crowd for `flaw`: demand exceeds the stock where sold-outs are part of the flaw.
    pub(crate) fn of(flaw: Flaw) -> Self {
        let plenty = Self {
            lock: "fair",
            stock: 1_000,
            once: false,
            users: "per-vu",
            vus: 20,
            iterations: 10,
            think: "2ms",
        };
        match flaw {
            Flaw::NoLock => Self { lock: "none", ..plenty },
            Flaw::UnguardedDecrement => Self { stock: 100, ..plenty },
            Flaw::StockShards => Self { stock: 120, ..plenty },
            Flaw::UnlockedCheck => Self { users: "shared", once: true, iterations: 3, ..plenty },
            Flaw::EarlyMarker => Self { stock: 8, once: true, iterations: 4, ..plenty },
            Flaw::OwnerlessUnlock | Flaw::ShortLease | Flaw::UncheckedToken => {
                Self { vus: 10, iterations: 8, ..plenty }
            }
            // A second row breaks one-per-user too, whatever asked for it.
            Flaw::RepeatedWrite => Self { once: true, vus: 60, iterations: 2, ..plenty },
            // Long enough for some looks on the side.
            Flaw::CachedStock | Flaw::LaggingList | Flaw::CancellingErrors => {
                Self { iterations: 15, think: "40ms", ..plenty }
            }
            _ => plenty,
        }
    }
}

/// Serves with `flaw`, lets `crowd` in with probes and a lock log, stops the server and closes the
/// books: what is left is ready for `cplock verify`.
pub(crate) fn flawed_run(flaw: Flaw, crowd: Crowd) -> FlawedRun {
    let place = Place::new();
    let stock = crowd.stock.to_string();
    let mut serve = vec!["--lock", crowd.lock, "--stock", &stock, "--lock-log", "own.log"];
    serve.extend(["--poll", "2ms", "--flaw", flaw.code(), "--i-want-a-broken-server"]);
    serve.extend(crowd.once.then_some("--one-per-user"));
    let server = place.serve(&serve);
    let (vus, iterations) = (crowd.vus.to_string(), crowd.iterations.to_string());
    let mut load = vec!["load", "--target", &server.url, "--vus", &vus];
    load.extend(["--iterations", &iterations, "--users", crowd.users]);
    load.extend(["--think", crowd.think, "--probe", "20ms"]);
    place.call(&load).code(0);
    let counted = server.counter("cplock_flaw_manifestations_total");
    let end = server.stop().code(0);
    let line = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix(&format!("flaw {flaw} manifested "))?;
        rest.strip_suffix(" times")?.parse().ok()
    };
    let manifested = end.err.lines().find_map(line).expect("a last line with the count");
    assert!(manifested >= counted, "it never falls: {counted} {manifested}");

    let bundle = place.latest("");
    fs::copy(place.path("own.log"), bundle.join("locks.ndjson")).unwrap();
    // `load` knows no such rule of the service it asks.
    let mut run = json(&bundle.join("run.json"));
    run["one_per_user"] = Value::Bool(crowd.once);
    fs::write(bundle.join("run.json"), run.to_string()).unwrap();
    place.call(&["verify", bundle.to_str().unwrap(), "--db", "sqlite://cplock.db"]);
    assert!(bundle.join("after.json").is_file(), "the books are closed");
    FlawedRun { _place: place, bundle, manifested }
}

/// Goal: every flaw comes out under the crowd meant for it, leaves a bundle whose evidence is
/// complete and can be read, and is found by the check that names it.
#[test]
fn every_flaw_comes_out() {
    // Most of a run is waiting.
    std::thread::scope(|scope| {
        for some in Flaw::ALL.chunks(Flaw::ALL.len().div_ceil(4)) {
            scope.spawn(|| some.iter().for_each(|flaw| comes_out(*flaw)));
        }
    });
}

#[track_caller]
fn comes_out(flaw: Flaw) {
    // Flaws of timing need somebody inside at the wrong moment: on a busy machine now and then
    // nobody is.
    let mut runs = (0..5).map(|_| flawed_run(flaw, Crowd::of(flaw)));
    let run = runs.find(|run| run.manifested > 0);
    let run = run.unwrap_or_else(|| panic!("{flaw} never came out"));
    let log = locks::read(&run.bundle.join("locks.ndjson"));
    let log = log.unwrap_or_else(|error| panic!("{flaw}: {error}"));
    let seen = probes::read(&run.bundle.join("probes.ndjson")).unwrap();
    assert!(log.complete && seen.complete, "{flaw}");
    let late = log.claims.iter().filter(|one| one.committed_us() > one.release_sent_us()).count();
    let expected = if flaw == Flaw::EarlyRelease { run.manifested } else { 0 };
    assert_eq!(late as u64, expected, "{flaw}: commits after the release");

    let verdict: Verdict =
        serde_json::from_value(json(&run.bundle.join("verdict.json"))).expect("a verdict");
    let (id, ruling) = primary(flaw);
    let found = verdict.finding(id).expect("a known check");
    let failed = verdict.findings.iter().filter(|one| one.verdict == Ruling::Fail);
    let failed: Vec<&str> = failed.map(|one| one.id.as_str()).collect();
    assert_eq!(found.verdict, ruling, "{flaw} fails {failed:?}; {found:?}");
    // An order that nobody promised is a remark, and the books are whole.
    let whole = if flaw == Flaw::NewestFirst { Ruling::Pass } else { Ruling::Fail };
    assert_eq!(verdict.verdict, whole, "{flaw} fails {failed:?}");
}

/// The check that names the flaw, and what it says.
fn primary(flaw: Flaw) -> (&'static str, Ruling) {
    let id = match flaw {
        Flaw::NoLock => "V02",
        Flaw::UnguardedDecrement => "V04",
        Flaw::EarlyRelease | Flaw::ShortLease => "V19",
        Flaw::UnlockedCheck => "V05",
        Flaw::ForeignRow => "V07",
        Flaw::CommitToldSoldOut => "V08",
        Flaw::ToldThenRolledBack
        | Flaw::SwallowedFailure
        | Flaw::LostBatch
        | Flaw::SharedReplay => "V06",
        Flaw::RepeatedWrite => "V23",
        Flaw::LeakedUnit => "V01",
        Flaw::EarlyMarker => "V11",
        Flaw::OwnerlessUnlock => "V18",
        Flaw::UncheckedToken => "V20",
        Flaw::CachedStock | Flaw::CancellingErrors => "V16",
        Flaw::LaggingList => "V16b",
        Flaw::StockShards => "V13",
        Flaw::WrongNumber => "V15",
        Flaw::NewestFirst => return ("V22", Ruling::Warn),
        Flaw::WrongRow => "V24",
    };
    (id, Ruling::Fail)
}

/// Goal: nobody gets a broken server by accident: it is asked for twice, known by name, on SQLite,
/// and not part of the help; a refusal is one line, and nothing was made.
#[test]
fn asked_for_twice() {
    let place = Place::new();
    let serve = ["serve", "--lock", "fair", "--listen", "127.0.0.1:0", "--flaw"];
    let end = place.call(&[&serve[..], &["D07"]].concat()).code(2);
    assert!(end.one_line().contains("needs --i-want-a-broken-server too"), "{end:?}");
    let end = place.call(&[&serve[..], &["D05", "--i-want-a-broken-server"]].concat()).code(2);
    assert!(end.err.contains("there is D01, D02"), "{end:?}");
    let elsewhere = ["D07", "--i-want-a-broken-server", "--db", "mysql://root@127.0.0.1:1/x"];
    let end = place.call(&[&serve[..], &elsewhere].concat()).code(2);
    assert!(end.one_line().contains("needs SQLite"), "{end:?}");
    assert!(!place.path("cplock.db").exists());
    let help = place.call(&["serve", "--help"]).code(0);
    assert!(!help.out.contains("flaw") && !help.out.contains("broken"));
    place.write(
        "s.toml",
        "name = \"x\"\nstock = 1\n[load]\nvus = 1\niterations = 1\nflaw = \"D07\"\n",
    );
    assert!(place.call(&["check", "s.toml"]).code(2).err.contains("flaw"));
    for args in [&["run", "s.toml", "--flaw", "D07"][..], &["load", "--flaw", "D07"]] {
        place.call(args).code(2);
    }
}

/// Goal: a server without a flaw says nothing of flaws.
#[test]
fn sound_servers_do_not_count() {
    let place = Place::new();
    let server = place.serve(&["--lock", "fair", "--stock", "5"]);
    assert!(!server.ask("GET /metrics HTTP/1.1", "").1.contains("flaw"));
    assert!(!server.stop().code(0).err.contains("flaw"));
}
