//! When each VU comes and goes, computed from the stages alone. Pure: no clock, no VUs.
//!
//! Stages start VUs one by one and stop the newest first (k6's `ramping-vus`, and goose's test
//! plan). So the n-th VU to start sits in a known slot, and leaves when the count falls below it.

use std::time::Duration;

use crate::scenario::Stage;

/// One VU's place in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Berth {
    /// Its place among the VUs active at once, from 0; reused after the VU before it has gone.
    pub(super) slot: u32,
    /// When the stages let it go, since the run's start.
    pub(super) retires: Duration,
}

/// A berth for each VU that the stages ever start, in order of start.
pub(super) fn berths(stages: &[Stage]) -> Vec<Berth> {
    let mut berths = Vec::new();
    let mut from = 0;
    for (index, stage) in stages.iter().enumerate() {
        for slot in from..stage.vus {
            berths.push(Berth { slot, retires: leaves(stages, index, slot) });
        }
        from = stage.vus;
    }
    berths
}

/// When the slot filled in stage `filled` is given up: the first later stage that falls below it,
/// at its share of that stage; otherwise the end of all stages.
fn leaves(stages: &[Stage], filled: usize, slot: u32) -> Duration {
    let mut begin: Duration = stages.iter().take(filled + 1).map(|stage| stage.duration).sum();
    let mut from = stages.get(filled).map_or(0, |stage| stage.vus);
    for stage in stages.iter().skip(filled + 1) {
        if stage.vus <= slot && slot < from {
            let share = f64::from(from - 1 - slot) / f64::from(from - stage.vus);
            return begin + stage.duration.mul_f64(share);
        }
        begin += stage.duration;
        from = stage.vus;
    }
    begin
}

#[cfg(test)]
mod tests {
    use super::{Berth, berths};
    use crate::scenario::Stage;
    use std::time::Duration;

    fn stage(seconds: u64, vus: u32) -> Stage {
        Stage { duration: Duration::from_secs(seconds), vus }
    }

    fn berth(slot: u32, millis: u64) -> Berth {
        Berth { slot, retires: Duration::from_millis(millis) }
    }

    /// Ramp and hold: everybody stays to the very end.
    #[test]
    fn all_stay_until_the_end() {
        let plan = [stage(2, 3), stage(4, 3)];
        assert_eq!(berths(&plan), [berth(0, 6_000), berth(1, 6_000), berth(2, 6_000)]);
    }

    /// Up, down to one, up again: the newest leave first, and their slots are filled anew.
    #[test]
    fn newest_leave_first_and_slots_are_reused() {
        let plan = [stage(0, 3), stage(2, 1), stage(1, 2)];
        assert_eq!(
            berths(&plan),
            [berth(0, 3_000), berth(1, 1_000), berth(2, 0), berth(1, 3_000)],
            "slot 2 at once, slot 1 halfway down, then slot 1 again"
        );
    }

    /// Down to nobody, in the last stage.
    #[test]
    fn ramp_down_to_nobody() {
        let plan = [stage(1, 2), stage(2, 0)];
        assert_eq!(berths(&plan), [berth(0, 2_000), berth(1, 1_000)]);
    }

    /// Stages without anybody have no berths.
    #[test]
    fn nobody() {
        assert_eq!(berths(&[stage(3, 0)]), []);
    }
}
