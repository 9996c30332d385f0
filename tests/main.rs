//! The whole suite as one binary, so that it links once. Each room has its own module.

mod ledger;
mod load;
mod scenario;
mod server;
mod support;
