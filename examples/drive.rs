//! The load room alone, without the command line: `drive URL VUS RAMP_S HOLD_S FOLDER [bars]`.
//! Prints the measured numbers as JSON.

use std::path::PathBuf;
use std::time::Duration;

use cplock::load::{Identity, Job, Stop, Target, Watch, drive};
use cplock::scenario::{LoadPlan, Stage, UserMode};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "its result")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("usage: drive URL VUS RAMP_S HOLD_S FOLDER [bars]");
    let target = Target::parse(&next()?)?;
    let vus: u32 = next()?.parse()?;
    let ramp = Duration::from_secs(next()?.parse()?);
    let hold = Duration::from_secs(next()?.parse()?);
    let folder = PathBuf::from(next()?);
    let watch = if next().is_ok() { Watch::Terminal } else { Watch::Nobody };
    rlimit::increase_nofile_limit(u64::MAX)?;
    let plan = LoadPlan {
        stages: vec![Stage { duration: ramp, vus }, Stage { duration: hold, vus }],
        think: Duration::ZERO,
        iterations: None,
        users: UserMode::Shared,
        graceful_stop: Duration::from_secs(30),
        timeout: Duration::from_secs(30),
        coupon: 1,
    };
    let job = Job {
        plan,
        target,
        identities: vec![Identity::of_token("bench")],
        run: "bench".to_owned(),
        ledger: folder.join("ledger.ndjson"),
        latency: folder.join("latency.hlog"),
    };
    let measured = drive(job, &Stop::new(), watch).await?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
