//! `cplock check`: what is wrong with a scenario, or what it would do, without doing it.

use std::path::Path;

use anyhow::Context as _;

use super::args::CheckArgs;
use super::exit::{Exit, usage};
use super::printer::Printer;
use crate::report::units::plain;
use crate::scenario::{Expect, Scenario, file};

/// Reads a scenario file.
///
/// # Errors
/// It cannot be opened (exit 1), or something in it is wrong (exit 2), with `file:line:column`.
pub(super) fn read_scenario(path: &Path) -> anyhow::Result<Scenario> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the scenario {}", path.display()))?;
    file::parse(&text).map_err(|error| usage(format!("{}:{error}", path.display())))
}

/// Prints what the scenario would do.
pub(super) fn check(args: &CheckArgs, printer: Printer) -> anyhow::Result<Exit> {
    let scenario = read_scenario(&args.scenario)?;
    printer.data(&plan_text(&scenario))?;
    Ok(Exit::Ok)
}

fn plan_text(scenario: &Scenario) -> String {
    let load = &scenario.load;
    let span = |time| humantime::format_duration(time).to_string();
    let stages: Vec<String> = load
        .stages
        .iter()
        .map(|stage| format!("{} to {} VUs", span(stage.duration), stage.vus))
        .collect();
    let mut lines = vec![
        format!("{}: {}", scenario.name, plain(&scenario.description)),
        format!("stock      {} units of coupon {}", scenario.stock, load.coupon),
        format!("stages     {} ({} in all)", stages.join(", then "), span(load.length())),
        format!("think      {}, reply limit {}", span(load.think), span(load.timeout)),
        format!(
            "server     {} workers, {} connections to {}, leases in {}",
            scenario.server.workers,
            scenario.server.db_pool,
            scenario.server.db.as_deref().map_or("a fresh SQLite file".to_owned(), shown),
            scenario.server.redis.as_deref().map_or("the server process".to_owned(), shown),
        ),
    ];
    let probes = if load.probe.is_zero() {
        "no probes".to_owned()
    } else {
        format!("probes every {}", span(load.probe))
    };
    let log = if scenario.server.lock_log { "lock log" } else { "no lock log" };
    lines.push(format!("evidence   {probes}, {log}"));
    for plan in &scenario.strategies {
        let expect =
            if plan.expect == Expect::Fail { "must lose (control)" } else { "must balance" };
        let order = if plan.fifo { ", in order of arrival" } else { "" };
        lines.push(format!("strategy   {} + {}: {expect}{order}", plan.lock, plan.write.name()));
    }
    let runs = u32::try_from(scenario.strategies.len()).unwrap_or(u32::MAX);
    lines.push(format!(
        "takes      about {}; deletes the rows of coupon {} in that database before each strategy",
        span(load.length() * runs),
        load.coupon
    ));
    lines.join("\n")
}

fn shown(url: &str) -> String {
    crate::address::redacted(url)
}
