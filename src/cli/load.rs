//! `cplock load`: the crowd, against any service that speaks the API.

use std::time::SystemTime;

use anyhow::Context as _;

use super::args::{LoadArgs, SummaryFormat};
use super::audit;
use super::check::read_scenario;
use super::exit::{Exit, usage};
use super::printer::Printer;
use super::{signals, users};
use crate::bundle::{self, Bundle, RunFacts};
use crate::coupon::{CouponId, Snapshot};
use crate::ledger::measured::Measured;
use crate::load::{self, Baseline, Identity, Job, Stop, Target, Watch};
use crate::report::summary::summary;
use crate::report::table::Canvas;
use crate::scenario::file::Shape;
use crate::scenario::{LoadPlan, UserMode};

/// Runs the load and leaves an open bundle for `verify`.
pub(super) async fn load(args: &LoadArgs, printer: Printer) -> anyhow::Result<Exit> {
    let (name, plan) = plan(args)?;
    let target = Target::parse(&args.target).map_err(usage)?;
    let stop = Stop::new();
    signals::pass_on_to(&stop, printer)?;
    enough_files(plan.vus_max())?;
    let before = load::baseline(&target, plan.coupon).await.with_context(|| {
        format!("cannot reach {}; start `cplock serve` or give --target", args.target)
    })?;
    let run = run_id();
    let identities = identities(args, &plan, &target, &run, (&stop, printer)).await?;
    let bundle = Bundle::create(&args.out, &name, SystemTime::now())?;
    let mut facts = facts(&name, &run, args, &plan);
    bundle.write_json(bundle::RUN, &facts)?;
    if let Some(before) = before {
        bundle.write_json(bundle::BEFORE, &snapshot(plan.coupon, before))?;
    }
    let measured = drive(&bundle, plan, target, identities, &run, (&stop, printer)).await?;
    facts.interrupted = measured.interrupted;
    facts.measured = Some(measured.clone());
    bundle.write_json(bundle::RUN, &facts)?;
    let report = audit::report_of(&name, "", &facts, vec![audit::entry(&facts, None)]);
    bundle.write_json(bundle::REPORT, &report)?;
    match args.format {
        SummaryFormat::Json => printer.data(&serde_json::to_string_pretty(&report)?)?,
        SummaryFormat::Table => {
            let canvas = Canvas { width: printer.width(), color: printer.color() };
            printer.data(&summary(&measured, canvas))?;
        }
    }
    printer.say(&format!("{} is written; `cplock verify` judges it", bundle.path().display()));
    Ok(exit_of(&measured))
}

fn snapshot(coupon: i64, told: Baseline) -> Snapshot {
    Snapshot {
        coupon: CouponId(coupon),
        initial: told.initial_quantity,
        remaining: told.quantity,
        issued: told.issued,
        last_row: told.last_user_coupon_id,
    }
}

/// Drives `plan` against `target` into `bundle`.
pub(super) async fn drive(
    bundle: &Bundle,
    plan: LoadPlan,
    target: Target,
    identities: Vec<Identity>,
    run: &str,
    (stop, printer): (&Stop, Printer),
) -> anyhow::Result<Measured> {
    let job = Job {
        plan,
        target,
        identities,
        run: run.to_owned(),
        ledger: bundle.file(bundle::LEDGER),
        latency: bundle.file(bundle::LATENCY),
        probes: bundle.file(bundle::PROBES),
    };
    let watch = if printer.bars() {
        Watch::Terminal
    } else {
        Watch::Lines(Box::new(move |line| printer.say(line)))
    };
    let measured = load::drive(job, stop, watch).await?;
    for why in measured.probes.iter().flat_map(|probes| &probes.stopped) {
        printer.complain(&format!("warning: {why}"));
    }
    Ok(measured)
}

/// A run's id: unique among the runs on one database, and short, since each row carries it.
pub(super) fn run_id() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}{:03x}", since.as_millis(), std::process::id() & 0xfff)
}

/// Each VU has a connection, and the process some files besides.
pub(super) fn enough_files(vus: u32) -> anyhow::Result<()> {
    let needed = u64::from(vus) + 128;
    let allowed = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    anyhow::ensure!(
        allowed >= needed,
        "{vus} VUs need {needed} open files and only {allowed} are allowed; raise `ulimit -Hn`"
    );
    Ok(())
}

fn plan(args: &LoadArgs) -> anyhow::Result<(String, LoadPlan)> {
    let (name, base) = match &args.scenario {
        Some(path) => {
            let scenario = read_scenario(path)?;
            (scenario.name, scenario.load)
        }
        None => ("load".to_owned(), LoadPlan::default()),
    };
    let shape = Shape {
        vus: args.vus,
        ramp: args.ramp,
        hold: args.hold,
        stages: args.stages.clone(),
        iterations: args.iterations.or(base.iterations),
    };
    let reshaped = args.scenario.is_none()
        || shape != Shape { iterations: shape.iterations, ..Shape::default() };
    let plan = LoadPlan {
        stages: if reshaped { shape.stages().map_err(usage)? } else { base.stages },
        think: args.think.unwrap_or(base.think),
        iterations: shape.iterations,
        users: args.users.map_or(base.users, UserMode::from),
        graceful_stop: args.graceful_stop.unwrap_or(base.graceful_stop),
        timeout: args.timeout.unwrap_or(base.timeout),
        coupon: args.coupon.unwrap_or(base.coupon),
        probe: args.probe.unwrap_or(base.probe),
    };
    plan.check().map_err(usage)?;
    Ok((name, plan))
}

async fn identities(
    args: &LoadArgs,
    plan: &LoadPlan,
    target: &Target,
    run: &str,
    (stop, printer): (&Stop, Printer),
) -> anyhow::Result<Vec<Identity>> {
    match &args.token {
        Some(token) if plan.users == UserMode::Shared => Ok(vec![Identity::of_token(token)]),
        Some(_) => Err(usage("--token is one login for all; it goes with --users shared")),
        None => users::signed_up(plan, target, run, stop, printer).await,
    }
}

fn facts(name: &str, run: &str, args: &LoadArgs, plan: &LoadPlan) -> RunFacts {
    let target = crate::address::redacted(&args.target);
    RunFacts {
        scenario: serde_json::json!({ "load": plan.to_json() }),
        ..audit::facts_of(name, run, plan.coupon, target)
    }
}

fn exit_of(measured: &Measured) -> Exit {
    let answered = measured.latency.get("all").is_some_and(|latency| latency.count > 0);
    let tested = if answered { Exit::Ok } else { Exit::Inconclusive };
    let ended = if measured.interrupted { Exit::Interrupted } else { Exit::Ok };
    tested.worst(ended)
}
