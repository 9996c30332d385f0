//! Latency histograms: recorded by many VUs at once, read live and at the end, saved as
//! `latency.hlog`.
//!
//! Source: HdrHistogram (Gil Tene): 3 significant digits, so each quantile is within 0.1 %.
//! Which attempt ran when is the ledger's matter, not kept here.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::measured::Latency;
use super::{Doubt, Outcome, Refusal};

/// Longest latency kept, in µs; longer ones count as this long and are counted apart.
pub const MAX_US: u64 = 60_000_000;

const SHARDS: usize = 16;

/// One distribution for each; `all` and `unknown` of the result are sums of these.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Class {
    Acknowledged,
    Refused,
    UnknownReplied,
    UnknownSilent,
}

impl Class {
    const ALL: [Self; 4] =
        [Self::Acknowledged, Self::Refused, Self::UnknownReplied, Self::UnknownSilent];

    /// `None` for a request that was never sent: it has no latency.
    fn of(outcome: Outcome) -> Option<Self> {
        match outcome {
            Outcome::Acknowledged => Some(Self::Acknowledged),
            Outcome::Refused(Refusal::Unsent) => None,
            Outcome::Refused(_) => Some(Self::Refused),
            Outcome::Unknown(Doubt::ServerError | Doubt::Unreadable) => Some(Self::UnknownReplied),
            Outcome::Unknown(Doubt::Timeout | Doubt::Reset | Doubt::CutOff) => {
                Some(Self::UnknownSilent)
            }
        }
    }

    /// The distributions of the result that it belongs to.
    fn groups(self) -> &'static [&'static str] {
        match self {
            Self::Acknowledged => &["all", "acknowledged"],
            Self::Refused => &["all", "refused"],
            Self::UnknownReplied => &["all", "unknown"],
            Self::UnknownSilent => &["unknown"],
        }
    }
}

/// The latencies of a run. Every method takes `&self`; shards keep VUs from waiting on each other.
#[derive(Debug)]
pub struct Timings {
    shards: [Mutex<Shard>; SHARDS],
    clamped: AtomicU64,
}

/// Histograms are 140 KB each, so they are made when first needed.
type Shard = [Option<Box<Histogram<u64>>>; 4];

impl Default for Timings {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new([const { None }; 4])),
            clamped: AtomicU64::new(0),
        }
    }
}

impl Timings {
    /// Records one latency in µs, from the client's start to the last byte of the reply.
    /// A request that was never sent is not recorded.
    pub fn record(&self, vu: u32, outcome: Outcome, latency_us: u64) {
        let Some(class) = Class::of(outcome) else { return };
        if latency_us > MAX_US {
            self.clamped.fetch_add(1, Ordering::Relaxed);
        }
        let mut shard = hold(&self.shards[vu as usize % SHARDS]);
        let histogram = shard[class as usize].get_or_insert_with(|| Box::new(empty()));
        histogram.saturating_record(latency_us.clamp(1, MAX_US));
    }

    /// Latencies above [`MAX_US`].
    pub fn clamped(&self) -> u64 {
        self.clamped.load(Ordering::Relaxed)
    }

    /// 95th percentile in µs over all attempts with a reply so far; 0 without any.
    pub fn p95_us(&self) -> u64 {
        let mut all = empty();
        for class in Class::ALL.into_iter().filter(|class| class.groups().contains(&"all")) {
            self.merge(class, &mut all);
        }
        all.value_at_quantile(0.95)
    }

    /// Finished distributions: `all` (attempts with a reply), `acknowledged`, `refused` (those
    /// sent), `unknown` (until the reply or until giving up); absent where nothing was recorded.
    pub fn finish(&self) -> BTreeMap<String, Latency> {
        let groups = self.groups();
        groups.iter().map(|(name, histogram)| ((*name).to_owned(), summary(histogram))).collect()
    }

    /// Writes the distributions as an HdrHistogram interval log (V2, deflated, base64), one line
    /// each, tagged with its name; readable by the usual HdrHistogram tools. Values are µs, and the
    /// log's own `Interval_Max` column is in ms.
    ///
    /// # Errors
    /// The file could not be written; it may hold a part.
    pub fn save(&self, path: &Path, began: SystemTime, length: Duration) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut serializer = V2DeflateSerializer::new();
        let mut log = IntervalLogWriterBuilder::new()
            .add_comment("cplock: latency in microseconds, one line an outcome class")
            .with_start_time(began)
            .with_base_time(began)
            .with_max_value_divisor(1_000.0)
            .begin_log_with(&mut file, &mut serializer)?;
        for (name, histogram) in self.groups() {
            log.write_histogram(&histogram, Duration::ZERO, length, Tag::new(name))
                .map_err(|error| io::Error::other(format!("{error:?}")))?;
        }
        file.flush()
    }

    fn groups(&self) -> BTreeMap<&'static str, Histogram<u64>> {
        let mut groups = BTreeMap::new();
        for class in Class::ALL {
            let mut merged = empty();
            self.merge(class, &mut merged);
            if merged.is_empty() {
                continue;
            }
            for group in class.groups() {
                add(groups.entry(*group).or_insert_with(empty), &merged);
            }
        }
        groups
    }

    fn merge(&self, class: Class, into: &mut Histogram<u64>) {
        for shard in &self.shards {
            if let Some(part) = &hold(shard)[class as usize] {
                add(into, part);
            }
        }
    }
}

/// Counts are whole after every record, so a panic elsewhere does not spoil them.
fn hold(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3).expect("1 to 60 s with 3 digits are valid bounds")
}

fn add(to: &mut Histogram<u64>, part: &Histogram<u64>) {
    to.add(part).expect("all histograms have the same bounds");
}

fn summary(histogram: &Histogram<u64>) -> Latency {
    Latency {
        count: histogram.len(),
        min_us: histogram.min(),
        mean_us: histogram.mean(),
        p50_us: histogram.value_at_quantile(0.50),
        p90_us: histogram.value_at_quantile(0.90),
        p95_us: histogram.value_at_quantile(0.95),
        p99_us: histogram.value_at_quantile(0.99),
        max_us: histogram.max(),
    }
}
