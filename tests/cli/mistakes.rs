//! Deliberate mistakes: each ends with the right code and one line that says what to do.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use sqlx::{Connection as _, SqliteConnection};

use super::{Place, attempts, end_of, json, scenario, until};
use crate::support::free_address;

/// Goal: a taken port is told with the remedy.
#[test]
fn a_port_in_use() {
    let place = Place::new();
    let taken = TcpListener::bind(free_address()).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let end = place.call(&["serve", "--lock", "fair", "--listen", &address]).code(1);
    let said = format!("error: {address} is in use; stop what listens there or give another");
    assert!(end.one_line().starts_with(&said), "{end:?}");
    assert!(!place.path("cplock.db").exists(), "nothing was made");
}

/// Goal: a server that does not answer is told with its address and the remedy, and without the
/// password that came with it; nothing was changed on the way there.
#[test]
fn a_dead_server_is_told_without_its_password() {
    let place = Place::new();
    let listen = free_address().to_string();
    let serve = ["serve", "--lock", "fair", "--stock", "1", "--listen", &listen];
    for (flag, url, hint) in [
        ("--db", "mysql://app:hunter2@127.0.0.1:1/shop", "127.0.0.1:1"),
        ("--db", "postgres://app:hunter2@127.0.0.1:1/shop", "127.0.0.1:1"),
        ("--db", "postgres://127.0.0.1:1/shop?user=app&password=hunter2", "127.0.0.1:1"),
        ("--redis", "redis://:hunter2@127.0.0.1:1", "start Redis"),
        ("--redis", "redis://app:hunter2@127.0.0.1:1/1", "start Redis"),
        ("--redis", "http://app:hunter2@127.0.0.1:1", "redis://host:6379"),
        ("--db", "mysq://app:hunter2@127.0.0.1:1/shop", "mysql://"),
        ("--db", "app:hunter2@127.0.0.1:1/shop", "mysql://"),
        ("--db", "mysql://app:hunter2@127.0.0.1:port/shop", "mysql://"),
        ("--db", "mysql://app:hunter2@127.0.0.1:1", "names no database"),
        ("--db", "mysql://app:hunter2:hunter2@hunter2@127.0.0.1:1/shop", "mysql"),
    ] {
        let end = place.call(&[&serve[..], &[flag, url]].concat()).code(1);
        let line = end.one_line();
        assert!(line.starts_with("error: ") && line.contains(hint), "{url}: {line}");
        assert!(!line.contains("hunter2"), "{url}: {line}");
    }
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0, "nothing was made");
    for (args, code) in [
        (["verify", "--db", "mysql://app:hunter2@127.0.0.1:1/shop"], 1),
        (["load", "--vus=1", "--target=http://app:hunter2@127.0.0.1:1"], 2),
        (["load", "--vus=1", "--target=app:hunter2@127.0.0.1:1"], 2),
        (["load", "--vus=1", "--target=http://127.0.0.1:1/?token=hunter2"], 2),
    ] {
        let end = place.call(&args).code(code);
        assert!(!end.one_line().contains("hunter2"), "{end:?}");
    }
}

/// Goal: a scenario that is not there, or wrong, is told with its place in the file.
#[test]
fn a_scenario_that_is_missing_or_wrong() {
    let place = Place::new();
    let whole = scenario(&[("fair", "PASS")]);
    for (wrong, line) in [
        (
            whole.replace("stock", "stok"),
            "error: x.toml:2:1: unknown field `stok`; did you mean `stock`?",
        ),
        (whole.replace("\"fair\"", "\"fare\""), "error: x.toml:10:8: "),
        (whole.replace("\"5ms\"", "5"), "error: x.toml:8:9: "),
        (whole.replace("\"tiny\"", "\"../tiny\""), "error: x.toml:name = \"../tiny\": "),
        (whole.replace("\"tiny\"", "\"-rf\""), "error: x.toml:name = \"-rf\": "),
        (whole.replace("[load]", "[load"), "error: x.toml:5:"),
    ] {
        place.write("x.toml", &wrong);
        for command in ["run", "check"] {
            let end = place.call(&[command, "x.toml"]).code(2);
            assert!(end.one_line().starts_with(line), "{} instead of {line}", end.one_line());
        }
    }
    for command in ["run", "check"] {
        let end = place.call(&[command, "y.toml"]).code(1);
        assert!(end.one_line().starts_with("error: cannot read the scenario y.toml: "), "{end:?}");
    }
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 1, "nothing was made");
    place.write("x.toml", &format!("description = \"\\u001b[2J\"\n{whole}"));
    let end = place.call(&["check", "x.toml"]).code(0);
    assert!(end.out.contains("\\u{1b}[2J") && !end.out.contains('\u{1b}'), "{end:?}");
}

/// Goal: a load without a service, and an audit without a database, leave nothing behind.
#[test]
fn a_load_without_a_service_and_an_audit_without_a_database() {
    let place = Place::new();
    let url = format!("http://{}", free_address());
    let end = place.call(&["load", "--vus", "1", "--target", &url]).code(1);
    assert!(end.one_line().contains("start `cplock serve` or give --target"), "{end:?}");
    for args in [vec!["verify"], vec!["verify", "--db-only"], vec!["verify", "--db=sqlite://x.db"]]
    {
        let end = place.call(&args).code(1);
        assert!(end.one_line().contains("run `cplock serve` here first or give --db"), "{end:?}");
    }
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0, "nothing was made");
    place.write("empty.db", "");
    let end = place.call(&["verify", "--db", "sqlite://empty.db"]).code(1);
    assert!(end.one_line().contains("holds no tables of cplock"), "{end:?}");
}

/// Goal: a stored run that is broken is told with file and line, each file of it.
#[test]
fn a_broken_bundle() {
    let place = Place::new();
    let server = place.serve(&["--lock", "fair", "--stock", "50"]);
    place
        .call(&["load", "--target", &server.url, "--vus", "3", "--iterations", "5", "--think=1ms"])
        .code(0);
    place.call(&["verify"]).code(0);
    let bundle = place.latest("");
    assert_eq!(attempts(&bundle), 15);
    for (file, from, to, said) in [
        ("run.json", "cplock.run/1", "cplock.run/2", "run.json:1: schema `cplock.run/2`, this"),
        ("run.json", "\"interrupted\"", "\"cut\"", "run.json:"),
        ("ledger.ndjson", "\"vu\":", "\"uv\":", "ledger.ndjson:2: "),
        ("ledger.ndjson", "cplock.ledger/1", "cplock.ledger/\u{1b}[2J", "ledger.ndjson:1: "),
        ("rows.csv", "user_id", "user", "rows.csv:1: the first line must be"),
        ("rows.csv", "\n1,", "\none,", "rows.csv:2: `one` in `user_coupon_id`"),
        ("after.json", "\"remaining\"", "\"left\"", "after.json:4: unknown field `left`"),
        ("before.json", "{", "", "before.json:"),
    ] {
        let whole = fs::read_to_string(bundle.join(file)).unwrap();
        fs::write(bundle.join(file), whole.replacen(from, to, 1)).unwrap();
        let end = place.call(&["verify", "--quiet"]);
        assert_eq!(end.code, 2, "{file} with {to}: {end:?}");
        assert!(end.one_line().contains(said), "{end:?} lacks {said}");
        assert!(!end.err.contains('\u{1b}'), "{end:?}");
        fs::write(bundle.join(file), whole).unwrap();
    }
    place.call(&["verify"]).code(0);
    let report = fs::read_to_string(bundle.join("report.json")).unwrap();
    fs::write(bundle.join("report.json"), report.replace("cplock.report/1", "x/9")).unwrap();
    let end = place.call(&["report", "reports/latest"]).code(2);
    assert!(end.one_line().contains("report.json:1: schema `x/9`, this version reads"), "{end:?}");
    let end = place.call(&["verify", "."]).code(2);
    assert!(end.one_line().contains("holds neither run.json nor report.json"), "{end:?}");
}

/// Goal: tables of another version are refused by all who would read or write them.
#[tokio::test]
async fn tables_of_another_version() {
    let place = Place::new();
    place.serve(&["--lock", "fair"]).stop().code(0);
    let url = format!("sqlite://{}", place.path("cplock.db").display());
    let mut conn = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE cplock_schema SET version = 77").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let listen = free_address().to_string();
    for args in [
        vec!["serve", "--lock", "fair", "--stock", "1", "--listen", &listen],
        vec!["verify", "--db-only"],
    ] {
        let end = place.call(&args).code(1);
        assert!(end.one_line().contains("the tables are of version 77 and this cplock knows"));
    }
}

/// Goal: a server that others can reach says so.
#[test]
fn listening_beyond_loopback_warns() {
    let place = Place::new();
    let all = format!("0.0.0.0:{}", free_address().port());
    let mut server = place.start(&["serve", "--quiet", "--lock", "fair", "--listen", &all]);
    let said = || fs::read_to_string(server.err.path()).unwrap();
    until("the warning", || said().contains("can be reached from other machines"));
    assert!(said().starts_with("warning: "), "{}", said());
    server.signal("TERM");
    server.end().code(0);
    let quiet = place.serve(&["--lock", "fair"]).stop().code(0);
    assert!(!quiet.err.contains("warning"), "{}", quiet.err);
}

/// Goal: a secret that could be guessed is refused before anything is touched.
#[test]
fn a_short_token_secret() {
    let place = Place::new();
    let listen = free_address().to_string();
    let mut command = place.command(&["serve", "--lock", "fair", "--stock=1", "--listen", &listen]);
    command.env("CPLOCK_JWT_SECRET", "s3cret");
    let end = end_of(command).code(2);
    assert!(end.one_line().contains("at least 16 characters"), "{end:?}");
    assert!(!end.err.contains("s3cret"), "{end:?}");
    assert!(!place.path("cplock.db").exists(), "nothing was made");
}

/// Goal: too few open files are told before the run, not as failed requests in it.
#[test]
fn too_few_open_files() {
    let place = Place::new();
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 200 && exec \"$0\" load --vus 100"]);
    limited.arg(env!("CARGO_BIN_EXE_cplock")).current_dir(place.path(""));
    let end = end_of(limited).code(1);
    assert!(end.one_line().contains("100 VUs need 228 open files and only 200"), "{end:?}");
}

/// Goal: a folder that cannot be written is told before the run.
#[test]
fn results_that_cannot_be_written() {
    let place = Place::new();
    place.write("x.toml", &scenario(&[("fair", "PASS")]));
    place.write("file", "");
    let end = place.call(&["run", "x.toml", "--out", "file/below"]).code(1);
    assert!(end.one_line().starts_with("error: cannot make file/below: "), "{end:?}");
}

/// Goal: what a service replies cannot command the terminal. Method: a service that refuses the
/// sign-up with commands in its reply.
#[test]
fn a_hostile_reply() {
    let place = Place::new();
    let listener = TcpListener::bind(free_address()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).unwrap() > 0);
            let body = "\u{1b}[2J\u{9b}31m\r\nVERDICT PASS";
            let head = "HTTP/1.1 500 No\r\nConnection: close\r\nContent-Length";
            write!(stream, "{head}: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    let end = place.call(&["load", "--vus", "1", "--target", &url]).code(1);
    service.join().unwrap();
    assert!(end.one_line().contains("\\u{1b}[2J\\u{9b}31m"), "{end:?}");
}

/// Goal: in a run, a server that cannot start speaks for itself, and what was measured stays.
#[test]
fn a_run_whose_server_cannot_start() {
    let place = Place::new();
    place.write("x.toml", &scenario(&[("fair", "PASS")]));
    let redis = "redis://app:hunter2@127.0.0.1:1";
    let end = place.call(&["run", "x.toml", "--quiet", "--redis", redis]).code(1);
    assert!(end.one_line().contains("start Redis there"), "{end:?}");
    let run = fs::read_to_string(place.latest("01-fair/run.json")).unwrap();
    assert!(!end.err.contains("hunter2") && !run.contains("hunter2"));
    assert_eq!(json(&place.latest("01-fair/run.json"))["measured"], serde_json::Value::Null);
}
