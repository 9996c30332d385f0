//! `report --format jepsen|jepsen-counter|porcupine`, through the binary: a run's own history.

use std::collections::HashMap;
use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use super::{Place, json, scenario};

/// Goal: the histories of a real run hold each of its claims once, with what became of it, and
/// end in its books.
#[test]
fn a_run_is_told_as_a_history() {
    let place = Place::new();
    place.write("tiny.toml", &scenario(&[("fair", "PASS")]));
    place.call(&["run", "tiny.toml"]).code(0);
    let part = place.latest("01-fair");
    let measured = &json(&part.join("run.json"))["measured"];
    let after = json(&part.join("after.json"));
    let tell = |format: &str| {
        // The folder above holds this one run, which is what is meant.
        place.call(&["report", "reports/latest", "--format", format]).code(0)
    };

    let set: Vec<Value> = serde_json::from_str(&tell("jepsen").out).unwrap();
    let counted =
        |kind: &str| set.iter().filter(|op| op["f"] == "add" && op["type"] == kind).count();
    assert_eq!(counted("invoke"), measured["attempts"]);
    assert_eq!(counted("ok"), measured["acknowledged"]);
    assert_eq!(counted("ok") + counted("fail") + counted("info"), counted("invoke"));
    let last = set.last().unwrap();
    assert_eq!((&last["type"], &last["f"]), (&"ok".into(), &"read".into()));
    assert_eq!(last["value"].as_array().unwrap().len(), after["issued"]);

    let counter: Vec<Value> = serde_json::from_str(&tell("jepsen-counter").out).unwrap();
    let reads = || counter.iter().filter(|op| op["f"] == "read" && op["type"] == "ok");
    assert!(reads().count() > 3, "the probes are there");
    assert_eq!(reads().next_back().unwrap()["value"], 300 - after["remaining"].as_i64().unwrap());

    let events = tell("porcupine").out;
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut open = HashMap::new();
    for event in &events {
        let (id, client) = (&event["Id"], &event["ClientId"]);
        if event["Kind"] == false {
            assert!(open.insert(id, client).is_none(), "{event}");
        } else {
            assert_eq!(open.remove(id), Some(client), "{event}");
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(events[1]["Value"]["remaining"], 300);
}

/// Goal: what has no history is wrong usage and says what to do.
#[test]
fn what_has_no_history_says_why() {
    let place = Place::new();
    let folder = place.path("reports/two");
    for part in ["01-none", "02-fair"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
        std::fs::write(folder.join(part).join("report.json"), "{}").unwrap();
    }
    std::fs::write(folder.join("report.json"), "{}").unwrap();
    let several = place.call(&["report", "reports/two", "--format", "jepsen"]).code(2);
    assert_eq!(
        several.one_line(),
        "error: a history is that of one run; name one, like reports/two/01-none"
    );
    let two = ["report", "reports/two", "reports/two", "--format", "porcupine"];
    assert!(place.call(&two).code(2).one_line().contains("name one folder"));
}

/// Goal: a reader that has seen enough may close the pipe.
#[test]
fn a_history_may_be_cut_by_its_reader() {
    let place = Place::new();
    place.write("tiny.toml", &scenario(&[("fair", "PASS")]));
    place.call(&["run", "tiny.toml"]).code(0);
    let mut command = place.command(&["report", "reports/latest", "--format", "porcupine"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 10];
    // More than a pipe holds is still to come: 40 VUs ask for 1.5 s.
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}
