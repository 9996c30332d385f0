//! `kill -9` of the server or of Redis in the middle of a load under `fair` on MariaDB: the load
//! ends by itself, and the audit resolves from the rows what no client was told.

use super::{Place, Process, Server, attempts, json, until};
use crate::coupon::{Engine, Lab, lab};
use crate::lock::OwnRedis;

/// A load of 40 VUs for three seconds, in the middle, against a server with these flags.
fn in_the_middle(place: &Place, lab: &Lab, flags: &[&str]) -> (Server, Process) {
    let flags = [&["--lock", "fair", "--stock", "100000"], flags].concat();
    let server = place.serve_with(&flags, &[("CPLOCK_DB", &lab.url)]);
    let load = place.start(&[
        "load",
        "--target",
        &server.url,
        "--vus",
        "40",
        "--hold",
        "3s",
        "--think",
        "5ms",
        "--users",
        "per-vu",
        "--timeout",
        "20s",
    ]);
    until("a load in the middle", || {
        let bundle = place.path("reports/latest");
        bundle.exists() && attempts(&bundle) > 100
    });
    (server, load)
}

/// Goal: a server killed in mid-run leaves clients without an answer; the load ends by itself, and
/// each unknown is resolved from the rows: PASS.
#[tokio::test]
async fn the_server_is_killed_in_the_middle() {
    lab(Engine::MySql, async |lab| {
        let place = Place::new();
        let (server, mut load) = in_the_middle(&place, lab, &[]);
        server.process.signal("KILL");
        load.end().code(0);
        let verdict = place.call(&["verify", "--db", &lab.url, "--format", "json"]).code(0).json();
        let counts = &verdict["counts"];
        let unknown: u64 =
            counts["unknown"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert!(unknown > 0, "40 VUs in line, and nobody was in flight? {counts}");
        let resolved =
            ["unknown_issued", "unknown_not_issued"].map(|n| counts[n].as_u64().unwrap());
        assert_eq!(resolved.iter().sum::<u64>(), unknown);
        assert_eq!((&verdict["verdict"], &counts["lost_updates"]), (&"PASS".into(), &0.into()));
    })
    .await;
}

/// Goal: a Redis that is killed and comes back empty stops nobody for good and lets no two in at
/// once: the load goes on after it, and the books balance.
#[tokio::test]
async fn redis_is_killed_in_the_middle_and_comes_back() {
    lab(Engine::MySql, async |lab| {
        let place = Place::new();
        let mut redis = OwnRedis::start(false);
        let url = redis.url();
        let (server, mut load) = in_the_middle(&place, lab, &["--redis", &url, "--lease", "1s"]);
        redis.restart();
        let before = attempts(&place.latest(""));
        load.end().code(0);
        let asked = attempts(&place.latest(""));
        assert!(
            asked > before + 40,
            "more than were in line: the line went on: {asked} after {before}"
        );
        assert_eq!(server.counter("cplock_claim_requests_total"), asked);
        let end = place.call(&["verify", "--db", &lab.url]).code(0);
        assert!(end.out.starts_with("VERDICT PASS"), "{}", end.out);
        let counts = &json(&place.latest("verdict.json"))["counts"];
        assert!(counts["acknowledged"].as_u64().unwrap() > before, "{counts}");
    })
    .await;
}
