//! Evidence taken during a run, through the binary: the lock log and the probes agree with the
//! ledger, the rows and each other, and a killed server leaves what it had.

use std::collections::HashMap;
use std::path::Path;

use cplock::ledger::attempts::AttemptRef;
use cplock::ledger::locks::{self, Fate, LockLog, Release};
use cplock::ledger::probes::{self, Saw};
use cplock::ledger::{Attempt, Outcome, Refusal};

use super::{Place, json, until};

fn ledger(bundle: &Path) -> Vec<Attempt> {
    let ledger = cplock::ledger::read::load(&bundle.join("ledger.ndjson")).unwrap();
    assert!(ledger.whole && ledger.began_unix_us.is_some());
    ledger.attempts.iter().map(AttemptRef::to_attempt).collect()
}

/// Asserts that log and ledger tell the same of each claim, and that the log contradicts itself
/// nowhere.
#[track_caller]
fn agree(log: &LockLog, attempts: &[Attempt]) {
    let by_arrival: HashMap<u64, &Attempt> =
        attempts.iter().map(|one| (one.facts.arrival.expect("all were let in"), one)).collect();
    assert_eq!((by_arrival.len(), log.claims.len()), (attempts.len(), attempts.len()));
    let mut last_arrived = 0;
    for (arrival, claim) in (1..).zip(&log.claims) {
        let attempt = by_arrival[&arrival];
        let facts = attempt.facts;
        assert_eq!(claim.arrival, arrival, "no arrival is missing");
        assert!(claim.arrived_us >= last_arrived, "arrivals are numbered as they come");
        last_arrived = claim.arrived_us;
        assert_eq!(log.request(claim), attempt.request);
        assert_eq!(
            (claim.grant(), claim.ticket(), claim.token(), claim.row()),
            (facts.grant, facts.ticket, facts.token, facts.row),
            "{}",
            attempt.request
        );
        let told = match claim.fate().expect("all are finished") {
            Fate::Issued(_) => Outcome::Acknowledged,
            Fate::Refused(reason) => Outcome::Refused(reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(told, attempt.outcome, "{}", attempt.request);
        assert_eq!(claim.granted_us().is_some(), claim.release() == Some(Release::Clean));
        // Both measured the wait, each a little differently.
        let wait_us = claim.granted_us().map(|at| at - claim.asked_us);
        if let (Some(logged), Some(told)) = (wait_us, facts.wait_us) {
            assert!(logged.abs_diff(told) < 500_000, "{logged} {told}");
        }
    }
}

/// Whether no two holders were inside at once: grant to release, in the order of the grants.
fn exclusive(log: &LockLog) -> bool {
    let mut holds: Vec<_> = log
        .claims
        .iter()
        .filter_map(|claim| Some((claim.grant()?, claim.granted_us()?, claim.release_sent_us()?)))
        .collect();
    holds.sort_unstable();
    holds.windows(2).all(|pair| pair[0].2 <= pair[1].1)
}

/// Goal: a whole run with all evidence: the files are there and complete, log and ledger agree
/// claim by claim, commits lie inside the holds, and what was seen on the side only ever fell and
/// ended where the books did.
#[test]
fn a_run_with_all_evidence() {
    let place = Place::new();
    let scenario = "name = \"seen\"\nstock = 1_000\n[server]\nworkers = 40\n[load]\nvus = 20\n\
                    hold = \"1500ms\"\nthink = \"5ms\"\nusers = \"per-vu\"\n\
                    [evidence]\nlock_log = true\nprobe = \"20ms\"\n[[strategy]]\nlock = \"fair\"\n";
    place.write("seen.toml", scenario);
    place.call(&["run", "seen.toml"]).code(0);
    let part = place.latest("01-fair");
    let (attempts, log) = (ledger(&part), locks::read(&part.join("locks.ndjson")).unwrap());
    assert!(log.complete && log.about.strategy == "fair" && log.about.lease_us == 10_000_000);
    agree(&log, &attempts);
    assert!(exclusive(&log), "the fair lock let two in at once");
    let after = json(&part.join("after.json"));
    let issued: Vec<_> = log.claims.iter().filter(|claim| claim.row().is_some()).collect();
    assert_eq!(after["issued"], issued.len());
    for claim in issued {
        assert!(claim.granted_us() <= claim.commit_sent_us(), "{claim:?}");
        assert!(claim.committed_us() <= claim.release_sent_us(), "{claim:?}");
    }

    let seen = probes::read(&part.join("probes.ndjson")).unwrap();
    let run = json(&part.join("run.json"));
    assert!(seen.complete && seen.about.run == run["run"] && seen.about.every_us == 20_000);
    assert_eq!(run["measured"]["probes"]["count"], seen.probes.len());
    let (mut last, mut snapshots, mut owns) = (1_000, 0, 0);
    for probe in &seen.probes {
        match &probe.saw {
            Saw::Remaining { quantity } | Saw::Snapshot { quantity, .. } => {
                assert!(*quantity <= last, "{quantity} after {last}: {probe:?}");
                last = *quantity;
            }
            Saw::Own(own) => {
                owns += 1;
                assert!(own.present, "acknowledged and not shown: {probe:?}");
                assert_eq!(own.rows.as_ref().map(|rows| rows.len() as u64), Some(own.count));
            }
            Saw::Failed { .. } => panic!("{probe:?}"),
        }
        if let Saw::Snapshot { quantity, issued } = probe.saw {
            snapshots += 1;
            assert_eq!(quantity + issued, 1_000, "one transaction saw half of a move");
        }
    }
    assert!(seen.probes.len() > 30 && snapshots > 2 && owns > 0, "{snapshots} {owns}");
    assert_eq!(after["remaining"], last);
}

/// Goal: without asking for it there is no lock log, and `probe = "0s"` leaves no probes.
#[test]
fn a_run_without_evidence() {
    let place = Place::new();
    let scenario = "name = \"bare\"\nstock = 300\n[load]\nvus = 3\niterations = 2\n\
                    think = \"0s\"\n[evidence]\nprobe = \"0s\"\n[[strategy]]\nlock = \"fair\"\n";
    place.write("bare.toml", scenario);
    place.call(&["run", "bare.toml"]).code(0);
    let part = place.latest("01-fair");
    assert!(part.join("ledger.ndjson").is_file());
    assert!(!part.join("locks.ndjson").exists() && !part.join("probes.ndjson").exists());
    assert_eq!(json(&part.join("run.json"))["measured"].get("probes"), None);
}

/// Goal: a lock that is not granted in time is in the account too, as the client was told; the
/// summary shows what the probes cost; a drained server ends its log with the count.
#[test]
fn claims_that_were_never_granted() {
    let place = Place::new();
    let flags = ["--lock", "spin", "--wait", "20ms", "--poll", "5ms", "--gap", "15ms"];
    let server = place.serve(&[&flags[..], &["--stock", "9", "--lock-log", "own.log"]].concat());
    let end = place
        .call(&[
            "load",
            "--target",
            &server.url,
            "--vus",
            "8",
            "--iterations",
            "6",
            "--think",
            "0s",
            "--probe",
            "50ms",
        ])
        .code(0);
    assert!(end.out.contains("probes") && end.err.lines().all(|line| !line.contains("warning")));
    server.stop().code(0);
    let log = locks::read(&place.path("own.log")).unwrap();
    let attempts = ledger(&place.latest(""));
    assert!(log.complete && exclusive(&log) && attempts.len() == 48);
    agree(&log, &attempts);
    let ended = |fate| log.claims.iter().filter(|claim| claim.fate() == Some(fate)).count();
    let [late, sold_out] =
        [Refusal::LockTimeout, Refusal::SoldOut].map(|reason| ended(Fate::Refused(reason)));
    let issued = log.claims.iter().filter(|claim| claim.row().is_some()).count();
    assert!(late > 0 && issued > 0, "{late} {issued}");
    assert_eq!(late + sold_out + issued, 48);
    assert!(log.claims.iter().all(|claim| claim.gave_up_us().is_some() != claim.grant().is_some()));
}

/// Goal: a server killed in the middle leaves a log that can be read, says that it is not
/// complete, and lacks no more than its last moments.
#[test]
fn a_killed_server_leaves_its_log() {
    let place = Place::new();
    let server = place.serve(&["--lock", "fair", "--lock-log", "own.log"]);
    let mut load = place.start(&[
        "load",
        "--target",
        &server.url,
        "--vus",
        "20",
        "--hold",
        "2s",
        "--think",
        "1ms",
        "--timeout",
        "1s",
    ]);
    let log = || locks::read(&place.path("own.log"));
    until("an account of some claims", || log().is_ok_and(|log| log.claims.len() > 200));
    server.process.signal("KILL");
    load.end().code(0);
    let log = log().unwrap();
    assert!(!log.complete);
    let acknowledged: HashMap<String, Attempt> = ledger(&place.latest(""))
        .into_iter()
        .filter(|attempt| attempt.outcome == Outcome::Acknowledged)
        .map(|attempt| (attempt.request.clone(), attempt))
        .collect();
    let known = log.claims.iter().filter(|claim| {
        let attempt = acknowledged.get(log.request(claim));
        attempt.is_some_and(|told| claim.row().is_some() && claim.row() == told.facts.row)
    });
    let known = known.count();
    assert!(known >= 190, "{known} of {} in {}", acknowledged.len(), log.claims.len());
}

/// Goal: a log that cannot be written is told before anything is deleted or served.
#[test]
fn a_log_that_cannot_be_written() {
    let place = Place::new();
    let flags = ["serve", "--lock", "fair", "--listen", "127.0.0.1:0", "--stock", "5"];
    let end = place.call(&[&flags[..], &["--lock-log", "no/where"]].concat()).code(1);
    assert!(end.one_line().contains("cannot write `no/where`"), "{end:?}");
    assert!(!place.path("cplock.db").exists());
}
