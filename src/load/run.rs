//! One run in progress: what all its VUs share, and the finished numbers at its end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;

use super::identity::Identities;
use super::probe::Ear;
use super::shape::{self, Berth};
use super::stop::Stop;
use super::tally::Tally;
use super::transport::{Dialer, Traffic};
use super::vu::ClaimForm;
use super::{Job, LoadError};
use crate::ledger::Attempt;
use crate::ledger::file::Writer;
use crate::ledger::measured::{Measured, Probed, Second};
use crate::ledger::timing::Timings;
use crate::scenario::LoadPlan;

/// What all VUs of one run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) plan: LoadPlan,
    /// One for each VU that the stages ever start.
    pub(super) berths: Vec<Berth>,
    pub(super) form: ClaimForm,
    pub(super) identities: Identities,
    pub(super) dialer: Dialer,
    /// Of this run alone; it follows the caller's.
    pub(super) stop: Stop,
    pub(super) tally: Tally,
    pub(super) timings: Timings,
    ledger: Writer,
    traffic: Arc<Traffic>,
    began: OnceLock<(Instant, SystemTime)>,
    begun: watch::Sender<bool>,
    /// Where the probes listen for acknowledgements.
    pub(super) ear: Ear,
}

impl Run {
    /// Checks the job and makes the ledger file.
    pub(super) async fn new(job: &Job) -> Result<Self, LoadError> {
        let plan = job.plan.clone();
        let berths = shape::berths(&plan.stages);
        if berths.is_empty() {
            return Err(LoadError::Plan);
        }
        let traffic = Arc::new(Traffic::default());
        let dialer = Dialer::new(&job.target, Arc::clone(&traffic)).await?;
        // What would fail for each VU fails here, once, and is told.
        dialer.wire()?;
        Ok(Self {
            form: ClaimForm::new(&job.target, plan.coupon)?,
            identities: Identities::new(plan.users, plan.vus_max(), &job.identities)?,
            dialer,
            ledger: Writer::create(&job.ledger, &job.run)?,
            id: job.run.clone(),
            plan,
            berths,
            stop: Stop::new(),
            tally: Tally::default(),
            timings: Timings::default(),
            traffic,
            began: OnceLock::new(),
            begun: watch::Sender::new(false),
            ear: Ear::default(),
        })
    }

    /// The stages begin now; only the first call counts.
    pub(super) fn begin(&self) {
        self.ledger.began(self.began_at());
        self.begun.send_replace(true);
    }

    /// Waits for [`Run::begin`].
    pub(super) async fn begun(&self) {
        // The sender lives as long as the run.
        let _ = self.begun.subscribe().wait_for(|begun| *begun).await;
    }

    /// When the stages began, by the wall clock; now, if they have not.
    pub(super) fn began_at(&self) -> SystemTime {
        self.began.get_or_init(|| (Instant::now(), SystemTime::now())).1
    }

    /// When the stages began; now, if they have not.
    pub(super) fn began(&self) -> Instant {
        self.began.get_or_init(|| (Instant::now(), SystemTime::now())).0
    }

    /// µs from the beginning of the stages.
    pub(super) fn since_began(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began()).as_micros()).unwrap_or(u64::MAX)
    }

    /// Puts one finished attempt into the ledger, the histograms and the counts.
    pub(super) fn note(&self, attempt: &Attempt) {
        self.ledger.append(attempt);
        self.timings.record(attempt.vu, attempt.outcome, attempt.end_us - attempt.start_us);
        self.tally.count(attempt.outcome, attempt.end_us);
    }

    /// Whether no further VU should start: the run is stopped, or all have come and gone.
    pub(super) fn over(&self) -> bool {
        let gone = usize::try_from(self.tally.vus_ended()).unwrap_or(usize::MAX);
        self.stop.is_set() || gone >= self.berths.len()
    }

    /// Whether the ledger cannot be written any more.
    pub(super) fn ledger_failed(&self) -> bool {
        self.ledger.failed()
    }

    /// Closes the files and sums up.
    pub(super) fn finish(&self, job: &Job, ends: Ends) -> Result<Measured, LoadError> {
        let lines = self.ledger.finish()?;
        let (began, began_at) = *self.began.get_or_init(|| (Instant::now(), SystemTime::now()));
        self.timings
            .save(&job.latency, began_at, began.elapsed())
            .map_err(|source| LoadError::Latency { path: job.latency.clone(), source })?;
        let counts = self.tally.counts();
        if lines != counts.attempts() {
            let what = format!("{lines} ledger lines for {} attempts", counts.attempts());
            return Err(LoadError::Engine(what));
        }
        Ok(Measured {
            attempts: counts.attempts(),
            acknowledged: counts.acknowledged,
            refused: self.tally.refused(),
            unknown: self.tally.unknown(),
            elapsed_ms: self.tally.last_us() / 1_000,
            vus_max: self.tally.vus_max(),
            vus_lost: self.tally.vus_lost(),
            vus_starved: self.tally.vus_starved(),
            bytes_sent: self.traffic.sent.load(Ordering::Relaxed),
            bytes_received: self.traffic.received.load(Ordering::Relaxed),
            connections: self.traffic.connections.load(Ordering::Relaxed),
            latency: self.timings.finish(),
            seconds: ends.seconds,
            interrupted: ends.interrupted,
            client_cpu_ms: u64::try_from(ends.cpu.as_millis()).unwrap_or(u64::MAX),
            probes: ends.probes,
        })
    }
}

/// What the run's watcher saw, beside the counts.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) seconds: Vec<Second>,
    pub(super) interrupted: bool,
    pub(super) cpu: Duration,
    pub(super) probes: Option<Probed>,
}
