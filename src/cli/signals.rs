//! SIGINT and SIGTERM for `load` and `run`: stop gracefully, then at once.
//!
//! Ours must be installed before goose's, whose second Ctrl-C would exit without a ledger.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context as _;

use super::printer::Printer;
use crate::load::Stop;

/// Passes signals on to `stop`: the first stops gracefully (attempts in flight are awaited), the
/// second cuts them off, the third ends the process.
pub(super) fn pass_on_to(stop: &Stop, printer: Printer) -> anyhow::Result<()> {
    let stop = stop.clone();
    let seen = AtomicU32::new(0);
    let handler = move || match seen.fetch_add(1, Ordering::Relaxed) {
        0 => {
            printer.complain("stopping: attempts in flight are awaited (again to cut them off)");
            stop.now();
        }
        1 => {
            printer.complain("cutting off attempts in flight (again to end at once)");
            stop.abort();
        }
        _ => end_at_once(),
    };
    ctrlc::set_handler(handler).context("cannot watch for Ctrl-C")
}

#[expect(clippy::exit, reason = "the third signal asks for exactly that")]
fn end_at_once() -> ! {
    std::process::exit(i32::from(super::Exit::Interrupted.code()))
}
