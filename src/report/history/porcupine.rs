//! Porcupine's events, one JSON object a line: the fields of its struct `Event` by their names, so
//! that Go's decoder reads a line into one. `Kind` is `false` for a call and `true` for a return.
//!
//! `Value` of a call is `{"op":"claim","user":…,"request":…}`, `{"op":"read"}` or
//! `{"op":"own","user":…}`; of a return `{"outcome":"acknowledged"|"refused"|"unknown",
//! "reason":…}`, `{"remaining":…,"issued":…}` (the second only where both were read at once) or
//! `{"count":…}`. `time` is in ns since the run's start; Porcupine itself takes the order of lines.
//! An unknown claim returns behind everything else: it may have taken effect at any time, or never.
//! Source: <https://github.com/anishathalye/porcupine>, `model.go`.

use std::io::Write;

use serde::Serialize;
use serde_json::{Value, json};

use super::moments::{Moment, Moments, Op};
use super::{HistoryError, NO_LEDGER};
use crate::ledger::Outcome;
use crate::ledger::attempts::AttemptRef;
use crate::ledger::probes::{Probe, Saw};
use crate::verify::Books;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    client_id: u32,
    kind: bool,
    value: Value,
    id: u64,
    #[serde(rename = "time")]
    time: u64,
}

/// All claims and answered probes; first and last a read of the stock before and after the run,
/// where it is known.
pub(super) fn events(
    books: &Books,
    probes: &[Probe],
    to: &mut dyn Write,
) -> Result<(), HistoryError> {
    let attempts = books.attempts.as_ref().ok_or(NO_LEDGER)?;
    let mut moments = Moments::new(attempts, probes, |_| true);
    if let Some(before) = &books.before {
        read(to, moments.books(), before.remaining, before.issued)?;
    }
    let mut unknown = Vec::new();
    for moment in moments.by_ref() {
        let value = match moment.op {
            Op::Claim(place) if !moment.end => asked(attempts.get(place)),
            Op::Claim(place) => match attempts.get(place).outcome() {
                Outcome::Acknowledged => json!({"outcome": "acknowledged"}),
                Outcome::Refused(why) => json!({"outcome": "refused", "reason": why.name()}),
                Outcome::Unknown(why) => {
                    unknown.push((moment, why));
                    continue;
                }
            },
            Op::Books => continue,
            Op::Probe(place) => seen(&probes[place].saw, moment.end),
        };
        write(to, &moment, value)?;
    }
    let last = moments.books();
    if let Some(after) = &books.after {
        read(to, last, after.remaining, after.issued)?;
    }
    for (moment, why) in unknown {
        let value = json!({"outcome": "unknown", "reason": why.name()});
        write(to, &Moment { at_us: last.at_us, ..moment }, value)?;
    }
    Ok(())
}

fn asked(attempt: AttemptRef<'_>) -> Value {
    json!({"op": "claim", "user": attempt.user(), "request": attempt.request().to_string()})
}

/// The value of a probe's call or return.
fn seen(saw: &Saw, end: bool) -> Value {
    match saw {
        Saw::Own(own) if end => json!({"count": own.count}),
        Saw::Own(own) => json!({"op": "own", "user": own.user}),
        _ if !end => json!({"op": "read"}),
        Saw::Remaining { quantity } => json!({"remaining": quantity}),
        Saw::Snapshot { quantity, issued } => json!({"remaining": quantity, "issued": issued}),
        Saw::Failed { .. } => Value::Null,
    }
}

/// A read of the books, with nothing else in between.
fn read(to: &mut dyn Write, call: Moment, remaining: i64, issued: i64) -> Result<(), HistoryError> {
    write(to, &call, json!({"op": "read"}))?;
    let saw = json!({"remaining": remaining, "issued": issued});
    write(to, &Moment { end: true, ..call }, saw)
}

fn write(to: &mut dyn Write, moment: &Moment, value: Value) -> Result<(), HistoryError> {
    let Moment { at_us, process, id, end, .. } = *moment;
    let time = at_us.saturating_mul(1_000);
    let event = Event { client_id: process, kind: end, value, id, time };
    serde_json::to_writer(&mut *to, &event).map_err(std::io::Error::from)?;
    to.write_all(b"\n")?;
    Ok(())
}
