//! Signals in the middle: what was measured is kept and judged, and no process is left behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Process, Server, attempts, in_table, json, scenario, until};
use crate::support::free_address;

/// The processes that `parent` started and that are still at work.
pub(super) fn children(parent: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // `id (name) state parent …`, where the name may hold anything.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
        let mut words = after.split(' ');
        if words.next() != Some("Z") && words.next() == Some(&parent.to_string()) {
            children.push(id);
        }
    }
    children
}

/// Whether the process is at work. One that ended counts as ended though nobody took note.
fn alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, after)| !after.starts_with('Z'))
}

/// The server that a run started. Should it outlive the run, the test fails and this ends it.
struct Started(u32);

impl Drop for Started {
    fn drop(&mut self) {
        if alive(self.0) {
            drop(Command::new("kill").args(["-s", "KILL", &self.0.to_string()]).status());
        }
    }
}

/// A run that would take a minute, with its server and its folder, in mid-run.
fn run_in_the_middle(place: &Place) -> (Process, Started, PathBuf) {
    let text = scenario(&[("fair", "PASS"), ("none", "FAIL")]).replace("1500ms", "60s");
    place.write("long.toml", &text.replace("stock = 300", "stock = 100000"));
    let run = place.start(&["run", "long.toml"]);
    until("a run in the middle", || {
        let part = place.path("reports/latest/01-fair");
        part.exists() && attempts(&part) > 200
    });
    let servers = children(run.child.id());
    assert_eq!(servers.len(), 1, "one server");
    (run, Started(servers[0]), place.latest("01-fair"))
}

fn a_run_is_interrupted_by(signal: &str) {
    let place = Place::new();
    let (mut run, server, part) = run_in_the_middle(&place);
    run.signal(signal);
    let end = run.end().code(130);
    assert!(!alive(server.0), "the server ended");
    let asked = attempts(&part);
    let report = json(&place.latest("report.json"));
    let (measured, verdict) = (&report["runs"][0]["measured"], &report["runs"][0]["verdict"]);
    assert_eq!((&measured["attempts"], &measured["interrupted"]), (&asked.into(), &true.into()));
    assert_eq!(
        (&verdict["verdict"], &verdict["evidence"]["level"]),
        (&"PASS".into(), &"E2".into())
    );
    assert_eq!(verdict["counts"]["attempts"], asked);
    let log = fs::read_to_string(part.join("server.log")).unwrap();
    assert!(log.contains(&format!("drained; {asked} claims were let in")), "{asked}: {log}");
    let told = ["acknowledged", "refused", "unknown"].map(|row| in_table(&end.out, row));
    assert_eq!(told.iter().sum::<u64>(), asked);
    assert!(!place.latest("02-none").exists(), "the rest is not begun");
    assert!(end.err.ends_with(": interrupted\n"), "{}", end.err);
}

/// Goal: Ctrl-C in mid-run keeps and judges what there is, and ends the server.
#[test]
fn sigint_in_the_middle_of_a_run() {
    a_run_is_interrupted_by("INT");
}

/// Goal: the same for SIGTERM, as CI sends it.
#[test]
fn sigterm_in_the_middle_of_a_run() {
    a_run_is_interrupted_by("TERM");
}

/// Goal: no server outlives a run that was killed outright, and what it left can be judged: never
/// as sound, since attempts may be missing, and never as broken.
#[test]
fn a_run_that_is_killed_leaves_no_server() {
    let place = Place::new();
    let (run, server, part) = run_in_the_middle(&place);
    run.signal("KILL");
    until("the server ends by itself", || !alive(server.0));
    let db = format!("sqlite://{}", part.join("coupons.db").display());
    let end = place.call(&["verify", part.to_str().unwrap(), "--db", &db]).code(4);
    assert!(end.out.starts_with("VERDICT UNKNOWN"), "{}", end.out);
    let verdict = json(&part.join("verdict.json"));
    assert_eq!(verdict["evidence"]["ledger_complete"], false);
    assert_eq!(verdict["counts"]["lost_updates"], 0);
}

/// A load that would take a minute, in mid-run, against a server of its own.
fn load_in_the_middle(place: &Place) -> (Server, Process) {
    let server = place.serve(&["--lock", "fair", "--stock", "100000"]);
    let load = ["load", "--target", &server.url, "--vus", "40", "--hold", "60s", "--think", "5ms"];
    let load = place.start(&load);
    until("a load in the middle", || {
        let bundle = place.path("reports/latest");
        bundle.exists() && attempts(&bundle) > 200
    });
    (server, load)
}

fn a_load_is_interrupted_by(signal: &str) {
    let place = Place::new();
    let (server, mut load) = load_in_the_middle(&place);
    load.signal(signal);
    let end = load.end().code(130);
    let bundle = place.latest("");
    let asked = attempts(&bundle);
    assert_eq!(server.counter("cplock_claim_requests_total"), asked);
    assert_eq!(in_table(&end.out, "requests"), asked);
    let run = json(&bundle.join("run.json"));
    assert_eq!((&run["measured"]["attempts"], &run["interrupted"]), (&asked.into(), &true.into()));
    let verdict = place.call(&["verify", "--format", "json"]).code(0).json();
    assert_eq!(verdict["counts"]["attempts"], asked);
    assert_eq!(verdict["evidence"]["ledger_complete"], true);
}

/// Goal: Ctrl-C in a load keeps everything measured, to the request.
#[test]
fn sigint_in_the_middle_of_a_load() {
    a_load_is_interrupted_by("INT");
}

/// Goal: the same for SIGTERM.
#[test]
fn sigterm_in_the_middle_of_a_load() {
    a_load_is_interrupted_by("TERM");
}

/// Goal: interrupted before the first claim is an interruption, not a failure. Method: a service on
/// which the sign-up takes for ever.
#[test]
fn sigint_during_the_sign_up() {
    let place = Place::new();
    let service = Silent::start();
    let load = ["load", "--target", &service.url, "--vus", "500", "--users", "per-vu"];
    let mut load = place.start(&load);
    until("sign-ups", || service.asked("POST /api/v1/auth/signin") > 20);
    load.signal("INT");
    let end = load.end().code(130);
    assert_eq!(end.out, "");
    assert!(!end.err.contains("error"), "{}", end.err);
    assert!(!place.path("reports").exists(), "nothing was claimed, nothing is kept");
}

/// Goal: the second signal cuts off what the first one waits for; its outcome is unknown, and it is
/// in the books. Method: a service that never answers a claim.
#[test]
fn a_second_signal_cuts_off_attempts_in_flight() {
    let place = Place::new();
    let service = Silent::start();
    let load = [
        "load",
        "--target",
        &service.url,
        "--vus",
        "5",
        "--hold",
        "60s",
        "--token",
        "t",
        "--graceful-stop",
        "1h",
    ];
    let mut load = place.start(&load);
    until("claims in flight", || service.asked("POST /api/v1/user-coupon") == 5);
    load.signal("INT");
    let said = |load: &Process| fs::read_to_string(load.err.path()).unwrap();
    until("the first signal is seen", || said(&load).contains("in flight are awaited"));
    load.signal("INT");
    let end = load.end().code(130);
    let told = ["requests", "acknowledged", "unknown", "· cut off"];
    assert_eq!(told.map(|row| in_table(&end.out, row)), [5, 0, 5, 5]);
    assert_eq!(attempts(&place.latest("")), 5);
}

/// A service that signs users up slowly and never answers a claim.
struct Silent {
    url: String,
    heads: std::sync::Arc<std::sync::Mutex<Vec<String>>>,
}

impl Silent {
    fn start() -> Self {
        let listener = TcpListener::bind(free_address()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = std::sync::Arc::clone(&heads);
        // Detached: it ends with the test's process, and serves nobody else.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = std::sync::Arc::clone(&seen);
                std::thread::spawn(move || Self::serve(stream, &seen));
            }
        });
        Self { url, heads }
    }

    fn serve(mut stream: std::net::TcpStream, seen: &std::sync::Mutex<Vec<String>>) {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            let request = String::from_utf8_lossy(&buffer[..read]).into_owned();
            let head = request.lines().next().unwrap_or_default().to_owned();
            seen.lock().unwrap().push(head.clone());
            if head.starts_with("POST /api/v1/user-coupon") {
                continue;
            }
            let body = r#"{"data":{"accessToken":"Bearer x"}}"#;
            let status = if head.starts_with("GET") { 404 } else { 200 };
            let length = body.len();
            std::thread::sleep(std::time::Duration::from_millis(20));
            let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }

    /// How many requests began so.
    fn asked(&self, head: &str) -> usize {
        self.heads.lock().unwrap().iter().filter(|seen| seen.starts_with(head)).count()
    }
}
