//! The integration suite: one binary, one module a room, so that it links once.

mod tidy;
mod verify;
