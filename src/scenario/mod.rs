//! What a test is: stock, server settings, strategies, stages, users. Checked once, then trusted.
//!
//! This file holds the resolved values; `file.rs` reads them from TOML and says what is wrong.

pub mod file;

use std::time::Duration;

use crate::coupon::WriteMode;
use crate::lock::{Strategy, Terms};

/// A whole test, resolved: every value is in force, defaults included.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Short name, `[a-z0-9-]`; names the bundle's folder.
    pub name: String,
    /// One sentence for people.
    pub description: String,
    /// Units at the start of each strategy's run.
    pub stock: u32,
    /// Whether one user may hold one unit only.
    pub one_per_user: bool,
    /// How the embedded server is started.
    pub server: ServerPlan,
    /// What the VUs do.
    pub load: LoadPlan,
    /// What is compared, in table order; at least one.
    pub strategies: Vec<StrategyPlan>,
}

/// How the embedded server is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPlan {
    /// Database URL; `None` means a fresh SQLite file in the run's folder.
    pub db: Option<String>,
    /// Redis URL; `None` means the in-process lease store.
    pub redis: Option<String>,
    /// Claims worked on at once; the rest wait in arrival order.
    pub workers: u32,
    /// Database connections.
    pub db_pool: u32,
    /// Lock terms.
    pub terms: Terms,
    /// Gap: the application's own time between its read and its write.
    pub gap: Duration,
    /// Whether it writes an account of each claim into the run's folder.
    pub lock_log: bool,
}

/// One column of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrategyPlan {
    /// Who may enter.
    pub lock: Strategy,
    /// How a unit moves.
    pub write: WriteMode,
    /// The verdict that this run must have for the whole to succeed.
    pub expect: Expect,
    /// Whether it promises to serve in order of arrival: an overtake is a violation then.
    pub fifo: bool,
}

/// The verdict a strategy is expected to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Expect {
    /// The books must balance.
    #[default]
    Pass,
    /// A control that must lose: if it balances, the comparison proved nothing.
    Fail,
}

/// What the VUs do. A closed load: each VU waits for its reply, thinks, and asks again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadPlan {
    /// Parts of the profile in order; each moves linearly from the count before it to its own.
    pub stages: Vec<Stage>,
    /// Pause after each reply.
    pub think: Duration,
    /// Stop each VU after so many iterations; `None` goes on until the stages end.
    pub iterations: Option<u32>,
    /// In whose name the VUs ask.
    pub users: UserMode,
    /// After the stages, how long an attempt in flight is awaited before it is cut off.
    pub graceful_stop: Duration,
    /// Longest wait for one reply.
    pub timeout: Duration,
    /// Which coupon is claimed.
    pub coupon: i64,
    /// Time between two looks at the remaining quantity, on the side; zero for none.
    pub probe: Duration,
}

/// Move to `vus` over `duration`; equal counts hold; zero duration jumps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stage {
    /// How long the move takes.
    #[serde(with = "duration_text")]
    pub duration: Duration,
    /// VUs at its end.
    pub vus: u32,
}

/// In whose name the VUs ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserMode {
    /// One login for all VUs, as in the published runs.
    #[default]
    Shared,
    /// One user for each VU.
    PerVu,
    /// A new user for each claim.
    PerClaim,
}

impl Default for ServerPlan {
    /// SQLite, leases in the process, 200 workers (Tomcat's default), 10 connections (Hikari's).
    fn default() -> Self {
        Self {
            db: None,
            redis: None,
            workers: 200,
            db_pool: 10,
            terms: Terms::default(),
            gap: Duration::ZERO,
            lock_log: false,
        }
    }
}

impl Default for LoadPlan {
    /// The published load's manners, without its stages: think 1 s, one login for all. Probed.
    fn default() -> Self {
        Self {
            stages: Vec::new(),
            think: Duration::from_secs(1),
            iterations: None,
            users: UserMode::Shared,
            graceful_stop: Duration::from_secs(30),
            timeout: Duration::from_mins(1),
            coupon: 1,
            probe: Duration::from_millis(100),
        }
    }
}

impl LoadPlan {
    /// The plan as resolved, for the bundle.
    pub fn to_json(&self) -> serde_json::Value {
        let span = |time: Duration| humantime::format_duration(time).to_string();
        serde_json::json!({
            "stages": self.stages,
            "think": span(self.think),
            "iterations": self.iterations,
            "users": self.users,
            "graceful_stop": span(self.graceful_stop),
            "timeout": span(self.timeout),
            "coupon": self.coupon,
            "probe": span(self.probe),
        })
    }

    /// Highest count of VUs at any time.
    pub fn vus_max(&self) -> u32 {
        self.stages.iter().map(|stage| stage.vus).max().unwrap_or(0)
    }

    /// Length of all stages, without the graceful stop.
    pub fn length(&self) -> Duration {
        self.stages.iter().map(|stage| stage.duration).sum()
    }

    /// VUs that the stages ask for `at` after the start, by linear interpolation (as k6's
    /// `ramping-vus` with `startVUs: 0`). After the last stage: 0.
    pub fn planned_at(&self, at: Duration) -> u32 {
        let mut begin = Duration::ZERO;
        let mut from = 0_u32;
        for stage in &self.stages {
            let end = begin + stage.duration;
            if at < end {
                let share = at.saturating_sub(begin).as_secs_f64() / stage.duration.as_secs_f64();
                let now = f64::from(from) + (f64::from(stage.vus) - f64::from(from)) * share;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "between two u32"
                )]
                return now.round() as u32;
            }
            begin = end;
            from = stage.vus;
        }
        0
    }
}

/// Durations as text with a unit (`10s`, `100ms`), in TOML and JSON alike.
pub mod duration_text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `10s`, `1m 30s`.
    ///
    /// # Errors
    /// Only the serializer's own.
    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*value))
    }

    /// Reads `10s`, `1m30s`, `100ms`; a bare number is refused.
    ///
    /// # Errors
    /// The text is not a duration with a unit.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).map_err(serde::de::Error::custom)
    }

    /// Reads one duration.
    ///
    /// # Errors
    /// A sentence with the remedy.
    pub fn parse(text: &str) -> Result<Duration, String> {
        humantime::parse_duration(text).map_err(|_| {
            format!(
                "`{text}` is not a duration; write a number with its unit, like 500ms, 10s or 1m30s"
            )
        })
    }
}

impl Scenario {
    /// The scenario as resolved, for the bundle. Addresses are shown without their passwords.
    pub fn to_json(&self) -> serde_json::Value {
        let span = |time: Duration| humantime::format_duration(time).to_string();
        let address = |url: &Option<String>| url.as_deref().map(crate::address::redacted);
        let server = &self.server;
        let strategies: Vec<_> = self
            .strategies
            .iter()
            .map(|plan| {
                serde_json::json!({
                    "lock": plan.lock, "write": plan.write, "expect": plan.expect,
                    "fifo": plan.fifo,
                })
            })
            .collect();
        serde_json::json!({
            "name": self.name,
            "description": self.description,
            "stock": self.stock,
            "one_per_user": self.one_per_user,
            "server": {
                "db": address(&server.db),
                "redis": address(&server.redis),
                "workers": server.workers,
                "db_pool": server.db_pool,
                "gap": span(server.gap),
                "wait": span(server.terms.wait),
                "lease": span(server.terms.lease),
                "poll": span(server.terms.poll),
                "attempts": server.terms.attempts,
                "backoff": span(server.terms.backoff),
                "lock_log": server.lock_log,
            },
            "load": self.load.to_json(),
            "strategy": strategies,
        })
    }
}
