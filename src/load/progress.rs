//! What people see while the VUs ask: a bar on a terminal, or a line now and then.
//!
//! This file does not decide where it talks: the caller says whether stderr is a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::run::Run;
use crate::scenario::{LoadPlan, Stage};

/// Ticks of the watch (10 Hz) between two plain lines: 5 s.
const LINE_EVERY: u32 = 50;
/// Ticks between two looks at the p95, which reads a megabyte or two.
const P95_EVERY: u32 = 5;

/// Who is watching.
pub enum Watch {
    /// Nobody.
    Nobody,
    /// A person on a terminal: a bar on standard error, ten times a second.
    Terminal,
    /// A log: one plain line every 5 s, without line end.
    Lines(Box<dyn FnMut(&str) + Send>),
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Terminal => "Terminal",
            Self::Lines(_) => "Lines",
        })
    }
}

/// The state of a run at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Moment {
    elapsed: Duration,
    length: Duration,
    /// Which stage of how many, from 1; one more than the count while the VUs drain.
    stage: usize,
    stages: usize,
    vus: u32,
    attempts: u64,
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    p95_us: u64,
}

impl Moment {
    pub(super) fn of(run: &Run) -> Self {
        let mut moment = Self::without_p95(run);
        moment.p95_us = run.timings.p95_us();
        moment
    }

    fn without_p95(run: &Run) -> Self {
        let elapsed = run.began().elapsed();
        let counts = run.tally.counts();
        Self {
            elapsed,
            length: run.plan.length(),
            stage: stage_at(&run.plan.stages, elapsed),
            stages: run.plan.stages.len(),
            vus: run.tally.vus(),
            attempts: counts.attempts(),
            acknowledged: counts.acknowledged,
            refused: counts.refused,
            unknown: counts.unknown,
            p95_us: 0,
        }
    }

    /// Whole seconds until the stages end, rounded up.
    fn left_s(&self) -> u64 {
        let left = self.length.saturating_sub(self.elapsed);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }

    fn stage_text(&self) -> String {
        if self.stage > self.stages {
            "drain".to_owned()
        } else {
            format!("stage {}/{}", self.stage, self.stages)
        }
    }

    /// Requests a second over the whole run so far.
    fn rate(&self) -> u64 {
        let millis = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.attempts.saturating_mul(1_000) / millis
    }

    /// The numbers that both forms show.
    fn numbers(&self) -> String {
        format!(
            "{} VUs · {}/s · {} acknowledged · {} refused · {} unknown · p95 {}.{} ms",
            self.vus,
            self.rate(),
            self.acknowledged,
            self.refused,
            self.unknown,
            self.p95_us / 1_000,
            self.p95_us % 1_000 / 100,
        )
    }
}

fn stage_at(stages: &[Stage], elapsed: Duration) -> usize {
    let mut end = Duration::ZERO;
    for (index, stage) in stages.iter().enumerate() {
        end += stage.duration;
        if elapsed < end {
            return index + 1;
        }
    }
    stages.len() + 1
}

/// Draws moments of one run for its watcher.
#[derive(Debug)]
pub(super) struct Display {
    watch: Watch,
    bar: ProgressBar,
    ticks: u32,
    p95_us: u64,
}

impl Display {
    pub(super) fn new(watch: Watch, plan: &LoadPlan) -> Self {
        let target = match watch {
            Watch::Terminal => ProgressDrawTarget::stderr_with_hz(10),
            Watch::Nobody | Watch::Lines(_) => ProgressDrawTarget::hidden(),
        };
        let length = u64::try_from(plan.length().as_millis()).unwrap_or(u64::MAX);
        let style = ProgressStyle::with_template("{prefix:11} [{bar:24}] {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let bar = ProgressBar::with_draw_target(Some(length), target).with_style(style);
        Self { watch, bar, ticks: 0, p95_us: 0 }
    }

    /// Called at each tick of the watch.
    pub(super) fn show(&mut self, run: &Run) {
        let (terminal, line) = match self.watch {
            Watch::Nobody => return,
            Watch::Terminal => (true, false),
            Watch::Lines(_) => (false, self.ticks % LINE_EVERY == LINE_EVERY - 1),
        };
        if line || (terminal && self.ticks.is_multiple_of(P95_EVERY)) {
            self.p95_us = run.timings.p95_us();
        }
        self.ticks = self.ticks.wrapping_add(1);
        if terminal || line {
            self.draw(&Moment { p95_us: self.p95_us, ..Moment::without_p95(run) });
        }
    }

    /// The last state: the bar goes, and a log gets its last line.
    pub(super) fn finish(&mut self, run: &Run) {
        if let Watch::Lines(_) = self.watch {
            self.draw(&Moment::of(run));
        }
        self.bar.finish_and_clear();
    }

    fn draw(&mut self, moment: &Moment) {
        if let Watch::Lines(say) = &mut self.watch {
            say(&format!(
                "{} · {} s left · {}",
                moment.stage_text(),
                moment.left_s(),
                moment.numbers()
            ));
            return;
        }
        self.bar.set_prefix(moment.stage_text());
        self.bar.set_position(u64::try_from(moment.elapsed.as_millis()).unwrap_or(u64::MAX));
        self.bar.set_message(format!("{} s left · {}", moment.left_s(), moment.numbers()));
    }
}
