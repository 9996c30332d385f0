//! Latency histograms: classes, quantiles, clamping, and the log that other tools can read.

use std::time::{Duration, SystemTime};

use cplock::ledger::timing::{MAX_US, Timings};
use cplock::ledger::{Doubt, Outcome, Refusal};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

/// Quantiles of a known distribution, spread over VUs, within the three digits promised.
#[test]
fn quantiles() {
    let timings = Timings::default();
    for us in 1..=10_000 {
        timings.record(us % 100, Outcome::Acknowledged, u64::from(us));
    }
    let all = timings.finish()["all"];
    assert_eq!((all.count, all.min_us), (10_000, 1));
    for (found, exact) in [
        (all.p50_us, 5_000),
        (all.p90_us, 9_000),
        (all.p95_us, 9_500),
        (all.p99_us, 9_900),
        (all.max_us, 10_000),
    ] {
        assert!(found.abs_diff(exact) <= exact / 1_000, "{found} for {exact}");
    }
    assert!((all.mean_us - 5_000.5).abs() < 5.0, "{}", all.mean_us);
    assert!(timings.p95_us().abs_diff(9_500) <= 9);
}

/// Who is in `all`: every attempt with a reply. Silence counts as unknown only, and a request that
/// was never sent has no latency.
#[test]
fn classes() {
    let timings = Timings::default();
    timings.record(0, Outcome::Acknowledged, 10);
    timings.record(1, Outcome::Refused(Refusal::SoldOut), 20);
    timings.record(2, Outcome::Unknown(Doubt::ServerError), 30);
    timings.record(3, Outcome::Unknown(Doubt::Timeout), 40);
    timings.record(4, Outcome::Refused(Refusal::Unsent), 50);
    let finished = timings.finish();
    let counts: Vec<_> = finished.iter().map(|(name, one)| (name.as_str(), one.count)).collect();
    assert_eq!(counts, [("acknowledged", 1), ("all", 3), ("refused", 1), ("unknown", 2)]);
    assert_eq!(finished["all"].max_us, 30);
    assert!(Timings::default().finish().is_empty());
    assert_eq!(Timings::default().p95_us(), 0);
}

/// What is longer than the range counts as its end and is told.
#[test]
fn clamped() {
    let timings = Timings::default();
    timings.record(0, Outcome::Acknowledged, MAX_US + 1);
    timings.record(0, Outcome::Acknowledged, 0);
    assert_eq!(timings.clamped(), 1);
    let all = timings.finish()["all"];
    assert_eq!(all.min_us, 1);
    assert!(all.max_us.abs_diff(MAX_US) <= MAX_US / 1_000);
}

/// The saved log is one that HdrHistogram's own reader understands, with the same counts.
#[test]
fn saved() {
    let timings = Timings::default();
    (1..=100).for_each(|us| timings.record(0, Outcome::Acknowledged, us));
    timings.record(1, Outcome::Unknown(Doubt::Reset), 7);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latency.hlog");
    timings.save(&path, SystemTime::now(), Duration::from_secs(3)).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let mut found = Vec::new();
    for entry in IntervalLogIterator::new(&bytes) {
        if let LogEntry::Interval(line) = entry.unwrap() {
            let packed = base64(line.encoded_histogram());
            let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut &*packed).unwrap();
            let tag = line.tag().unwrap().as_str().to_owned();
            assert_eq!(line.duration(), Duration::from_secs(3));
            found.push((tag, histogram.len(), histogram.max()));
        }
    }
    let line = |tag: &str, count, max| (tag.to_owned(), count, max);
    let expected = [line("acknowledged", 100, 100), line("all", 100, 100), line("unknown", 1, 7)];
    assert_eq!(found, expected);
}

/// Standard alphabet (RFC 4648, section 4), as the log's format has it.
fn base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        u32::try_from(alphabet.iter().position(|known| *known == byte).unwrap()).unwrap()
    };
    let mut out = Vec::new();
    for four in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = four.iter().fold(0, |bits, byte| bits << 6 | digit(*byte));
        let bits = bits << (6 * (4 - four.len()));
        out.extend(&bits.to_be_bytes()[1..four.len()]);
    }
    out
}
