//! What the server counts of itself, and its Prometheus text. Numbers only; no HTTP.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::reply::Problem;

/// Counters since the server's start. Every claim request is counted once when its head has been
/// read, and once more, by class, when it is answered.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: AtomicU64,
    acknowledged: AtomicU64,
    refused: [AtomicU64; PROBLEMS.len()],
    wait_us: AtomicU64,
    hold_us: AtomicU64,
    grants: AtomicU64,
}

/// The problems that a claim can be answered with, in the order of the counters.
const PROBLEMS: [Problem; 16] = [
    Problem::LockTimeout,
    Problem::Duplicate,
    Problem::Deadlock,
    Problem::LockWait,
    Problem::Conflict,
    Problem::SoldOut,
    Problem::UnknownCoupon,
    Problem::Unauthorized,
    Problem::TokenExpired,
    Problem::BadRequest,
    Problem::BodyTooLarge,
    Problem::BodyTimeout,
    Problem::Busy,
    Problem::ShuttingDown,
    Problem::StoreFailed,
    Problem::CommitUnknown,
];

impl Metrics {
    /// A claim request came in.
    pub fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// A claim was acknowledged.
    pub fn acknowledged(&self) {
        self.acknowledged.fetch_add(1, Relaxed);
    }

    /// A claim was answered with `problem`.
    pub fn refused(&self, problem: Problem) {
        if let Some(place) = PROBLEMS.iter().position(|known| *known == problem) {
            self.refused[place].fetch_add(1, Relaxed);
        }
    }

    /// A grant was given back after `hold`, having been waited for.
    pub fn granted(&self, waited: Duration, hold: Duration) {
        self.grants.fetch_add(1, Relaxed);
        self.wait_us.fetch_add(micros(waited), Relaxed);
        self.hold_us.fetch_add(micros(hold), Relaxed);
    }

    /// Prometheus text, version 0.0.4. `inside` is the number of claims being worked on, `flaw`
    /// how often a planted flaw came out, if there is one.
    pub fn text(&self, inside: u64, flaw: Option<u64>) -> String {
        let mut out = String::new();
        let mut line = |name: &str, kind: &str, help: &str, rows: &[(String, String)]| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (label, value) in rows {
                let _ = writeln!(out, "{name}{label} {value}");
            }
        };
        let plain = |value: u64| vec![(String::new(), value.to_string())];
        let requests = plain(self.requests.load(Relaxed));
        line("cplock_claim_requests_total", "counter", "Claim requests received.", &requests);
        let mut replies =
            vec![(label("ACKNOWLEDGED"), self.acknowledged.load(Relaxed).to_string())];
        for (problem, count) in PROBLEMS.iter().zip(&self.refused) {
            replies.push((label(problem.word()), count.load(Relaxed).to_string()));
        }
        line("cplock_claim_replies_total", "counter", "Claim replies by answer.", &replies);
        line(
            "cplock_claims_inside",
            "gauge",
            "Claims let in and not yet answered.",
            &plain(inside),
        );
        let grants = plain(self.grants.load(Relaxed));
        line("cplock_grants_total", "counter", "Lock grants given back.", &grants);
        for (name, help, total) in [
            ("cplock_wait_seconds_total", "Time from asking to grant.", &self.wait_us),
            ("cplock_hold_seconds_total", "Time from grant to release.", &self.hold_us),
        ] {
            let micros = total.load(Relaxed);
            let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            line(name, "counter", help, &[(String::new(), seconds)]);
        }
        if let Some(times) = flaw {
            let help = "How often the planted flaw came out.";
            line("cplock_flaw_manifestations_total", "counter", help, &plain(times));
        }
        out
    }
}

fn label(answer: &str) -> String {
    format!("{{answer=\"{answer}\"}}")
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
