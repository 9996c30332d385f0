//! The server of one `run` as its own process: started, awaited, asked, stopped.
//!
//! It never outlives us: it stops when its stdin closes, which happens however we end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::bundle::{self, Bundle};
use crate::scenario::{ServerPlan, StrategyPlan};

/// How long a server may take to listen.
const START_MAX: Duration = Duration::from_mins(1);
/// How long a server may take to drain; its own limit is 45 s.
const STOP_MAX: Duration = Duration::from_mins(1);

/// A running server.
pub(super) struct ServerProcess {
    child: Child,
    /// Where it answers, like `http://127.0.0.1:20123`.
    pub(super) url: String,
}

impl ServerProcess {
    /// Starts `strategy` over the database `db` and waits until it listens. Secrets travel in the
    /// environment, never as arguments; its talk goes into `part`, and its lock log where asked.
    ///
    /// # Errors
    /// It did not start; its own last line is in the message. Nothing keeps running.
    pub(super) async fn start(
        plan: &ServerPlan,
        strategy: StrategyPlan,
        db: &str,
        secret: &str,
        part: &Bundle,
    ) -> anyhow::Result<Self> {
        let log = &part.file(bundle::SERVER_LOG);
        let program = std::env::current_exe().context("cannot find this program")?;
        let log_file = std::fs::File::create(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(["serve", "--until-stdin-closes", "--lock", strategy.lock.name()])
            .args(["--write", strategy.write.name()])
            .args(["--listen", &free_address()?.to_string()])
            .args(settings(plan))
            .args(lock_log(plan, part))
            .env("CPLOCK_DB", db)
            .env("CPLOCK_JWT_SECRET", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            // A Ctrl-C in the terminal is for us: the server must go on until the load has ended.
            .process_group(0)
            .kill_on_drop(true);
        match &plan.redis {
            Some(url) => command.env("CPLOCK_REDIS", url),
            None => command.env_remove("CPLOCK_REDIS"),
        };
        let mut child = command.spawn().context("cannot start the server")?;
        let url = match tokio::time::timeout(START_MAX, listening(&mut child)).await {
            Ok(Ok(url)) => url,
            Ok(Err(error)) => return Err(last_words(log).unwrap_or(error)),
            Err(_) => bail!("the server did not listen within {} s", START_MAX.as_secs()),
        };
        Ok(Self { child, url })
    }

    /// Lets it drain and end. Returns whether it ended in time and well.
    pub(super) async fn stop(mut self) -> bool {
        drop(self.child.stdin.take());
        match tokio::time::timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) => status.success(),
            Ok(Err(_)) => false,
            Err(_) => {
                // It had its time; the rows tell what it did.
                let _ = self.child.kill().await;
                false
            }
        }
    }
}

fn lock_log(plan: &ServerPlan, part: &Bundle) -> Vec<OsString> {
    if plan.lock_log { vec!["--lock-log".into(), part.file(bundle::LOCKS).into()] } else { vec![] }
}

fn settings(plan: &ServerPlan) -> Vec<String> {
    let terms = &plan.terms;
    let span = |time: Duration| humantime::format_duration(time).to_string().replace(' ', "");
    [
        ("--workers", plan.workers.to_string()),
        ("--db-pool", plan.db_pool.to_string()),
        ("--gap", span(plan.gap)),
        ("--wait", span(terms.wait)),
        ("--lease", span(terms.lease)),
        ("--poll", span(terms.poll)),
        ("--attempts", terms.attempts.to_string()),
        ("--backoff", span(terms.backoff)),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value])
    .collect()
}

/// Reads the one line of data that `serve` prints, and leaves the rest unread.
async fn listening(child: &mut Child) -> anyhow::Result<String> {
    let stdout = child.stdout.take().ok_or_else(|| anyhow!("the server has no stdout"))?;
    let line = BufReader::new(stdout).lines().next_line().await.context("the server is silent")?;
    let line = line.ok_or_else(|| anyhow!("the server ended before it listened"))?;
    line.strip_prefix("listening on ")
        .map(str::to_owned)
        .ok_or_else(|| anyhow!("the server said {line:?} instead of where it listens"))
}

/// The server's own error line, without its `error: `.
fn last_words(log: &Path) -> Option<anyhow::Error> {
    let text = std::fs::read_to_string(log).ok()?;
    let line = text.lines().rev().find_map(|line| line.strip_prefix("error: "))?;
    Some(anyhow!("{line}"))
}

/// A free loopback port below the ephemeral range (32768 on Linux), so that no outgoing connection
/// of the 2,000 VUs can take it between our look and the server's.
fn free_address() -> anyhow::Result<SocketAddr> {
    let process = std::process::id();
    let first = 20_000 + u16::try_from(process % 10_000).unwrap_or(0);
    (0..2_000_u16)
        .map(|step| SocketAddr::from(([127, 0, 0, 1], 20_000 + (first - 20_000 + step) % 12_000)))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .ok_or_else(|| anyhow!("no free port between 20000 and 32000 on 127.0.0.1"))
}
