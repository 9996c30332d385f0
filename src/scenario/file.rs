//! The scenario language: TOML text in, a checked [`Scenario`] or a placed error out.
//!
//! The structs below are the language; their docs are its reference, and a test holds that the
//! README documents each field. No files are opened here.

use std::time::Duration;

use serde::Deserialize;

use super::{Expect, LoadPlan, Scenario, ServerPlan, Stage, StrategyPlan, UserMode, duration_text};
use crate::coupon::WriteMode;
use crate::lock::{Strategy, Terms};

/// What is wrong with a scenario, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{what}")]
pub struct ScenarioError {
    /// `line:column: `, or nothing where the whole file is meant.
    place: String,
    /// What is wrong and what to write instead.
    what: String,
}

impl ScenarioError {
    /// An error about the scenario as a whole.
    pub fn new(what: impl Into<String>) -> Self {
        Self { place: String::new(), what: what.into() }
    }

    fn from_toml(text: &str, error: &toml::de::Error) -> Self {
        let place = error.span().map_or(String::new(), |span| {
            let before = &text[..text.len().min(span.start)];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            format!("{line}:{column}: ")
        });
        Self { place, what: with_nearest_name(error.message()) }
    }
}

/// Turns serde's list of expected names into the one that was probably meant.
fn with_nearest_name(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let Some(wrong) = names.next().filter(|_| unknown) else {
        return message.lines().collect::<Vec<_>>().join("; ");
    };
    let kind = if message.starts_with("unknown field") { "field" } else { "value" };
    let known: Vec<&str> = names.collect();
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, wrong).total_cmp(&strsim::jaro_winkler(b, wrong)));
    match nearest.filter(|name| strsim::jaro_winkler(name, wrong) > 0.7) {
        Some(name) => format!("unknown {kind} `{wrong}`; did you mean `{name}`?"),
        None => format!("unknown {kind} `{wrong}`; there are {}", known.join(", ")),
    }
}

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    name: String,
    #[serde(default)]
    description: String,
    stock: i64,
    #[serde(default)]
    one_per_user: bool,
    #[serde(default)]
    server: ServerText,
    #[serde(default)]
    lock: LockText,
    load: LoadText,
    #[serde(default)]
    evidence: EvidenceText,
    #[serde(default)]
    strategy: Vec<StrategyText>,
}

/// `[server]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerText {
    db: Option<String>,
    redis: Option<String>,
    workers: Option<u32>,
    db_pool: Option<u32>,
    gap: Option<Span>,
}

/// `[lock]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockText {
    wait: Option<Span>,
    lease: Option<Span>,
    poll: Option<Span>,
    attempts: Option<u32>,
    backoff: Option<Span>,
}

/// `[load]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadText {
    vus: Option<u32>,
    ramp: Option<Span>,
    hold: Option<Span>,
    #[serde(default)]
    stages: Vec<Stage>,
    think: Option<Span>,
    iterations: Option<u32>,
    #[serde(default)]
    users: UserMode,
    graceful_stop: Option<Span>,
    timeout: Option<Span>,
    coupon: Option<i64>,
}

/// `[evidence]`: what is written down during the run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceText {
    #[serde(default)]
    lock_log: bool,
    probe: Option<Span>,
}

/// `[[strategy]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyText {
    lock: Strategy,
    #[serde(default)]
    write: WriteMode,
    #[serde(default)]
    expect: Expect,
    #[serde(default)]
    fifo: bool,
}

/// A duration in the file.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
struct Span(#[serde(with = "duration_text")] Duration);

/// Reads a scenario.
///
/// # Errors
/// The first thing that is wrong, with line and column where one place is to blame.
pub fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let file: FileText =
        toml::from_str(text).map_err(|error| ScenarioError::from_toml(text, &error))?;
    let scenario = Scenario {
        server: ServerPlan {
            lock_log: file.evidence.lock_log,
            ..server_plan(&file.server, &file.lock)
        },
        load: load_plan(&file.load, &file.evidence)?,
        strategies: file.strategy.iter().map(StrategyText::plan).collect(),
        name: file.name,
        description: file.description,
        stock: stock(file.stock)?,
        one_per_user: file.one_per_user,
    };
    scenario.check()?;
    Ok(scenario)
}

impl StrategyText {
    fn plan(&self) -> StrategyPlan {
        StrategyPlan { lock: self.lock, write: self.write, expect: self.expect, fifo: self.fifo }
    }
}

fn stock(units: i64) -> Result<u32, ScenarioError> {
    let fits = u32::try_from(units).ok().filter(|units| *units <= 1_000_000_000);
    fits.ok_or_else(|| ScenarioError::new(format!("stock = {units}: must be 0 to 1,000,000,000")))
}

fn server_plan(server: &ServerText, lock: &LockText) -> ServerPlan {
    let standard = ServerPlan::default();
    let terms = Terms::default();
    let span = |given: Option<Span>, standard: Duration| given.map_or(standard, |span| span.0);
    ServerPlan {
        db: server.db.clone(),
        redis: server.redis.clone(),
        workers: server.workers.unwrap_or(standard.workers),
        db_pool: server.db_pool.unwrap_or(standard.db_pool),
        gap: span(server.gap, standard.gap),
        lock_log: standard.lock_log,
        terms: Terms {
            wait: span(lock.wait, terms.wait),
            lease: span(lock.lease, terms.lease),
            poll: span(lock.poll, terms.poll),
            attempts: lock.attempts.unwrap_or(terms.attempts),
            backoff: span(lock.backoff, terms.backoff),
        },
    }
}

fn load_plan(load: &LoadText, evidence: &EvidenceText) -> Result<LoadPlan, ScenarioError> {
    let shape = Shape {
        vus: load.vus,
        ramp: load.ramp.map(|span| span.0),
        hold: load.hold.map(|span| span.0),
        stages: load.stages.clone(),
        iterations: load.iterations,
    };
    let standard = LoadPlan::default();
    Ok(LoadPlan {
        stages: shape.stages()?,
        think: load.think.map_or(standard.think, |span| span.0),
        iterations: load.iterations,
        users: load.users,
        graceful_stop: load.graceful_stop.map_or(standard.graceful_stop, |span| span.0),
        timeout: load.timeout.map_or(standard.timeout, |span| span.0),
        coupon: load.coupon.unwrap_or(standard.coupon),
        probe: evidence.probe.map_or(standard.probe, |span| span.0),
    })
}

/// The two ways to say a load profile: VUs with ramp and hold, or explicit stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// VUs of the hold.
    pub vus: Option<u32>,
    /// From 0 to `vus`; without it all VUs start at once.
    pub ramp: Option<Duration>,
    /// How long `vus` stay; 30 s unless given, 10 min at the most with iterations.
    pub hold: Option<Duration>,
    /// Explicit stages, instead of the three above.
    pub stages: Vec<Stage>,
    /// Each VU's iterations, which only decides the default of `hold`.
    pub iterations: Option<u32>,
}

impl Shape {
    /// The stages this shape means.
    ///
    /// # Errors
    /// Both ways at once, or neither.
    pub fn stages(&self) -> Result<Vec<Stage>, ScenarioError> {
        let by_vus = self.vus.is_some() || self.ramp.is_some() || self.hold.is_some();
        if !self.stages.is_empty() {
            if by_vus {
                let what = "`stages` and `vus`/`ramp`/`hold` are two ways to say the same; use one";
                return Err(ScenarioError::new(what));
            }
            return Ok(self.stages.clone());
        }
        let Some(vus) = self.vus else {
            return Err(ScenarioError::new(
                "no load: give `vus` (with `ramp`, `hold`) or `stages`",
            ));
        };
        let hold_default = if self.iterations.is_some() { 600 } else { 30 };
        let hold = self.hold.unwrap_or(Duration::from_secs(hold_default));
        let ramp = self.ramp.unwrap_or(Duration::ZERO);
        Ok(vec![Stage { duration: ramp, vus }, Stage { duration: hold, vus }])
    }
}

impl Scenario {
    /// Whether the values are in range; called by [`parse`] and again after flags were applied.
    ///
    /// # Errors
    /// The first value that is out of range, with the range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let fail = |what: String| Err(ScenarioError::new(what));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let named = (1..=60).contains(&self.name.len()) && !self.name.starts_with('-');
        if !named || !self.name.chars().all(plain) {
            let wrong: String = self.name.chars().take(80).collect();
            return fail(format!(
                "name = {wrong:?}: use 1 to 60 lower-case letters, digits and, not in front, `-`; \
                 it names a folder"
            ));
        }
        if self.strategies.is_empty() {
            return fail("no [[strategy]]: name at least one, like `lock = \"fair\"`".to_owned());
        }
        self.server.check()?;
        self.load.check()
    }
}

impl ServerPlan {
    /// Whether the values are in range.
    ///
    /// # Errors
    /// The first value that is out of range, with the range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let fail = |what: String| Err(ScenarioError::new(what));
        if !(1..=100_000).contains(&self.workers) {
            return fail(format!("workers = {}: must be 1 to 100,000", self.workers));
        }
        if !(1..=10_000).contains(&self.db_pool) {
            return fail(format!("db_pool = {}: must be 1 to 10,000", self.db_pool));
        }
        let terms = &self.terms;
        if !(1..=100).contains(&terms.attempts) {
            return fail(format!("attempts = {}: must be 1 to 100", terms.attempts));
        }
        for (name, value) in [("wait", terms.wait), ("lease", terms.lease), ("poll", terms.poll)] {
            if value < Duration::from_millis(1) || value > Duration::from_hours(1) {
                return fail(format!("{name}: must be 1ms to 1h"));
            }
        }
        if self.gap > Duration::from_mins(1) {
            return fail("gap: must be at most 1m".to_owned());
        }
        if terms.backoff > Duration::from_hours(1) {
            return fail("backoff: must be at most 1h".to_owned());
        }
        Ok(())
    }
}

impl LoadPlan {
    /// Whether the values are in range.
    ///
    /// # Errors
    /// The first value that is out of range, with the range.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let fail = |what: &str| Err(ScenarioError::new(what));
        if !(1..=100_000).contains(&self.vus_max()) {
            return fail("vus: the highest stage must have 1 to 100,000 VUs");
        }
        let day = Duration::from_hours(24);
        if self.length() > day || self.length() < Duration::from_millis(100) {
            return fail("stages: must last 100ms to 24h in all");
        }
        if self.iterations == Some(0) {
            return fail("iterations: must be at least 1; leave it out for no limit");
        }
        if self.think > day || self.graceful_stop > day {
            return fail("think, graceful_stop: must be at most 24h");
        }
        if self.timeout < Duration::from_millis(1) || self.timeout > day {
            return fail("timeout: must be 1ms to 24h");
        }
        let probes = Duration::from_millis(10)..=Duration::from_hours(1);
        if !self.probe.is_zero() && !probes.contains(&self.probe) {
            return fail("probe: must be 10ms to 1h, or 0s for none");
        }
        Ok(())
    }
}
