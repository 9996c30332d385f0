//! The load generator against a scripted service on loopback.

#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

mod drive;
mod ends;
mod probes;
mod replies;
mod service;
mod sign_up;
