//! How a run is ended early: one handle, two signals. Installing signal handlers is not done here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::ledger::Doubt;

/// Ends a run early. Clones are the same handle; calls work from any thread, also outside of tokio.
#[derive(Debug, Clone)]
pub struct Stop {
    phase: Arc<watch::Sender<Phase>>,
}

/// How far the stop has come. It only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nobody asked to stop.
    Running,
    /// No new attempt begins; attempts in flight are awaited, counted from this moment.
    Draining(Instant),
    /// Attempts in flight are cut off.
    Aborted,
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A handle on which nobody has called yet.
    pub fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Running)) }
    }

    /// The first signal: no new attempt begins, and those in flight are awaited for the graceful
    /// stop of the plan. Repeating it changes nothing.
    pub fn now(&self) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Running;
            if first {
                *phase = Phase::Draining(Instant::now());
            }
            first
        });
    }

    /// The second signal: attempts in flight are cut off at once; their outcome is unknown.
    pub fn abort(&self) {
        self.phase.send_replace(Phase::Aborted);
    }

    /// Whether either signal came.
    pub fn is_set(&self) -> bool {
        self.phase() != Phase::Running
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes on to `phase` of another handle.
    pub(super) fn follow(&self, phase: Phase) {
        match phase {
            Phase::Running => {}
            Phase::Draining(_) => self.now(),
            Phase::Aborted => self.abort(),
        }
    }
}

/// One VU's view of the stop, and its own time to go.
#[derive(Debug)]
pub(super) struct Reins {
    phase: watch::Receiver<Phase>,
    retires: Instant,
    graceful: Duration,
}

impl Reins {
    /// For a VU whose stages let it go at `retires`.
    pub(super) fn new(stop: &Stop, retires: Instant, graceful: Duration) -> Self {
        Self { phase: stop.watch(), retires, graceful }
    }

    /// Whether no further attempt may begin.
    pub(super) fn over(&self) -> bool {
        *self.phase.borrow() != Phase::Running || Instant::now() >= self.retires
    }

    /// Waits so long, or until no further attempt may begin.
    pub(super) async fn pause(&mut self, length: Duration) {
        if length.is_zero() || self.over() {
            return;
        }
        let until = Instant::now().checked_add(length).unwrap_or(self.retires).min(self.retires);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            // An error means that the handle is gone, and nobody can stop us any more.
            _ = self.phase.wait_for(|phase| *phase != Phase::Running) => {}
        }
    }

    /// Ends when an attempt in flight has to be given up, and says why: its own time limit, or
    /// the end of the graceful stop.
    pub(super) async fn give_up(&mut self, limit: Instant) -> Doubt {
        loop {
            let since = match *self.phase.borrow_and_update() {
                Phase::Running => self.retires,
                Phase::Draining(since) => self.retires.min(since),
                Phase::Aborted => return Doubt::CutOff,
            };
            let cut = since.checked_add(self.graceful).unwrap_or(limit);
            let until = limit.min(cut);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {
                    return if limit <= cut { Doubt::Timeout } else { Doubt::CutOff };
                }
                // An error means that the handle is gone: only the clock is left.
                changed = self.phase.changed() => if changed.is_err() {
                    tokio::time::sleep_until(until).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reins, Stop};
    use crate::ledger::Doubt;
    use std::time::Duration;
    use tokio::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    /// The first signal ends a pause at once and leaves attempts their grace; the second does not.
    #[tokio::test(start_paused = true)]
    async fn two_signals() {
        let (stop, start) = (Stop::new(), Instant::now());
        let mut reins = Reins::new(&stop, start + 100 * SECOND, 30 * SECOND);
        assert!(!reins.over() && !stop.is_set());
        let caller = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SECOND).await;
            caller.now();
            tokio::time::sleep(SECOND).await;
            caller.now();
        });
        reins.pause(50 * SECOND).await;
        assert_eq!(start.elapsed(), SECOND, "the pause ended with the signal");
        assert!(reins.over() && stop.is_set());
        assert_eq!(reins.give_up(start + 1_000 * SECOND).await, Doubt::CutOff);
        assert_eq!(start.elapsed(), 31 * SECOND, "30 s after the first call, not the second");
        stop.abort();
        assert_eq!(reins.give_up(Instant::now() + SECOND).await, Doubt::CutOff);
        assert_eq!(start.elapsed(), 31 * SECOND, "at once");
    }

    /// Without a signal an attempt ends at its limit or, after its VU's time, with the grace.
    #[tokio::test(start_paused = true)]
    async fn limit_and_retirement() {
        let (stop, start) = (Stop::new(), Instant::now());
        let mut reins = Reins::new(&stop, start + 10 * SECOND, 5 * SECOND);
        assert_eq!(reins.give_up(start + SECOND).await, Doubt::Timeout);
        assert_eq!(start.elapsed(), SECOND);
        assert_eq!(reins.give_up(start + 60 * SECOND).await, Doubt::CutOff);
        assert_eq!(start.elapsed(), 15 * SECOND);
    }

    /// A signal in the middle of an attempt shortens it, and a pause never outlasts the VU's time.
    #[tokio::test(start_paused = true)]
    async fn signal_in_flight() {
        let (stop, start) = (Stop::new(), Instant::now());
        let mut reins = Reins::new(&stop, start + 10 * SECOND, 60 * SECOND);
        reins.pause(1_000 * SECOND).await;
        assert_eq!(start.elapsed(), 10 * SECOND);
        let caller = stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SECOND).await;
            caller.abort();
        });
        assert_eq!(reins.give_up(start + 60 * SECOND).await, Doubt::CutOff);
        assert_eq!(start.elapsed(), 11 * SECOND);
    }
}
