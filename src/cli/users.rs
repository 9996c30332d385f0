//! In whose name the VUs ask: users made over HTTP (`load`), or inserted and given tokens (`run`,
//! which knows its own server's secret and database).

use std::time::Duration;

use super::printer::Printer;
use crate::coupon::UserId;
use crate::coupon::store::Store;
use crate::load::{Identity, Stop, Target, sign_up};
use crate::scenario::{LoadPlan, UserMode};
use crate::server::auth::Tokens;

/// Most users that one run makes; a longer run by claims says so and ends early.
const USERS_MAX: u64 = 1_000_000;

/// How many users `plan` needs.
pub(super) fn needed(plan: &LoadPlan) -> u32 {
    let vus = u64::from(plan.vus_max());
    let needed = match plan.users {
        UserMode::Shared => 1,
        UserMode::PerVu => vus,
        UserMode::PerClaim => vus * claims_of_a_vu(plan),
    };
    u32::try_from(needed.min(USERS_MAX)).unwrap_or(u32::MAX)
}

/// An upper bound of one VU's claims: its iterations, or its time at the fastest plausible pace.
fn claims_of_a_vu(plan: &LoadPlan) -> u64 {
    if let Some(iterations) = plan.iterations {
        return u64::from(iterations);
    }
    let pace = plan.think.max(Duration::from_millis(10));
    u64::try_from(plan.length().as_millis() / pace.as_millis()).unwrap_or(u64::MAX / 1_000_000) + 1
}

/// Inserts the users that `plan` needs and mints a token for each.
///
/// # Errors
/// The database failed; no user of the failed transaction exists.
pub(super) async fn inserted(
    plan: &LoadPlan,
    store: &Store,
    tokens: &Tokens,
    run: &str,
) -> anyhow::Result<Vec<Identity>> {
    // They never sign in: their tokens are minted here, so no password matches.
    let users = store.add_users(needed(plan), run, "no password").await?;
    let identity =
        |user: UserId| Identity { user: user.0, token: format!("Bearer {}", tokens.mint(user)) };
    Ok(users.into_iter().map(identity).collect())
}

/// Signs the users that `plan` needs up and in, with progress.
///
/// # Errors
/// The target refused or cannot be reached; users made until then exist there.
pub(super) async fn signed_up(
    plan: &LoadPlan,
    target: &Target,
    run: &str,
    stop: &Stop,
    printer: Printer,
) -> anyhow::Result<Vec<Identity>> {
    let count = needed(plan);
    let step = (count / 10).max(100);
    let began = std::time::Instant::now();
    let progress = |done: u32| {
        if done.is_multiple_of(step) || (done == count && count > 1) {
            printer.say(&format!("signed up and in: {done} of {count} users"));
        }
    };
    let users = sign_up(target, count, run, stop, &progress).await?;
    if count > 1 {
        let rate = f64::from(count) / began.elapsed().as_secs_f64().max(0.001);
        printer.say(&format!("{count} users at {rate:.0} a second"));
    }
    Ok(users)
}
