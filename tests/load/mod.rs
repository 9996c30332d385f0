//! The load generator against a scripted service on loopback.

mod drive;
mod ends;
mod replies;
mod service;
mod sign_up;
