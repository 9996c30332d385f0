//! The finished numbers of one load run. Plain data: taken by `load`, stored in the bundle, drawn
//! by `report`. Nothing is computed here beyond sums.

use std::collections::BTreeMap;

/// What one load run measured. Counts satisfy `acknowledged + refused + unknown = attempts`.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Attempts in the ledger.
    pub attempts: u64,
    /// Told yes.
    pub acknowledged: u64,
    /// Told no, by reason (the word of `Refusal`); absent reasons did not occur.
    pub refused: BTreeMap<String, u64>,
    /// Not known, by reason (the word of `Doubt`); absent reasons did not occur.
    pub unknown: BTreeMap<String, u64>,
    /// From the first VU's start to the last attempt's end, in milliseconds.
    pub elapsed_ms: u64,
    /// Highest number of VUs at once.
    pub vus_max: u32,
    /// VUs whose task ended by a panic: a fault of ours, 0 in a sound run.
    pub vus_lost: u32,
    /// VUs that stopped early because every user of a `per-claim` plan had asked.
    #[serde(default)]
    pub vus_starved: u32,
    /// Bytes written to and read from connections, HTTP heads included.
    pub bytes_sent: u64,
    /// Bytes read from connections, HTTP heads included.
    pub bytes_received: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Latency over all attempts that got a reply, and for each outcome class that occurred:
    /// `all`, `acknowledged`, `refused`, `unknown`.
    pub latency: BTreeMap<String, Latency>,
    /// One line a second from the run's start, in order.
    pub seconds: Vec<Second>,
    /// Whether a signal ended the run early.
    pub interrupted: bool,
    /// CPU time of this process during the run, in milliseconds (user + system); 0 if not known.
    pub client_cpu_ms: u64,
    /// What the probes cost; absent where none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probed>,
}

/// What the probes of a run cost. They are in none of the run's other numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probed {
    /// Probes sent.
    pub count: u64,
    /// Of these: without an answer, or with one that cannot be read.
    pub failed: u64,
    /// Median latency of those that were answered, in microseconds; 0 without any.
    pub p50_us: u64,
    /// 95th percentile of the same.
    pub p95_us: u64,
    /// One sentence for each kind of probe that was given up before the end; usually none.
    #[serde(default)]
    pub stopped: Vec<String>,
}

/// Quantiles of one latency distribution, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// Samples.
    pub count: u64,
    /// Smallest.
    pub min_us: u64,
    /// Arithmetic mean.
    pub mean_us: f64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 95th percentile.
    pub p95_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Largest.
    pub max_us: u64,
}

/// One second of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// Seconds since the run's start at which this line was taken, from 1.
    pub second: u32,
    /// VUs active at that moment.
    pub vus: u32,
    /// VUs that the stages ask for at that moment.
    pub vus_planned: u32,
    /// Attempts that ended in the second before it.
    pub attempts: u64,
    /// Of these: told yes.
    pub acknowledged: u64,
    /// Of these: told no.
    pub refused: u64,
    /// Of these: not known.
    pub unknown: u64,
}

impl Measured {
    /// All refusals.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// All unknown outcomes.
    pub fn unknown_total(&self) -> u64 {
        self.unknown.values().sum()
    }
}
