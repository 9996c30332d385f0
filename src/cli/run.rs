//! `cplock run`: for each strategy of a scenario fresh stock, a server of its own, the load, the
//! audit; then one comparison.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Context as _;

use super::args::RunArgs;
use super::check::read_scenario;
use super::exit::{Exit, usage};
use super::load::{drive, enough_files, run_id};
use super::printer::Printer;
use super::rest::Patience;
use super::serve::{COUPON_NAME, open_store};
use super::server_process::ServerProcess;
use super::{audit, signals, users};
use crate::bundle::{self, Bundle, RunFacts};
use crate::coupon::CouponId;
use crate::coupon::store::Store;
use crate::load::{Stop, Target};
use crate::lock::redis::facts::redis_facts;
use crate::report::Run;
use crate::scenario::{Scenario, StrategyPlan};
use crate::server::auth::{self, Tokens};
use crate::verify::Ruling;

/// Connections that `run` itself needs beside the server's pool.
const OWN_POOL: u32 = 2;

/// What all strategies of one invocation share.
struct Session<'a> {
    scenario: &'a Scenario,
    bundle: Bundle,
    secret: String,
    stop: Stop,
    printer: Printer,
    patience: Patience,
}

/// Runs every strategy, prints the comparison, and tells whether each had its announced verdict.
pub(super) async fn run(args: &RunArgs, printer: Printer) -> anyhow::Result<Exit> {
    let scenario = resolved(args)?;
    let stop = Stop::new();
    signals::pass_on_to(&stop, printer)?;
    enough_files(scenario.load.vus_max())?;
    let session = Session {
        bundle: Bundle::create(&args.out, &scenario.name, SystemTime::now())?,
        secret: auth::random_secret().context("cannot make a token secret")?,
        scenario: &scenario,
        stop,
        printer,
        patience: Patience::new(&args.rest, printer),
    };
    let (mut runs, mut exit) = (Vec::new(), Exit::Ok);
    for (number, strategy) in (1..).zip(&scenario.strategies) {
        if session.stop.is_set() {
            exit = exit.worst(Exit::Interrupted);
            break;
        }
        let part = session.bundle.part(&format!("{number:02}-{}", strategy.lock))?;
        let (facts, run) = session.strategy(*strategy, &part).await?;
        exit = exit.worst(end_of(&run, facts.interrupted));
        runs.push(run);
        // Written after each strategy, so that a later failure loses nothing.
        let report = audit::report_of(&scenario.name, &scenario.description, &facts, runs.clone());
        session.bundle.write_json(bundle::REPORT, &report)?;
    }
    if runs.is_empty() {
        printer.say("interrupted before any strategy ran");
        return Ok(exit);
    }
    super::report::print(&session.bundle.read_json(bundle::REPORT)?, args.format, printer)?;
    let end = if exit == Exit::Ok { "every strategy ended as announced" } else { exit.words() };
    printer.say(&format!("{}: {end}", session.bundle.path().display()));
    Ok(exit)
}

/// The scenario with environment and flags applied, and only the asked strategies.
fn resolved(args: &RunArgs) -> anyhow::Result<Scenario> {
    let mut scenario = read_scenario(&args.scenario)?;
    scenario.server = args.server.over(scenario.server);
    if !args.lock.is_empty() {
        let named = |lock| scenario.strategies.iter().find(move |plan| plan.lock == lock).copied();
        let missing = |lock| usage(format!("the scenario has no strategy `{lock}`"));
        scenario.strategies = args
            .lock
            .iter()
            .map(|lock| named(*lock).ok_or_else(|| missing(*lock)))
            .collect::<anyhow::Result<_>>()?;
    }
    scenario.check().map_err(|error| usage(format!("{}: {error}", args.scenario.display())))?;
    Ok(scenario)
}

fn end_of(run: &Run, interrupted: bool) -> Exit {
    let ruling = run.verdict.as_ref().map_or(Ruling::Unknown, |verdict| verdict.verdict);
    let verdict = Exit::of_expected(ruling, run.expect);
    if interrupted { verdict.worst(Exit::Interrupted) } else { verdict }
}

impl Session<'_> {
    /// One strategy from fresh stock to verdict, into `part`.
    async fn strategy(&self, plan: StrategyPlan, part: &Bundle) -> anyhow::Result<(RunFacts, Run)> {
        self.printer.say(&format!("{} + {}", plan.lock, plan.write.name()));
        let run = run_id();
        let db = self.database(part.path());
        let store = open_store(&db, OWN_POOL).await?;
        let coupon = CouponId(self.scenario.load.coupon);
        store.seed(coupon, COUPON_NAME, self.scenario.stock, self.scenario.one_per_user).await?;
        let tokens = Tokens::new(self.secret.as_bytes());
        let identities = users::inserted(&self.scenario.load, &store, &tokens, &run).await?;
        bundle_start(part, &store, coupon).await?;
        let mut facts = self.facts(&run, plan, &store).await?;
        part.write_json(bundle::RUN, &facts)?;

        let server =
            ServerProcess::start(&self.scenario.server, plan, &db, &self.secret, part).await?;
        let target = Target::parse(&server.url)?;
        let load = self.scenario.load.clone();
        let measured =
            drive(part, load, target, identities, &run, (&self.stop, self.printer)).await?;
        if !server.stop().await {
            let log = part.file(bundle::SERVER_LOG);
            let what = format!("warning: the server did not end well; see {}", log.display());
            self.printer.complain(&what);
        }

        facts.interrupted = measured.interrupted;
        facts.measured = Some(measured);
        part.write_json(bundle::RUN, &facts)?;
        audit::close_books(part, &store, coupon, self.patience).await?;
        let (verdict, entry) = audit::conclude_guarded(part, &facts, &store, self.patience).await?;
        store.close().await;
        self.printer.say(&crate::report::findings::headline(&verdict));
        Ok((facts, entry))
    }

    /// The scenario's database, or a fresh SQLite file in the run's folder.
    fn database(&self, folder: &Path) -> String {
        let fresh = || format!("sqlite://{}", folder.join(bundle::DATABASE).display());
        self.scenario.server.db.clone().unwrap_or_else(fresh)
    }

    async fn facts(
        &self,
        run: &str,
        plan: StrategyPlan,
        store: &Store,
    ) -> anyhow::Result<RunFacts> {
        let server = &self.scenario.server;
        let mut settings = store.server_facts().await?;
        // Its own pool is not the server's, which is told below.
        settings.retain(|(what, _)| what != "pool_size");
        if let Some(url) = &server.redis {
            // One that does not answer is told, with the remedy, by the server that needs it.
            settings.extend(redis_facts(url).await.unwrap_or_default());
        }
        settings.push(("workers".to_owned(), server.workers.to_string()));
        settings.push(("gap".to_owned(), humantime::format_duration(server.gap).to_string()));
        settings.push(("database connections".to_owned(), server.db_pool.to_string()));
        let leases = server.redis.as_deref().map(crate::address::redacted);
        settings.push(("leases".to_owned(), leases.unwrap_or("the server process".to_owned())));
        let (scenario, coupon) = (self.scenario, self.scenario.load.coupon);
        Ok(RunFacts {
            scenario: scenario.to_json(),
            strategy: Some(plan.lock.name().to_owned()),
            write: Some(plan.write.name().to_owned()),
            expect: plan.expect,
            fifo: plan.fifo,
            one_per_user: scenario.one_per_user,
            settings,
            ..audit::facts_of(&scenario.name, run, coupon, "its own server".to_owned())
        })
    }
}

async fn bundle_start(part: &Bundle, store: &Store, coupon: CouponId) -> anyhow::Result<()> {
    let before = store.snapshot(coupon).await?;
    Ok(part.write_json(bundle::BEFORE, &before)?)
}
