//! The integration suite: one binary, one module a room.

mod ledger;
mod load;
