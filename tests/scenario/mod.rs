//! The scenario language: known answers, ranges, misspellings, and hostile text.

use std::time::Duration;

use cplock::lock::Strategy;
use cplock::scenario::file::parse;
use cplock::scenario::{Expect, Stage, UserMode};
use proptest::prelude::*;

const SMALL: &str =
    "name = \"small\"\nstock = 10\n[load]\nvus = 3\n[[strategy]]\nlock = \"fair\"\n";

fn error_of(text: &str) -> String {
    parse(text).expect_err("must be refused").to_string()
}

/// Goal: each file that we ship is valid. Method: parse all of them.
#[test]
fn every_shipped_scenario_is_valid() {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("scenarios").unwrap() {
        let path = entry.unwrap().path();
        let scenario = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(Some(scenario.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        names.push(scenario.name);
    }
    for wanted in
        ["quickstart", "published-no-lock", "published-spin", "published-fair", "compare", "ci"]
    {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is missing");
    }
}

/// Goal: the published runs are exactly as published. Method: compare with the report's figures.
#[test]
fn the_published_runs_have_the_published_shape() {
    let read = |name: &str| {
        parse(&std::fs::read_to_string(format!("scenarios/published-{name}.toml")).unwrap())
            .unwrap()
    };
    let second = Duration::from_secs;
    for (name, stock, stages) in [
        ("no-lock", 30_000, vec![(0, 1_000), (30, 1_000)]),
        ("spin", 50_000, vec![(10, 2_000), (80, 2_000)]),
        ("fair", 100_000, vec![(10, 2_000), (80, 2_000)]),
    ] {
        let scenario = read(name);
        let stages: Vec<Stage> = stages
            .into_iter()
            .map(|(seconds, vus)| Stage { duration: second(seconds), vus })
            .collect();
        assert_eq!((scenario.stock, &scenario.load.stages), (stock, &stages), "{name}");
        assert_eq!((scenario.server.workers, scenario.server.db_pool), (500, 10), "{name}");
        let terms = scenario.server.terms;
        assert_eq!((terms.wait, terms.lease), (second(10), second(10)));
        assert_eq!((terms.poll, terms.attempts), (Duration::from_millis(100), 3));
        assert_eq!(terms.backoff, Duration::from_millis(200));
        assert_eq!((scenario.load.think, scenario.load.users), (second(1), UserMode::Shared));
    }
}

#[test]
fn defaults_fill_what_is_not_said() {
    let scenario = parse(SMALL).unwrap();
    assert_eq!(scenario.load.stages[1], Stage { duration: Duration::from_secs(30), vus: 3 });
    assert_eq!(scenario.server.workers, 200);
    assert_eq!(scenario.strategies[0].lock, Strategy::Fair);
    assert_eq!(scenario.strategies[0].expect, Expect::Pass);
    assert_eq!(
        (scenario.load.probe, scenario.server.lock_log),
        (Duration::from_millis(100), false)
    );
}

/// Goal: what is written down during a run is the scenario's choice, and in its resolved text.
#[test]
fn evidence_is_chosen() {
    let chosen = "[evidence]\nlock_log = true\nprobe = \"0s\"\n[load]";
    let scenario = parse(&SMALL.replace("[load]", chosen)).unwrap();
    assert_eq!((scenario.load.probe, scenario.server.lock_log), (Duration::ZERO, true));
    let json = scenario.to_json();
    assert_eq!((&json["load"]["probe"], &json["server"]["lock_log"]), (&"0s".into(), &true.into()));
}

#[test]
fn a_misspelt_field_is_refused_with_the_nearest_name_and_its_place() {
    let error = error_of(&SMALL.replace("stock", "stok"));
    assert_eq!(error, "2:1: unknown field `stok`; did you mean `stock`?");
    let error = error_of(&SMALL.replace("vus = 3", "vus = 3\niteration = 1"));
    assert_eq!(error, "5:1: unknown field `iteration`; did you mean `iterations`?");
    let error = error_of(&SMALL.replace("fair", "fiar"));
    assert!(error.contains("unknown value `fiar`; did you mean `fair`?"), "{error}");
    let error = error_of(&SMALL.replace("vus", "zzzzzz"));
    assert!(error.contains("there are vus, ramp"), "{error}");
}

#[test]
fn values_out_of_range_are_refused_with_the_range() {
    for (from, to, words) in [
        ("stock = 10", "stock = -1", "stock = -1: must be 0"),
        ("vus = 3", "vus = 0", "1 to 100,000 VUs"),
        ("vus = 3", "vus = 3\nthink = \"10\"", "write a number with its unit"),
        ("vus = 3", "vus = 3\niterations = 0", "at least 1"),
        ("vus = 3", "vus = 3\nstages = [{ duration = \"1s\", vus = 3 }]", "use one"),
        ("vus = 3", "ramp = \"1s\"", "no load"),
        ("[[strategy]]\nlock = \"fair\"", "", "no [[strategy]]"),
        ("[load]", "[server]\nworkers = 0\n[load]", "workers = 0: must be 1"),
        ("[load]", "[lock]\nattempts = 0\n[load]", "attempts = 0: must be 1"),
        ("[load]", "[lock]\npoll = \"0s\"\n[load]", "poll: must be 1ms"),
        ("[load]", "[evidence]\nprobe = \"1ms\"\n[load]", "probe: must be 10ms to 1h, or 0s"),
        ("[load]", "[evidence]\nprobes = \"1s\"\n[load]", "did you mean `probe`?"),
    ] {
        let error = error_of(&SMALL.replace(from, to));
        assert!(error.contains(words), "{to}: {error}");
    }
}

/// Goal: a scenario's name can never leave the reports folder. Method: names that are paths.
#[test]
fn a_path_in_the_name_is_refused() {
    for name in ["../up", "a/b", "/etc", "..", "", "A", "a b", "a\\u0000b", "name\\n"] {
        let error = error_of(&SMALL.replace("small", name));
        assert!(error.contains("it names a folder"), "{name}: {error}");
    }
}

#[test]
fn planned_vus_follow_the_line() {
    let text = SMALL.replace("vus = 3", "vus = 2000\nramp = \"10s\"\nhold = \"80s\"");
    let load = parse(&text).unwrap().load;
    let at = |ms| load.planned_at(Duration::from_millis(ms));
    assert_eq!([at(0), at(5), at(2_500), at(10_000), at(89_999)], [0, 1, 500, 2_000, 2_000]);
    assert_eq!(at(90_000), 0);
    assert_eq!(load.vus_max(), 2_000);
}

#[test]
fn passwords_do_not_reach_the_resolved_text() {
    let text = SMALL.replace("[load]", "[server]\ndb = \"mysql://u:s3cret@h/d\"\n[load]");
    let json = parse(&text).unwrap().to_json().to_string();
    assert!(!json.contains("s3cret") && json.contains("mysql://u:***@h/d"), "{json}");
}

proptest! {
    /// Goal: no text makes the parser panic. Method: random text, and random damage to a valid one.
    #[test]
    fn hostile_text_is_refused_not_fatal(
        text in ".{0,300}",
        at in 0..SMALL.len(),
        junk in ".{0,4}",
    ) {
        let _ = parse(&text);
        let mut damaged = SMALL.to_owned();
        damaged.insert_str(at, &junk);
        let _ = parse(&damaged);
    }
}
