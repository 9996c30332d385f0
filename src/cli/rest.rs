//! Waiting until the service has come to rest, and looking once more after the verdict. What
//! follows from it is judged in `verify`; where it is noted is `audit.rs`'s.
//!
//! Rest is a fingerprint, stock, count of rows and highest row id, that stays the same for a while:
//! a claim that was cut off may still commit. It is a guess, however long one waits; the look
//! after the verdict is what catches a wrong one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::args::RestFlags;
use super::printer::Printer;
use crate::bundle::{Late, REST_SCHEMA, Rest};
use crate::coupon::store::Store;
use crate::coupon::{CouponId, Snapshot, StoreError};

/// Looks at the fingerprint that must agree before the books are closed.
const LOOKS: u32 = 3;
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// Waiting longer than this is told.
const TELL_AFTER: Duration = Duration::from_secs(2);

/// The shortest wait in which rest can be seen at all.
pub(super) const SHORTEST: Duration = Duration::from_millis(400);

/// How long the service is given, and who is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    settle: Duration,
    guard: Duration,
    printer: Printer,
}

impl Patience {
    /// As the user asked for it.
    pub(super) fn new(flags: &RestFlags, printer: Printer) -> Self {
        Self { settle: flags.settle, guard: flags.guard, printer }
    }

    /// Stock and counts of `coupon` once they have come to rest, or as they are at the deadline.
    ///
    /// # Errors
    /// The database cannot be read, or does not know the coupon.
    pub(super) async fn rest(
        self,
        store: &Store,
        coupon: CouponId,
    ) -> Result<(Snapshot, Rest), StoreError> {
        let tell = || {
            self.printer.say(&format!(
                "coupon {} still moves; waiting for it to come to rest, {} at most",
                coupon.0,
                humantime::format_duration(self.settle)
            ));
        };
        let (seen, rest) =
            at_rest(async || store.snapshot(coupon).await, self.settle, tell).await?;
        if !rest.settled {
            self.printer.complain(&format!(
                "warning: coupon {} still moves; its books are closed all the same and judged as \
                 not settled; stop the load, or give it longer with --settle",
                coupon.0
            ));
        }
        Ok((seen, rest))
    }

    /// Looks once more, some time after the verdict on `stored`, and notes in `rest` what it
    /// found. Whether something had changed; not asked of what never came to rest.
    ///
    /// # Errors
    /// The database cannot be read; `rest` is as it was.
    pub(super) async fn moved_since(
        self,
        store: &Store,
        stored: &Snapshot,
        rest: &mut Rest,
    ) -> Result<bool, StoreError> {
        if !rest.settled || self.guard.is_zero() {
            return Ok(false);
        }
        sleep(self.guard).await;
        let now = store.snapshot(stored.coupon).await?;
        rest.guard_ms = millis(self.guard);
        rest.late = Late::between(stored, &now);
        if rest.late.is_some() {
            self.printer.complain(&format!(
                "warning: coupon {} moved after the verdict, which is withdrawn where that could \
                 change it",
                stored.coupon.0
            ));
        }
        Ok(rest.late.is_some())
    }
}

/// Looks until [`LOOKS`] agree or the next look would come after `longest`; `tell` is called once,
/// if it takes long.
async fn at_rest<E>(
    mut look: impl AsyncFnMut() -> Result<Snapshot, E>,
    longest: Duration,
    tell: impl FnOnce(),
) -> Result<(Snapshot, Rest), E> {
    let began = Instant::now();
    let mut last = look().await?;
    let (mut polls, mut same, mut tell) = (1, 1, Some(tell));
    while same < LOOKS && began.elapsed() + PAUSE <= longest {
        sleep(PAUSE).await;
        let now = look().await?;
        polls += 1;
        same = if now == last { same + 1 } else { 1 };
        last = now;
        if began.elapsed() >= TELL_AFTER
            && let Some(tell) = tell.take()
        {
            tell();
        }
    }
    let rest = Rest {
        schema: REST_SCHEMA.to_owned(),
        polls,
        waited_ms: millis(began.elapsed()),
        settled: same >= LOOKS,
        guard_ms: 0,
        late: None,
    };
    Ok((last, rest))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    //! Waiting, in virtual time.

    use std::convert::Infallible;

    use super::*;

    /// Looks at a store in which a row arrives every 300 ms until `moving` are there.
    async fn watch(moving: i64, longest: Duration) -> (i64, Rest, u32) {
        let began = Instant::now();
        let look = async || {
            let passed = i64::try_from(began.elapsed().as_millis() / 300).expect("short");
            let issued = passed.min(moving);
            let (initial, remaining) = (100, 100 - issued);
            let coupon = CouponId(1);
            Ok::<_, Infallible>(Snapshot { coupon, initial, remaining, issued, last_row: issued })
        };
        let mut told = 0;
        let Ok((seen, rest)) = at_rest(look, longest, || told += 1).await;
        (seen.issued, rest, told)
    }

    /// Goal: what does not move is at rest after three looks, without a word.
    #[tokio::test(start_paused = true)]
    async fn a_service_at_rest_is_believed_after_three_looks() {
        let (issued, rest, told) = watch(0, Duration::from_mins(1)).await;
        assert_eq!((issued, rest.polls, rest.waited_ms, rest.settled), (0, 3, 400, true));
        assert_eq!((rest.guard_ms, rest.late, told), (0, None, 0));
        let (_, rest, _) = watch(0, SHORTEST).await;
        assert!(rest.settled, "the shortest wait is long enough for what does not move");
    }

    /// Goal: rows that go on arriving are awaited to the last one, and a long wait is told once.
    #[tokio::test(start_paused = true)]
    async fn what_moves_is_awaited() {
        let (issued, rest, told) = watch(20, Duration::from_mins(1)).await;
        assert_eq!((issued, rest.settled, told), (20, true, 1));
        // The last row comes after 6 s; it is seen at once, and twice more.
        assert_eq!((rest.waited_ms, rest.polls), (6_400, 33));
    }

    /// Goal: the deadline ends the wait, and says so.
    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_the_wait() {
        let (issued, rest, _) = watch(i64::MAX, Duration::from_secs(3)).await;
        assert!(!rest.settled && issued >= 9, "{rest:?}");
        assert_eq!((rest.waited_ms, rest.polls), (3_000, 16));
        assert!(rest.unsettled().expect("moving").contains("after 3,000 ms"));
    }
}
