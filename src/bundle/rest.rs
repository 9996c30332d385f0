//! `rest.json`: whether the service had come to rest when its books were closed, and whether it
//! stayed so. Looking is `cli`'s; what follows for the verdict is decided in [`crate::verify`].

use crate::coupon::Snapshot;
use crate::verify::grouped;

/// Version of `rest.json`.
pub const REST_SCHEMA: &str = "cplock.rest/1";

/// How stock and counts were awaited. Written with the books, and again after the verdict if
/// something still came in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// [`REST_SCHEMA`].
    pub schema: String,
    /// How often stock and counts were read.
    pub polls: u32,
    /// From the first of these readings to the last, in ms.
    pub waited_ms: u64,
    /// Whether the last few agreed. Otherwise the books were closed while something moved.
    pub settled: bool,
    /// How long after the verdict they were read once more, in ms; 0 where they were not.
    pub guard_ms: u64,
    /// What that last reading found to be different.
    pub late: Option<Late>,
}

/// What moved after the books were closed: later reading − stored reading. Saturates.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Late {
    /// See [`Snapshot::initial`].
    pub initial: i64,
    /// See [`Snapshot::remaining`].
    pub remaining: i64,
    /// See [`Snapshot::issued`].
    pub issued: i64,
    /// See [`Snapshot::last_row`].
    pub last_row: i64,
}

impl Late {
    /// What changed from `stored` to `later`; `None` if nothing did.
    pub fn between(stored: &Snapshot, later: &Snapshot) -> Option<Self> {
        (stored != later).then(|| Self {
            initial: later.initial.saturating_sub(stored.initial),
            remaining: later.remaining.saturating_sub(stored.remaining),
            issued: later.issued.saturating_sub(stored.issued),
            last_row: later.last_row.saturating_sub(stored.last_row),
        })
    }
}

impl Rest {
    /// Why these books are not those of a service at rest, as a clause; `None` if they are.
    pub fn unsettled(&self) -> Option<String> {
        let ms = |ms: u64| grouped(i64::try_from(ms).unwrap_or(i64::MAX));
        if let Some(late) = &self.late {
            return Some(format!(
                "the service still moved within {} ms after the verdict: {} rows, {} units, and \
                 the highest row id by {}",
                ms(self.guard_ms),
                signed(late.issued),
                signed(late.remaining),
                signed(late.last_row)
            ));
        }
        let waited = ms(self.waited_ms);
        (!self.settled).then(|| {
            format!("the service was still moving after {waited} ms, when its books were closed")
        })
    }
}

fn signed(number: i64) -> String {
    let sign = if number > 0 { "+" } else { "" };
    format!("{sign}{}", grouped(number))
}
