//! Help and usage: what a person sees who does not know the program, or mistypes.

use super::Place;

fn help(command: &str) -> String {
    let place = Place::new();
    let long =
        if command.is_empty() { place.call(&["--help"]) } else { place.call(&[command, "--help"]) };
    let long = long.code(0);
    assert_eq!(long.err, "");
    assert!(long.out.contains("Example"), "each command shows how it is called");
    assert!(long.out.lines().all(|line| line.chars().count() <= 100));
    long.out
}

/// Goal: the help of each command, with its examples, changes only on purpose.
#[test]
fn every_command_explains_itself_with_examples() {
    insta::assert_snapshot!("help", help(""));
    for command in ["serve", "load", "verify", "run", "report", "check"] {
        insta::assert_snapshot!(format!("help_{command}"), help(command));
    }
}

/// Goal: `--version` is one line of data.
#[test]
fn the_version_is_told() {
    let told = Place::new().call(&["--version"]).code(0);
    assert_eq!(told.out, format!("cplock {}\n", env!("CARGO_PKG_VERSION")));
}

/// Goal: wrong usage is exit code 2, on stderr alone, and says what is meant or allowed.
#[test]
fn wrong_usage_says_what_is_right() {
    let place = Place::new();
    for (args, hint) in [
        (vec!["serve", "--lok", "fair"], "a similar argument exists: '--lock'"),
        (vec!["lod"], "a similar subcommand exists: 'load'"),
        (vec!["serve", "--lock", "fare"], "there are none, spin and fair"),
        (vec!["serve"], "--lock <LOCK>"),
        (vec!["serve", "--lock", "fair", "--write", "atomc"], "there is read-modify-write"),
        (vec!["serve", "--lock", "fair", "--wait", "10"], "like 500ms, 10s or 1m30s"),
        (vec!["serve", "--lock", "fair", "--wait", "0s"], "wait: must be 1ms to 1h"),
        (vec!["serve", "--lock", "fair", "--workers", "0"], "must be 1 to 100,000"),
        (vec!["serve", "--lock", "fair", "--stock=-1"], "--stock"),
        (vec!["load", "--stage", "nonsense"], "write DURATION:VUS, like 10s:2000"),
        (vec!["load", "--stage", "10:2000"], "a number with its unit"),
        (vec!["load", "--stage", "10s:many"], "write DURATION:VUS, like 10s:2000"),
        (vec!["load", "--stage", "1s:2", "--vus", "2"], "two ways to say the same"),
        (vec!["load"], "no load: give `vus`"),
        (vec!["load", "--vus", "0"], "1 to 100,000"),
        (vec!["load", "--vus", "1", "--target", "ftp://host"], "`http://` or `https://`"),
        (vec!["load", "--vus", "1", "--users", "nobody"], "possible values: shared, per-vu"),
        (vec!["verify", "--format", "markdown"], "possible values: table, json"),
        (vec!["verify", "nowhere"], "there is no such folder"),
        (vec!["verify", "nowhere", "--db-only"], "cannot be used with"),
        (vec!["run"], "<SCENARIO>"),
        (vec!["report"], "<BUNDLE_DIR>"),
    ] {
        let end = place.call(&args).code(2);
        assert!(end.err.contains(hint), "{args:?}\n{}\nlacks {hint}", end.err);
        assert_eq!(end.out, "", "{args:?}");
    }
    assert_eq!(std::fs::read_dir(place.path("")).unwrap().count(), 0, "nothing was made");
}
