//! Who asks: virtual users (VUs), their connections, and the watch over them.
//!
//! The front function is [`drive`]: one run against one target, from the first VU to the finished
//! numbers. It is aimed at a URL and knows nothing of databases, locks or the server's inside, so
//! that it can be aimed at anyone's service.
//!
//! `goose.rs` starts VUs by the stages, `shape.rs` knows when each has to go, `vu.rs` is a VU's
//! life, `transport.rs` its connection, `reply.rs` what a reply means, `identity.rs` in whose name
//! it asks, `stop.rs` how a run ends early, `run.rs` what the VUs of a run share, `tally.rs` its
//! live counts, `progress.rs` what people see meanwhile, `probe.rs` what is asked on the side.

pub mod baseline;
mod goose;
pub mod identity;
mod probe;
mod process;
pub mod progress;
pub mod reply;
mod run;
mod shape;
mod stop;
mod tally;
pub mod transport;
mod vu;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

pub use baseline::{Baseline, baseline};
pub use identity::{Identity, sign_up};
pub use progress::Watch;
pub use stop::Stop;
pub use transport::Target;

use self::goose::{Life, Script};
use crate::ledger::EvidenceError;
use crate::ledger::file::LedgerError;
use crate::ledger::measured::{Measured, Second};
use crate::scenario::LoadPlan;
use probe::Prober;
use progress::Display;
use run::{Ends, Run};
use tally::Counts;

/// How often the watch looks at the run.
const TICK: Duration = Duration::from_millis(100);

/// Everything that one run needs.
#[derive(Debug, Clone)]
pub struct Job {
    /// What the VUs do.
    pub plan: LoadPlan,
    /// Where they ask.
    pub target: Target,
    /// In whose name. `Shared`: the first is used. `PerVu`: one for each VU at once. `PerClaim`:
    /// each is used once, and a VU that finds none left stops.
    pub identities: Vec<Identity>,
    /// The run's id: the beginning of every request id, so unique among runs on one database.
    pub run: String,
    /// Where `ledger.ndjson` is written.
    pub ledger: PathBuf,
    /// Where `latency.hlog` is written.
    pub latency: PathBuf,
    /// Where `probes.ndjson` is written, if the plan has probes.
    pub probes: PathBuf,
}

/// Why a run could not be made, or its numbers could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The target is not a URL that can be asked, or its host is not known. Nothing was sent.
    #[error("target `{url}`: {what}")]
    Target {
        /// What was given.
        url: String,
        /// What is wrong, and the remedy.
        what: String,
    },
    /// The stages never start a VU. Nothing was sent.
    #[error("the stages never start a VU; give at least one stage with VUs")]
    Plan,
    /// There are fewer users than the plan needs. Nothing was sent.
    #[error("{given} users for a plan that needs {needed}; sign up more")]
    Identities {
        /// Users that were given.
        given: usize,
        /// Users that are needed.
        needed: usize,
    },
    /// A token cannot be sent as a header. Nothing was sent.
    #[error("the token holds characters that a header cannot carry")]
    Token,
    /// A user could not sign up or in. Users before it exist at the target.
    #[error("sign-up at `{path}` failed: {what}")]
    SignUp {
        /// The path that was asked.
        path: String,
        /// What happened.
        what: String,
    },
    /// The stop was called before the run began. No claim was sent.
    #[error("interrupted before the run began")]
    Interrupted,
    /// The ledger could not be written: the run was stopped; what was flushed is in the file.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The probes' file could not be written. The ledger is complete, unless the run had not begun.
    #[error(transparent)]
    Probes(#[from] EvidenceError),
    /// The histograms could not be written. The ledger is complete.
    #[error("cannot write `{}`", path.display())]
    Latency {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A fault in the engine. The ledger holds what was asked so far.
    #[error("the load engine failed: {0}")]
    Engine(String),
}

/// Runs the plan against the target: VUs come and go by the stages, each attempt is in the ledger,
/// and every VU is gone when it returns. May be called again afterwards; calls at the same time in
/// one process take turns.
///
/// The first call on `stop` lets attempts in flight end within the plan's graceful stop, the
/// second cuts them off; both still return the numbers measured. Standard output is shut for the
/// milliseconds before the first VU (see `process.rs`). CPU time is the whole process's, so an
/// embedded server's is in it. The runtime needs timers and I/O, and more than one thread for an
/// accurate ramp.
///
/// # Errors
/// See [`LoadError`]. After any but `Ledger`, `Probes`, `Latency` and `Engine`, no claim was sent.
pub async fn drive(job: Job, stop: &Stop, watch: Watch) -> Result<Measured, LoadError> {
    let run = Arc::new(Run::new(&job).await?);
    let _end = EndWithCaller(run.stop.clone());
    let cpu = process::cpu_time();
    let (gone, over) = watch::channel(false);
    let prober = Prober::new(&job).await?;
    let prober = prober.map(|prober| tokio::spawn(prober.probe(Arc::clone(&run), over)));
    let mut seconds = Vec::new();
    if !stop.is_set() {
        let mut display = Display::new(watch, &run.plan);
        let attack = tokio::spawn(attack(Arc::clone(&run), |run, vu| Box::pin(vu::live(run, vu))));
        seconds = oversee(&run, attack, stop, &mut display).await?;
        display.finish(&run);
    }
    gone.send_replace(true);
    let probes = match prober {
        Some(prober) => Some(prober.await.map_err(|error| LoadError::Engine(error.to_string()))??),
        None => None,
    };
    let cpu = process::cpu_time().saturating_sub(cpu);
    run.finish(&job, Ends { seconds, interrupted: stop.is_set(), cpu, probes })
}

/// If the caller drops the future, the VUs must not go on by themselves.
struct EndWithCaller(Stop);

impl Drop for EndWithCaller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn attack(
    run: Arc<Run>,
    iterate: fn(Arc<Run>, u32) -> BoxFuture<'static, ()>,
) -> Result<(), LoadError> {
    let (beginner, ender) = (Arc::clone(&run), Arc::clone(&run));
    let stages = run.plan.stages.clone();
    let life: Life = Arc::new(move |vu| {
        let run = Arc::clone(&run);
        Box::pin(async move {
            run.tally.began();
            // A panic is a fault of ours: it is told as a lost VU, and the others go on.
            let life = AssertUnwindSafe(iterate(Arc::clone(&run), vu)).catch_unwind().await;
            run.tally.ended(life.is_ok());
        })
    });
    let began = Box::new(move || beginner.begin());
    let over = Box::new(move || ender.over());
    self::goose::attack(&stages, Script { began, life, over }).await
}

/// Watches the run until every VU has gone: passes the stop on, stops a run whose ledger cannot be
/// written, takes the line of each second, and shows the progress.
async fn oversee(
    run: &Run,
    mut attack: JoinHandle<Result<(), LoadError>>,
    stop: &Stop,
    display: &mut Display,
) -> Result<Vec<Second>, LoadError> {
    tokio::select! {
        () = run.begun() => {}
        ended = &mut attack => {
            ended.map_err(|error| LoadError::Engine(error.to_string()))??;
            return Ok(Vec::new());
        }
    }
    let mut seconds = Seconds::default();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut signals = stop.watch();
    run.stop.follow(stop.phase());
    loop {
        tokio::select! {
            ended = &mut attack => {
                ended.map_err(|error| LoadError::Engine(error.to_string()))??;
                seconds.rest(run);
                return Ok(seconds.lines);
            }
            Ok(()) = signals.changed() => run.stop.follow(stop.phase()),
            () = tokio::time::sleep_until(seconds.due(run)) => seconds.take(run),
            _ = tick.tick() => {
                if run.ledger_failed() {
                    run.stop.now();
                }
                display.show(run);
            }
        }
    }
}

/// The lines of the seconds.
#[derive(Debug, Default)]
struct Seconds {
    lines: Vec<Second>,
    counts: Counts,
}

impl Seconds {
    fn next(&self) -> u32 {
        u32::try_from(self.lines.len() + 1).unwrap_or(u32::MAX)
    }

    fn due(&self, run: &Run) -> Instant {
        run.began() + Duration::from_secs(u64::from(self.next()))
    }

    fn take(&mut self, run: &Run) {
        let second = self.next();
        let counts = run.tally.counts();
        let Counts { acknowledged, refused, unknown } = counts.since(self.counts);
        self.counts = counts;
        self.lines.push(Second {
            second,
            vus: run.tally.vus(),
            vus_planned: run.plan.planned_at(Duration::from_secs(u64::from(second))),
            attempts: acknowledged + refused + unknown,
            acknowledged,
            refused,
            unknown,
        });
    }

    /// What ended after the last whole second, so that the lines add up to the run.
    fn rest(&mut self, run: &Run) {
        if run.tally.counts() != self.counts {
            self.take(run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Stage, UserMode};

    /// A life that panics is counted as lost; the others live on, and the run ends with its
    /// numbers.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_panic_loses_one_vu() {
        let folder = tempfile::tempdir().unwrap();
        let stage = |seconds| Stage { duration: Duration::from_secs(seconds), vus: 4 };
        let job = Job {
            plan: LoadPlan {
                stages: vec![stage(0), stage(3)],
                think: Duration::ZERO,
                iterations: None,
                users: UserMode::Shared,
                graceful_stop: Duration::ZERO,
                timeout: Duration::from_secs(1),
                coupon: 1,
                probe: Duration::ZERO,
            },
            target: Target::parse("http://127.0.0.1:9").unwrap(),
            identities: vec![Identity::of_token("t")],
            run: "r1".to_owned(),
            ledger: folder.path().join("ledger.ndjson"),
            latency: folder.path().join("latency.hlog"),
            probes: folder.path().join("probes.ndjson"),
        };
        let run = Arc::new(Run::new(&job).await.unwrap());
        let attack = tokio::spawn(attack(Arc::clone(&run), |run, vu| {
            Box::pin(async move {
                assert_ne!(vu, 2, "the panic of this test");
                // The others stay until all are there.
                while run.tally.vus() + run.tally.vus_ended() < 4 {
                    tokio::task::yield_now().await;
                }
            })
        }));
        let mut display = Display::new(Watch::Nobody, &run.plan);
        let begin = Instant::now();
        oversee(&run, attack, &Stop::new(), &mut display).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(2), "ends when nobody is left");
        let measured = run.finish(&job, Ends::default()).unwrap();
        assert_eq!((measured.vus_lost, measured.attempts), (1, 0));
        assert_eq!((run.tally.vus(), run.tally.vus_ended()), (0, 4));
    }
}
