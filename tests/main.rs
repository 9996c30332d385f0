//! The integration suite: one binary, one module a room, so that it links once.

mod bundle;
mod report;
mod tidy;
mod verify;
