//! The only file that names goose: it starts the VUs by the stages, and ends when all have gone.
//!
//! goose's part is the schedule: which VU begins when. A VU's life is one transaction, given by
//! the caller, which also knows when it ends (`shape.rs`); requests, clients, books, signals and
//! printing are not goose's. Everything it does beyond the schedule is switched off here:
//! metrics (and their reset after the ramp), its telnet port, its tables, a TLS client per user.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{Scenario, Transaction};
use goose::{GooseAttack, GooseError};
use tokio::time::MissedTickBehavior;

use super::LoadError;
use super::process::QuietStdout;
use crate::scenario::Stage;

/// goose's stop switch is one for the whole process, so attacks take turns.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What one VU does from its start to its end; the argument counts the starts from 0.
pub(super) type Life = Arc<dyn Fn(u32) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the schedule needs to know of the run.
pub(super) struct Script {
    /// Called at the very start of the stages.
    pub(super) began: Box<dyn Fn() + Send + Sync>,
    /// Called for each VU that starts.
    pub(super) life: Life,
    /// Asked again and again: whether no further VU should start. It stays true once it was.
    pub(super) over: Box<dyn Fn() -> bool + Send + Sync>,
}

/// How often `over` is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Starts a VU whenever the stages ask for one more, until they end or the script says so, and
/// returns when every life has ended. Lives are not ended here. Waits while another attack runs.
///
/// Run it as a task: dropping the future does not end the VUs, which are tasks of their own.
pub(super) async fn attack(stages: &[Stage], script: Script) -> Result<(), LoadError> {
    let Script { began, life, over } = script;
    let _turn = ONE_AT_A_TIME.lock().await;
    let quiet = QuietStdout::new()
        .map_err(|error| LoadError::Engine(format!("cannot set standard output aside: {error}")))?;
    // goose's line is out before the first VU starts (see `configuration`), or never comes.
    let quiet = Mutex::new(Some(quiet));
    let first_ends_quiet: Life = Arc::new(move |vu| {
        drop(quiet.lock().unwrap_or_else(PoisonError::into_inner).take());
        life(vu)
    });
    let mut attack = Box::pin(prepare(stages, began, first_ends_quiet)?.execute());
    let mut ask = tokio::time::interval(ASK_EVERY);
    ask.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            ended = &mut attack => return ended.map(|_| ()).map_err(|error| fault(&error)),
            // Repeated, because goose forgets a stop that comes before its start.
            _ = ask.tick() => if over() {
                goose::trigger_killswitch("cplock stops the run");
            }
        }
    }
}

fn prepare(
    stages: &[Stage],
    began: Box<dyn Fn() + Send + Sync>,
    life: Life,
) -> Result<GooseAttack, LoadError> {
    let opening = Transaction::new(Arc::new(move |_| {
        began();
        Box::pin(std::future::ready(Ok(())))
    }));
    let whole_life = Transaction::new(Arc::new(move |user| {
        let vu = u32::try_from(user.weighted_users_index).unwrap_or(u32::MAX);
        let life = life(vu);
        Box::pin(async move {
            life.await;
            // The life is over: this makes goose let the user go instead of beginning again.
            user.config.iterations = Some(1);
            Ok(())
        })
    }));
    let builder = GooseClientBuilder::new().without_cookies();
    let attack = GooseAttack::initialize_with_config(configuration(stages)?)
        .and_then(|attack| attack.set_client_builder_without_cookies(builder))
        .map_err(|error| fault(&error))?;
    Ok(attack
        .test_start(opening)
        .register_scenario(Scenario::new("claim").register_transaction(whole_life)))
}

/// The stages as goose's test plan. Its field is private; serde is the only way to whole
/// milliseconds (the text form has seconds).
fn configuration(stages: &[Stage]) -> Result<GooseConfiguration, LoadError> {
    let mut quiet = GooseConfiguration::default();
    // Never asked: requests are made elsewhere.
    quiet.host = Some("http://localhost/".to_owned());
    quiet.quiet = 2;
    quiet.no_metrics = true;
    quiet.no_print_metrics = true;
    quiet.no_telnet = true;
    quiet.no_gzip = true;
    // goose prints "N users launched." at the end of its first step, whatever it is told. This
    // empty step has it do so at the very start, while standard output is set aside.
    let mut steps: Vec<(u32, u128)> = vec![(0, 0)];
    steps.extend(stages.iter().map(|stage| (stage.vus, stage.duration.as_millis())));
    // Without an end at zero goose holds the last count for ever.
    if steps.last().is_some_and(|(vus, _)| *vus > 0) {
        steps.push((0, 0));
    }
    let private = |error: serde_json::Error| LoadError::Engine(format!("goose's plan: {error}"));
    let mut value = serde_json::to_value(quiet).map_err(private)?;
    value["test_plan"] = serde_json::json!({ "steps": steps, "current": 0 });
    serde_json::from_value(value).map_err(private)
}

fn fault(error: &GooseError) -> LoadError {
    LoadError::Engine(format!("goose: {error}"))
}
