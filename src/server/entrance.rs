//! The one door that every claim passes: arrival number, worker cap, and its own task.
//!
//! Arrival order is kept all the way to the lock: the number is stamped and the claim queued under
//! one mutex, one dispatcher task hands out worker permits in that order, and it polls each
//! issuance once (which takes the place in the lock's line, see [`crate::lock::Lock::acquire`])
//! before the task goes its own way.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::poll_immediate;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::account::Account;
use crate::coupon::issue::{Denied, Desk};
use crate::coupon::{Claim, Receipt};
use crate::ledger::locks;

/// What a claim's way through the server was like.
#[derive(Debug)]
pub struct Answer {
    /// Order of arrival in this process, from 1.
    pub arrival: u64,
    /// The receipt, or why there is none; both with what the claim went through.
    pub result: Result<Receipt, Denied>,
}

/// A claim waiting for a worker.
struct Job {
    arrival: u64,
    /// When it was let in; looked at only where a lock log is kept.
    arrived: Option<Instant>,
    claim: Claim,
    answer: oneshot::Sender<Answer>,
}

/// Arrival numbers and the queue behind them; closed when the server drains.
struct Line {
    last_arrival: u64,
    queue: Option<mpsc::UnboundedSender<Job>>,
}

/// The door. Cloning shares it.
#[derive(Clone)]
pub struct Entrance {
    line: Arc<Mutex<Line>>,
    inside: Arc<AtomicU64>,
    logged: bool,
    drained: watch::Receiver<bool>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Entrance({} inside)", self.inside())
    }
}

/// Why a claim has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// The server is draining: the claim was not let in, and nothing was written.
    Closed,
    /// The issuance ended without a word (a fault of ours): written or not is not known.
    Lost,
}

impl Entrance {
    /// Opens the door to `desk`, for at most `workers` claims at once (at least 1). Where there
    /// is a `log`, it gets the account of each claim before the claim is answered.
    ///
    /// The dispatcher ends by itself once [`Entrance::close`] was called and the line is empty.
    pub fn open(desk: Arc<Desk>, workers: u32, log: Option<Arc<locks::Writer>>) -> Self {
        let (queue, jobs) = mpsc::unbounded_channel();
        let (report, drained) = watch::channel(false);
        let inside = Arc::new(AtomicU64::new(0));
        let line = Arc::new(Mutex::new(Line { last_arrival: 0, queue: Some(queue) }));
        let logged = log.is_some();
        let desk = Counter { desk, log, inside: Arc::clone(&inside) };
        tokio::spawn(dispatch(Arc::new(desk), workers.max(1), jobs, report));
        Self { line, inside, logged, drained }
    }

    /// Lets `claim` in and waits for its answer. If the caller goes away the claim goes on: what
    /// was begun is finished, and its lease handed back.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn enter(&self, claim: Claim) -> Result<Answer, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        {
            let mut line = self.line.lock().expect("no holder of this mutex panics");
            let arrival = line.last_arrival + 1;
            let queue = line.queue.as_ref().ok_or(NoAnswer::Closed)?;
            let arrived = self.logged.then(Instant::now);
            queue.send(Job { arrival, arrived, claim, answer }).map_err(|_| NoAnswer::Closed)?;
            line.last_arrival = arrival;
            self.inside.fetch_add(1, Ordering::Relaxed);
        }
        answered.await.map_err(|_| NoAnswer::Lost)
    }

    /// Claims let in and not yet answered.
    pub fn inside(&self) -> u64 {
        self.inside.load(Ordering::Relaxed)
    }

    /// Claims let in since the start.
    pub fn arrivals(&self) -> u64 {
        self.line.lock().expect("no holder of this mutex panics").last_arrival
    }

    /// Lets nobody in any more; those inside go on.
    pub fn close(&self) {
        self.line.lock().expect("no holder of this mutex panics").queue = None;
    }

    /// Waits until the last claim that was let in is answered. Call [`Entrance::close`] first.
    pub async fn drained(&self) {
        let mut drained = self.drained.clone();
        // An error means that the dispatcher is gone, which is as drained as it gets.
        let _ = drained.wait_for(|done| *done).await;
    }
}

/// What every claim works with.
struct Counter {
    desk: Arc<Desk>,
    log: Option<Arc<locks::Writer>>,
    inside: Arc<AtomicU64>,
}

async fn dispatch(
    counter: Arc<Counter>,
    workers: u32,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    report: watch::Sender<bool>,
) {
    let permits = Arc::new(Semaphore::new(workers as usize));
    while let Some(job) = jobs.recv().await {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        let mut work = Box::pin(work(Arc::clone(&counter), job, permit));
        // Unconstrained: an exhausted task budget must not make the first poll stop half-way,
        // before it has taken its place in line.
        if tokio::task::unconstrained(poll_immediate(&mut work)).await.is_none() {
            tokio::spawn(work);
        }
    }
    let _ = permits.acquire_many(workers).await;
    report.send_replace(true);
}

async fn work(counter: Arc<Counter>, job: Job, permit: OwnedSemaphorePermit) {
    let leaving = Leaving(Arc::clone(&counter.inside));
    let result = match (&counter.log, job.arrived) {
        (Some(log), Some(arrived)) => {
            let mut account = Account::open(log, job.arrival, arrived, &job.claim.request);
            let tell = &mut |step| account.note(step);
            let result = counter.desk.issue_telling(&job.claim, tell).await;
            account.close(&result);
            result
        }
        _ => counter.desk.issue(&job.claim).await,
    };
    drop((leaving, permit));
    // The client may have hung up: then nobody listens, and the row speaks for itself.
    let _ = job.answer.send(Answer { arrival: job.arrival, result });
}

/// Counts a claim out, also when its issuance panics.
struct Leaving(Arc<AtomicU64>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
