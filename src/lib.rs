//! cplock: load-test a limited-stock endpoint and prove whether its books balance.
//!
//! # Rooms, in reading order
//!
//! | room | holds | may use |
//! |---|---|---|
//! | [`lock`] | who may enter: `none`, `spin`, `fair`; lease stores in this process and in Redis | – |
//! | [`coupon`] | what is issued: ids, the SQL store, write modes, the issuance flow | lock |
//! | [`scenario`] | what a test is: stock, server settings, strategies, stages, users | lock, coupon (names only) |
//! | [`server`] | how it is asked: HTTP API, tokens, arrival order, worker cap, drain | lock, coupon, ledger |
//! | [`ledger`] | the evidence of a run: attempts, outcomes, latencies, probes, the server's lock log | – |
//! | [`load`] | who asks: virtual users, connections, progress | scenario, ledger |
//! | [`verify`] | do the books balance: pure checks, no I/O, no clock, no async | coupon (types), ledger |
//! | [`bundle`] | what one run leaves on disk, and reading it back | scenario, coupon, ledger, verify |
//! | [`report`] | what is shown: finished numbers in, tables and documents out | scenario, ledger, verify |
//! | [`cli`] | what the user types; the only room that prints, exits or reads the environment | all |
//!
//! [`address`] is a single function that every room may use: it hides passwords in URLs.
//! `tests/tidy` fails on any other edge, and holds the home of each third-party crate.
//!
//! # Life of one claim (no way back)
//!
//! ```text
//! Scenario ─► Claim ─► HTTP ─► arrival no. ─► worker permit ─► acquire ─► read · write · COMMIT ─► release
//!    │ VU                                                       lock        store                    lock
//!    └ seeds the stock                                                                                 │
//! Report ◄─ Verdict ◄─ audit ◄─ Books ◄─ Ledger ◄─ Attempt ◄─ Outcome ◄─ Receipt, refusal or silence ◄─┘
//!                                   ▲
//!                                   └ final read of the store, VUs stopped, server drained
//! ```
//!
//! The library exists for the binary and its tests; it makes no promise of stability.

pub mod address;
pub mod bundle;
pub mod cli;
pub mod coupon;
pub mod ledger;
pub mod load;
pub mod lock;
pub mod report;
pub mod scenario;
pub mod server;
pub mod verify;
