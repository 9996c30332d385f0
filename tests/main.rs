//! x
mod lock;
