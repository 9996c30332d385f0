//! The whole suite as one binary, so that it links once. Each room has its own module.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there and then")]

mod bundle;
mod cli;
mod coupon;
mod ledger;
mod load;
mod lock;
mod readme;
mod report;
mod scenario;
mod server;
mod support;
mod tidy;
mod verify;
