//! The ledger's file and histograms, through their public doors.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod file;
mod locks;
mod probes;
mod timing;
