//! The program from outside: the real binary, in a folder of its own, as a person or CI calls it.
//!
//! Here: what the files beside share. A process that a test starts ends with the test, by its id.

mod crowd;
mod evidence;
pub(crate) mod flaws;
mod help;
mod histories;
mod interrupt;
mod killed;
mod mistakes;
mod rest;
mod run;
mod secrets;
mod story;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::free_address;

/// Longest time that any program or condition is awaited: a test that needs it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder in which the program is called.
struct Place {
    folder: TempDir,
}

/// How a call ended.
#[derive(Debug)]
struct End {
    code: i32,
    out: String,
    err: String,
}

impl End {
    /// Asserts the exit code; on failure everything that was said is shown.
    #[track_caller]
    fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// The only line on stderr; nothing may be on stdout.
    #[track_caller]
    fn one_line(&self) -> &str {
        assert_eq!((self.err.lines().count(), &*self.out), (1, ""), "{self:?}");
        self.err.trim_end()
    }

    /// Stdout as one JSON document.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error} in {}", self.out))
    }
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The program, called here, in an environment without settings of anybody.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cplock"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("CPLOCK_"));
            if ours || name == "COLUMNS" || name == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command
    }

    /// Calls the program and waits for its end.
    fn call(&self, args: &[&str]) -> End {
        end_of(self.command(args))
    }

    /// Starts the program in the background.
    fn start(&self, args: &[&str]) -> Process {
        Process::start(self.command(args))
    }

    /// `cplock serve` on a free port, once it listens.
    fn serve(&self, args: &[&str]) -> Server {
        self.serve_with(args, &[])
    }

    fn serve_with(&self, args: &[&str], env: &[(&str, &str)]) -> Server {
        let address = free_address();
        let mut command = self.command(&["serve", "--listen", &address.to_string()]);
        command.args(args).envs(env.iter().copied());
        let mut process = Process::start(command);
        let mut stdout = BufReader::new(process.child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        process.child.stdout = Some(stdout.into_inner());
        assert_eq!(line, format!("listening on http://{address}\n"), "{:?}", process.end());
        Server { process, address, url: format!("http://{address}") }
    }

    /// The newest run's folder, or one below it.
    fn latest(&self, below: &str) -> PathBuf {
        fs::canonicalize(self.path("reports/latest")).unwrap().join(below)
    }
}

/// Calls a program with a limit to its time.
fn end_of(command: Command) -> End {
    let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap();
    End {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A program in the background. It is killed when this is dropped.
struct Process {
    child: Child,
    /// What it says on stderr; a file, so that it never waits for a reader.
    err: tempfile::NamedTempFile,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let err = tempfile::NamedTempFile::new().unwrap();
        command.stderr(err.reopen().unwrap()).stdout(Stdio::piped());
        Self { child: command.spawn().unwrap(), err }
    }

    /// Sends `INT`, `TERM` or `KILL`.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Waits for its end. What it writes to stdout must fit a pipe.
    fn end(&mut self) -> End {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        let err = fs::read_to_string(self.err.path()).unwrap();
        End { code: status.unwrap().code().unwrap_or(-1), out, err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A `cplock serve` that listens.
struct Server {
    process: Process,
    address: SocketAddr,
    url: String,
}

impl Server {
    /// Lets it drain and end.
    fn stop(mut self) -> End {
        self.process.signal("TERM");
        self.process.end()
    }

    /// One request on a connection of its own: status and body.
    fn ask(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let request = format!(
            "{head}\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}",
            self.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a whole reply");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    /// One of the server's counters.
    fn counter(&self, name: &str) -> u64 {
        let (status, text) = self.ask("GET /metrics HTTP/1.1", "");
        assert_eq!(status, 200);
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

/// Waits until `ready`; fails when it never is.
#[track_caller]
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < PATIENCE, "waited for nothing: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A document of a bundle.
#[track_caller]
fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Attempts in a ledger; 0 before there is one.
fn attempts(bundle: &Path) -> u64 {
    let text = fs::read_to_string(bundle.join("ledger.ndjson")).unwrap_or_default();
    text.lines().count().saturating_sub(1) as u64
}

/// The first number of the row `name` of a table.
#[track_caller]
fn in_table(table: &str, name: &str) -> u64 {
    let row = table.lines().find_map(|line| line.trim_start_matches(['│', ' ']).strip_prefix(name));
    let words = row.unwrap_or_else(|| panic!("no row {name} in\n{table}"));
    words.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

/// A scenario over SQLite in which 40 VUs ask for 1.5 s with next to no pause, with these
/// strategies.
fn scenario(strategies: &[(&str, &str)]) -> String {
    let load = "name = \"tiny\"\nstock = 300\n[server]\nworkers = 40\n[load]\nvus = 40\n\
                hold = \"1500ms\"\nthink = \"5ms\"\n";
    let strategy = |(lock, expect): &(&str, &str)| {
        format!("[[strategy]]\nlock = \"{lock}\"\nexpect = \"{expect}\"\n")
    };
    std::iter::once(load.to_owned()).chain(strategies.iter().map(strategy)).collect()
}
