//! Writes the bundle of a run that never was, of any size, for `scripts/bench verify`:
//!
//! ```text
//! big-bundle FOLDER ATTEMPTS
//! ```
//!
//! Books that balance: half of the attempts are acknowledged and have their rows, the rest are
//! told sold out. Every attempt carries all that the embedded server says under `fair`.

use std::path::PathBuf;

use cplock::bundle::{self, Bundle, RUN_SCHEMA, RunFacts};
use cplock::coupon::{CouponId, IssuedRow, Snapshot, UserId};
use cplock::ledger::file::Writer;
use cplock::ledger::measured::Measured;
use cplock::ledger::{Attempt, Facts, Outcome, Refusal};
use cplock::scenario::Expect;

const VUS: u32 = 2_000;
const RUN: &str = "19f0a1b2c3d4e5";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(folder), Some(attempts)) = (args.next(), args.next()) else {
        return Err("usage: big-bundle FOLDER ATTEMPTS".into());
    };
    let attempts: u32 = attempts.parse()?;
    let stock = attempts / 2;
    let now = std::time::SystemTime::now();
    let bundle = Bundle::create(&PathBuf::from(folder), "big", now)?;
    bundle.write_json(bundle::RUN, &facts(attempts))?;
    bundle.write_json(bundle::BEFORE, &snapshot(stock, stock))?;
    let ledger = Writer::create(&bundle.file(bundle::LEDGER), RUN)?;
    let mut rows = bundle.rows_writer()?;
    for n in 0..attempts {
        let attempt = attempt(n, stock);
        ledger.append(&attempt);
        if n < stock {
            rows.append(&[row(n, &attempt)])?;
        }
    }
    ledger.finish()?;
    rows.finish()?;
    bundle.write_json(bundle::AFTER, &snapshot(stock, 0))?;
    Ok(())
}

fn snapshot(stock: u32, remaining: u32) -> Snapshot {
    let issued = i64::from(stock - remaining);
    Snapshot {
        coupon: CouponId(1),
        initial: i64::from(stock),
        remaining: i64::from(remaining),
        issued,
        last_row: issued,
    }
}

/// Number `n` in order of arrival; each VU asks again 2,000 arrivals later.
fn attempt(n: u32, stock: u32) -> Attempt {
    let served = n < stock;
    let start_us = u64::from(n) * 100 + u64::from(n * 7 % 91);
    let number = u64::from(n) + 1;
    Attempt {
        vu: n % VUS,
        iteration: n / VUS,
        request: format!("{RUN}-{}-{}", n % VUS, n / VUS),
        user: i64::from(n % VUS) + 1,
        scheduled_us: start_us,
        start_us,
        end_us: start_us + 150_000,
        outcome: if served { Outcome::Acknowledged } else { Outcome::Refused(Refusal::SoldOut) },
        status: if served { 200 } else { 400 },
        facts: Facts {
            row: served.then_some(i64::from(n) + 1),
            quantity: served.then(|| i64::from(stock - n)),
            arrival: Some(number),
            ticket: Some(1_790_000_000_000_000 + number),
            token: Some(1_790_000_000_500_000 + number),
            grant: Some(number),
            wait_us: Some(149_000),
            hold_us: Some(700),
        },
    }
}

fn row(n: u32, attempt: &Attempt) -> IssuedRow {
    IssuedRow {
        row: i64::from(n) + 1,
        user: UserId(attempt.user),
        coupon: CouponId(1),
        request: attempt.request.clone(),
        created_us: 1_790_000_000_000_000 + i64::from(n) * 100,
    }
}

fn facts(attempts: u32) -> RunFacts {
    RunFacts {
        schema: RUN_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        name: "big".to_owned(),
        run: RUN.to_owned(),
        scenario: serde_json::Value::Null,
        strategy: Some("fair".to_owned()),
        write: Some("read-modify-write".to_owned()),
        expect: Expect::Pass,
        one_per_user: false,
        fifo: false,
        coupon: 1,
        started: "2026-11-22T10:00:00Z".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        machine: Vec::new(),
        settings: Vec::new(),
        interrupted: false,
        measured: Some(Measured { attempts: attempts.into(), ..Measured::default() }),
    }
}
