//! What the user may type. Clap only; what it means is decided in the command files.
//!
//! Values that a scenario file may also give are `Option`s here: precedence is defaults, then the
//! file, then `CPLOCK_*`, then flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::rest::SHORTEST;
use crate::coupon::WriteMode;
use crate::coupon::flaw::Flaw;
use crate::lock::{Strategy, Terms};
use crate::report::history::History;
use crate::scenario::{ServerPlan, Stage, UserMode, duration_text};

/// Load-tests a limited-stock endpoint and proves whether its books balance.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub(super) struct Cli {
    /// Say nothing on stderr but errors; data on stdout stays
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  cplock run scenarios/quickstart.toml         the whole comparison in about a minute
  cplock serve --lock fair                     a coupon server to point anything at
  cplock load --vus 2000 --ramp 10s            the crowd, against it
  cplock verify                                did the books balance?

Exit codes: 0 books balance · 1 could not run · 2 wrong usage or invalid file · 3 integrity violated
            4 inconclusive · 5 regression · 99 threshold crossed · 130 interrupted";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a coupon server whose concurrency control can be switched
    Serve(ServeArgs),
    /// Send virtual users to a coupon server and write down what each was told
    Load(LoadArgs),
    /// Join what clients were told with what the database holds, and give a verdict
    Verify(VerifyArgs),
    /// Serve, load and verify for each strategy of a scenario, and compare
    Run(RunArgs),
    /// Draw stored runs again
    Report(ReportArgs),
    /// Say what is wrong with a scenario, or what it would do, without doing it
    Check(CheckArgs),
}

/// Settings of a server, where given.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct ServerFlags {
    /// Database: `sqlite://FILE`, `mysql://USER@HOST/DB` (also MariaDB), `postgres://USER@HOST/DB`
    #[arg(long, value_name = "URL", env = "CPLOCK_DB", hide_env_values = true)]
    pub(super) db: Option<String>,
    /// Lease store: `redis://HOST:PORT`; without it leases live in the server process
    #[arg(long, value_name = "URL", env = "CPLOCK_REDIS", hide_env_values = true)]
    pub(super) redis: Option<String>,
    /// Claims worked on at once; the rest wait in arrival order [default: 200]
    #[arg(long, value_name = "N", env = "CPLOCK_WORKERS")]
    pub(super) workers: Option<u32>,
    /// Database connections [default: 10]
    #[arg(long, value_name = "N", env = "CPLOCK_DB_POOL")]
    pub(super) db_pool: Option<u32>,
    /// The application's own time between its read and its write [default: 0s]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "CPLOCK_GAP")]
    pub(super) gap: Option<Duration>,
    /// Longest wait for the lock in one try [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "CPLOCK_WAIT")]
    pub(super) wait: Option<Duration>,
    /// How long a grant lasts unless it is handed back [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "CPLOCK_LEASE")]
    pub(super) lease: Option<Duration>,
    /// spin: pause between two polls [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "CPLOCK_POLL")]
    pub(super) poll: Option<Duration>,
    /// fair: tries of --wait before giving up; the place in line is kept [default: 3]
    #[arg(long, value_name = "N", env = "CPLOCK_ATTEMPTS")]
    pub(super) attempts: Option<u32>,
    /// fair: pause between two tries [default: 200ms]
    #[arg(long, value_name = "DURATION", value_parser = duration, env = "CPLOCK_BACKOFF")]
    pub(super) backoff: Option<Duration>,
}

impl ServerFlags {
    /// `plan` with what was typed or exported in its place.
    #[must_use]
    pub(super) fn over(&self, plan: ServerPlan) -> ServerPlan {
        let terms = plan.terms;
        ServerPlan {
            db: self.db.clone().or(plan.db),
            redis: self.redis.clone().or(plan.redis),
            workers: self.workers.unwrap_or(plan.workers),
            db_pool: self.db_pool.unwrap_or(plan.db_pool),
            gap: self.gap.unwrap_or(plan.gap),
            lock_log: plan.lock_log,
            terms: Terms {
                wait: self.wait.unwrap_or(terms.wait),
                lease: self.lease.unwrap_or(terms.lease),
                poll: self.poll.unwrap_or(terms.poll),
                attempts: self.attempts.unwrap_or(terms.attempts),
                backoff: self.backoff.unwrap_or(terms.backoff),
            },
        }
    }
}

/// How long the service is given to come to rest.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct RestFlags {
    /// Longest wait for the stock to come to rest (three equal readings, 200 ms apart); after it
    /// what could still be healed is UNKNOWN
    #[arg(long, value_name = "DURATION", value_parser = settle, default_value = "60s")]
    pub(super) settle: Duration,
    /// Read the stock once more this long after the verdict, which is withdrawn where a late row
    /// could change it; 0s: do not
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s")]
    pub(super) guard: Duration,
}

/// `cplock serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cplock serve --lock fair
  cplock serve --lock none --db mysql://root@127.0.0.1/coupons --stock 30000 --workers 500
  CPLOCK_REDIS=redis://127.0.0.1:6379 cplock serve --lock spin --poll 50ms")]
pub(super) struct ServeArgs {
    /// Who may enter: none, spin or fair
    #[arg(long, value_parser = strategy, env = "CPLOCK_LOCK")]
    pub(super) lock: Strategy,
    /// How one unit moves
    #[arg(long, value_name = "MODE", value_parser = write_mode)]
    #[arg(default_value = "read-modify-write")]
    pub(super) write: WriteMode,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "CPLOCK_LISTEN")]
    pub(super) listen: SocketAddr,
    /// Start afresh with N units of coupon 1: its issued rows are deleted. Without it an existing
    /// coupon goes on where it stood, and a new database gets 100,000
    #[arg(long, value_name = "N")]
    pub(super) stock: Option<u32>,
    /// One coupon a user (needs --stock: it belongs to the coupon)
    #[arg(long, requires = "stock")]
    pub(super) one_per_user: bool,
    /// Write the server's own account of each claim (arrival, grant, commit, release) to FILE
    #[arg(long, value_name = "FILE")]
    pub(super) lock_log: Option<PathBuf>,
    /// Settings.
    #[command(flatten)]
    pub(super) server: ServerFlags,
    /// Stop when stdin is closed: how `run` makes sure that no server outlives it
    #[arg(long, hide = true)]
    pub(super) until_stdin_closes: bool,
    /// Be wrong on purpose in this way, for testing whoever judges a service; see `coupon::flaw`
    #[arg(long, hide = true, value_name = "CODE")]
    pub(super) flaw: Option<Flaw>,
    /// Without this, --flaw is refused
    #[arg(long, hide = true)]
    pub(super) i_want_a_broken_server: bool,
}

/// `cplock load`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cplock load --vus 2000 --ramp 10s --hold 80s
  cplock load --stage 10s:2000 --stage 80s:2000 --stage 5s:0 --think 1s
  cplock load --vus 100 --iterations 1 --users per-vu
  cplock load scenarios/ci.toml --target http://127.0.0.1:8080")]
pub(super) struct LoadArgs {
    /// Take the load from this scenario; flags change it
    pub(super) scenario: Option<PathBuf>,
    /// Where the service answers
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        env = "CPLOCK_TARGET"
    )]
    pub(super) target: String,
    /// Virtual users
    #[arg(short = 'u', long, value_name = "N")]
    pub(super) vus: Option<u32>,
    /// Time from 0 to --vus; without it all start at once
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) ramp: Option<Duration>,
    /// How long --vus stay [default: 30s; with --iterations at most 10m]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) hold: Option<Duration>,
    /// One stage, like 10s:2000; repeat for more. Instead of --vus, --ramp and --hold
    #[arg(short = 's', long = "stage", value_name = "DURATION:VUS", value_parser = stage)]
    pub(super) stages: Vec<Stage>,
    /// Pause of each VU after a reply [default: 1s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) think: Option<Duration>,
    /// Claims of each VU; without it they go on until the stages end
    #[arg(short = 'i', long, value_name = "N")]
    pub(super) iterations: Option<u32>,
    /// In whose name the VUs ask [default: shared]
    #[arg(long, value_enum)]
    pub(super) users: Option<Users>,
    /// Which coupon is claimed [default: 1]
    #[arg(long, value_name = "ID")]
    pub(super) coupon: Option<i64>,
    /// Longest wait for one reply [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Ask for the remaining quantity this often, beside the VUs; 0s: never [default: 100ms]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) probe: Option<Duration>,
    /// After the stages, how long attempts in flight are awaited [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) graceful_stop: Option<Duration>,
    /// Ask with this token (with --users shared) instead of signing a user up
    #[arg(long, value_name = "TOKEN", env = "CPLOCK_TOKEN", hide_env_values = true)]
    pub(super) token: Option<String>,
    /// Folder that receives the run's own folder
    #[arg(long, value_name = "DIR", default_value = "reports", env = "CPLOCK_OUT")]
    pub(super) out: PathBuf,
    /// How the summary is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: SummaryFormat,
}

/// `cplock verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without BUNDLE_DIR the newest run of ./reports is judged; where there is none, or it is already
closed and --db is given, the database alone.

Examples:
  cplock verify
  cplock verify reports/load-2026-11-22T10-00-00Z
  cplock verify --db mysql://root@127.0.0.1/coupons --format json")]
pub(super) struct VerifyArgs {
    /// A run's folder
    #[arg(value_name = "BUNDLE_DIR")]
    pub(super) bundle: Option<PathBuf>,
    /// The service's database [default: `sqlite://cplock.db`]
    #[arg(long, value_name = "URL", env = "CPLOCK_DB", hide_env_values = true)]
    pub(super) db: Option<String>,
    /// Judge the database alone, whatever runs are stored
    #[arg(long, conflicts_with = "bundle")]
    pub(super) db_only: bool,
    /// Which coupon (database alone)
    #[arg(long, value_name = "ID", default_value_t = 1)]
    pub(super) coupon: i64,
    /// Rest.
    #[command(flatten)]
    pub(super) rest: RestFlags,
    /// How the verdict is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: SummaryFormat,
}

/// `cplock run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cplock run scenarios/quickstart.toml
  cplock run scenarios/compare.toml --lock spin,fair --format markdown
  CPLOCK_DB=mysql://root@127.0.0.1/coupons CPLOCK_REDIS=redis://127.0.0.1 \\
    cplock run scenarios/published-fair.toml")]
pub(super) struct RunArgs {
    /// The scenario
    pub(super) scenario: PathBuf,
    /// Only these strategies of it, in this order
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = strategy)]
    pub(super) lock: Vec<Strategy>,
    /// Settings.
    #[command(flatten)]
    pub(super) server: ServerFlags,
    /// Rest.
    #[command(flatten)]
    pub(super) rest: RestFlags,
    /// Folder that receives the run's own folder
    #[arg(long, value_name = "DIR", default_value = "reports", env = "CPLOCK_OUT")]
    pub(super) out: PathBuf,
    /// How the comparison is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: ReportFormat,
}

/// `cplock report`.
#[derive(Debug, Args)]
#[command(after_help = "\
jepsen, jepsen-counter and porcupine tell the single run of BUNDLE_DIR as a history that others
can check: claims as adds and the rows as the last read (elle-cli: set, set-full), claims and
probes of a counter (elle-cli: counter), events for a Porcupine model.

Examples:
  cplock report reports/latest --format markdown
  cplock report reports/latest/02-fair --format jepsen > history.json")]
pub(super) struct ReportArgs {
    /// Folders of runs
    #[arg(required = true, value_name = "BUNDLE_DIR")]
    pub(super) bundles: Vec<PathBuf>,
    /// How they are told
    #[arg(long, value_enum, default_value = "table")]
    pub(super) format: StoredFormat,
}

/// `cplock check`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cplock check scenarios/ci.toml")]
pub(super) struct CheckArgs {
    /// The scenario
    pub(super) scenario: PathBuf,
}

/// Formats of one run's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SummaryFormat {
    /// For people
    Table,
    /// One document
    Json,
}

/// Formats of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// For people
    Table,
    /// One document, `cplock.report/1`
    Json,
    /// For a pull request
    Markdown,
}

/// Formats of stored runs: a comparison, or the history of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StoredFormat {
    /// For people
    Table,
    /// One document, `cplock.report/1`
    Json,
    /// For a pull request
    Markdown,
    /// Jepsen's JSON history of a set
    Jepsen,
    /// Jepsen's JSON history of a counter
    JepsenCounter,
    /// Porcupine's events, one a line
    Porcupine,
}

/// What becomes of stored runs.
pub(super) enum Telling {
    /// One comparison of all.
    Comparison(ReportFormat),
    /// The history of one.
    History(History),
}

impl StoredFormat {
    /// What it asks for.
    pub(super) fn telling(self) -> Telling {
        match self {
            Self::Table => Telling::Comparison(ReportFormat::Table),
            Self::Json => Telling::Comparison(ReportFormat::Json),
            Self::Markdown => Telling::Comparison(ReportFormat::Markdown),
            Self::Jepsen => Telling::History(History::Set),
            Self::JepsenCounter => Telling::History(History::Counter),
            Self::Porcupine => Telling::History(History::Events),
        }
    }
}

/// In whose name the VUs ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Users {
    /// One login for all, as in the published runs
    Shared,
    /// One user for each VU
    PerVu,
    /// A new user for each claim
    PerClaim,
}

impl From<Users> for UserMode {
    fn from(users: Users) -> Self {
        match users {
            Users::Shared => Self::Shared,
            Users::PerVu => Self::PerVu,
            Users::PerClaim => Self::PerClaim,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_text::parse(text)
}

fn settle(text: &str) -> Result<Duration, String> {
    let long_enough = |time: &Duration| *time >= SHORTEST;
    let shortest = humantime::format_duration(SHORTEST);
    duration(text).and_then(|time| {
        Some(time).filter(long_enough).ok_or(format!("rest cannot be seen in less than {shortest}"))
    })
}

fn strategy(text: &str) -> Result<Strategy, String> {
    text.parse().map_err(|error: crate::lock::LockError| error.to_string())
}

fn write_mode(text: &str) -> Result<WriteMode, String> {
    let found = WriteMode::ALL.into_iter().find(|mode| mode.name() == text);
    let names = || WriteMode::ALL.map(WriteMode::name).join(", ");
    found.ok_or_else(|| format!("unknown write mode `{text}`; there is {}", names()))
}

fn stage(text: &str) -> Result<Stage, String> {
    let wrong = || format!("`{text}` is not a stage; write DURATION:VUS, like 10s:2000");
    let (time, vus) = text.split_once(':').ok_or_else(wrong)?;
    Ok(Stage { duration: duration(time)?, vus: vus.parse().map_err(|_| wrong())? })
}

#[cfg(test)]
mod tests {
    //! The command line as clap sees it.

    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn stages_need_both_parts() {
        assert_eq!(stage("10s:2000"), Ok(Stage { duration: Duration::from_secs(10), vus: 2000 }));
        assert!(stage("10s").unwrap_err().contains("like 10s:2000"));
        assert!(stage("10:2000").unwrap_err().contains("unit"));
    }
}
