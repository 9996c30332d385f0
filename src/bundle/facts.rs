//! `run.json`: what ran, where, with which settings. Also what the machine says of itself.

use crate::ledger::measured::Measured;
use crate::scenario::Expect;

/// Version of `run.json`.
pub const RUN_SCHEMA: &str = "cplock.run/1";

/// What ran. Written before the load, and again with what was measured after it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFacts {
    /// [`RUN_SCHEMA`].
    pub schema: String,
    /// Version of cplock.
    pub version: String,
    /// Name of the scenario, or `load`.
    pub name: String,
    /// The run's id: the beginning of each of its request ids.
    pub run: String,
    /// The scenario as resolved, passwords hidden.
    pub scenario: serde_json::Value,
    /// Lock strategy, where the server was ours.
    pub strategy: Option<String>,
    /// Write mode, where the server was ours.
    pub write: Option<String>,
    /// The announced verdict.
    pub expect: Expect,
    /// Whether one user may hold one unit only.
    pub one_per_user: bool,
    /// Whether the service claims to serve in order of arrival.
    #[serde(default)]
    pub fifo: bool,
    /// Which coupon was claimed.
    pub coupon: i64,
    /// When it began, RFC 3339, UTC.
    pub started: String,
    /// Where the claims went, passwords hidden.
    pub target: String,
    /// The machine, as (what, value).
    pub machine: Vec<(String, String)>,
    /// Versions and settings of database, lease store and server, as (what, value).
    pub settings: Vec<(String, String)>,
    /// Whether a signal ended the load early.
    pub interrupted: bool,
    /// What the load measured; absent if it was killed.
    pub measured: Option<Measured>,
}

/// What the machine says of itself, as (what, value); parts that it does not say are left out.
pub fn machine_facts() -> Vec<(String, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str, cut: char| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(cut)?.1.trim().trim_matches('"').to_owned())
    };
    let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory_kb = after(&read("/proc/meminfo"), "MemTotal", ':')
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let facts = [
        ("system", after(&read("/etc/os-release"), "PRETTY_NAME", '=')),
        ("kernel", Some(read("/proc/sys/kernel/osrelease").trim().to_owned())),
        ("processor", after(&read("/proc/cpuinfo"), "model name", ':')),
        ("cores", Some(cpus.to_string())),
        ("memory", memory_kb.map(|kb| format!("{} MB", kb / 1024))),
    ];
    let known = |(what, value): (&str, Option<String>)| {
        Some((what.to_owned(), value.filter(|text| !text.is_empty())?))
    };
    facts.into_iter().filter_map(known).collect()
}
