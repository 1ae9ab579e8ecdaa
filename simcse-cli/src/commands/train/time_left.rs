//! How long a run still takes: its steps, evaluations and checkpoints, each at its own pace.
//!
//! This file knows numbers. It must not know bars or clocks.

use std::time::Duration;

use simcse_train::Settings;

/// How much weight the newest of several measurements has.
const NEWEST: f64 = 0.2;

/// What a run has measured so far, and what it still has to do.
#[derive(Debug, Default)]
pub(super) struct TimeLeft {
    total_steps: u64,
    eval_steps: Option<u64>,
    save_steps: u64,
    /// Seconds of a step, smoothed; `None` before the first one.
    step: Option<f64>,
    /// Seconds of an evaluation.
    evaluation: Option<f64>,
    /// Seconds of a checkpoint.
    checkpoint: Option<f64>,
}

impl TimeLeft {
    pub(super) fn new(total_steps: u64, settings: &Settings) -> Self {
        Self { total_steps, eval_steps: settings.eval_steps, save_steps: settings.save_steps, ..Self::default() }
    }

    pub(super) fn on_step(&mut self, seconds: f64) {
        smooth(&mut self.step, seconds);
    }

    pub(super) fn on_evaluation(&mut self, seconds: f64) {
        smooth(&mut self.evaluation, seconds);
    }

    pub(super) fn on_checkpoint(&mut self, seconds: f64) {
        smooth(&mut self.checkpoint, seconds);
    }

    /// The time that is left when `step` steps are done, but not their evaluation or checkpoint;
    /// `None` before the first step. What has not been measured yet counts as nothing.
    pub(super) fn after(&self, step: u64) -> Option<Duration> {
        let steps = (self.total_steps - step) as f64 * self.step?;
        let evaluations = self.remaining(step, self.eval_steps) as f64 * self.evaluation.unwrap_or(0.0);
        let checkpoints = self.remaining(step, Some(self.save_steps)) as f64 * self.checkpoint.unwrap_or(0.0);
        Some(Duration::from_secs_f64(steps + evaluations + checkpoints))
    }

    /// How often something that happens every `every` steps, and after the last one, still happens
    /// from `step` on, this step included.
    fn remaining(&self, step: u64, every: Option<u64>) -> u64 {
        let Some(every) = every.filter(|&every| every <= self.total_steps) else { return 1 };
        let done = step.saturating_sub(1) / every;
        self.total_steps.div_ceil(every) - done
    }
}

fn smooth(mean: &mut Option<f64>, seconds: f64) {
    *mean = Some(mean.map_or(seconds, |mean| mean + NEWEST * (seconds - mean)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the schedule of the training loop and adds up what it costs from `from` on.
    fn simulated(total: u64, eval_steps: Option<u64>, save_steps: u64, from: u64) -> f64 {
        let due =
            |step: u64, every: Option<u64>| step == total || every.is_some_and(|every| step.is_multiple_of(every));
        let events = (from..=total).map(|step| {
            let steps = if step > from { 2.0 } else { 0.0 };
            let evaluation = if due(step, eval_steps) { 30.0 } else { 0.0 };
            steps + evaluation + if due(step, Some(save_steps)) { 7.0 } else { 0.0 }
        });
        events.sum()
    }

    #[test]
    fn evaluations_and_checkpoints_are_in_the_time_left() {
        for (total, eval_steps, save_steps) in
            [(10, Some(3), 4), (10, Some(5), 5), (10, None, 500), (7, Some(7), 1), (1, Some(1), 1), (9, Some(20), 2)]
        {
            let settings = Settings { eval_steps, save_steps, ..Settings::default() };
            let mut left = TimeLeft::new(total, &settings);
            assert_eq!(left.after(0), None);
            left.on_step(2.0);
            left.on_evaluation(30.0);
            left.on_checkpoint(7.0);
            for step in 1..=total {
                let expected = simulated(total, eval_steps, save_steps, step);
                let found = left.after(step).unwrap().as_secs_f64();
                assert_eq!(found, expected, "{step} of {total}, {eval_steps:?}, {save_steps}");
            }
        }
    }

    #[test]
    fn the_pace_follows_the_newest_measurements() {
        let mut left = TimeLeft::new(100, &Settings::default());
        left.on_step(1.0);
        assert_eq!(left.after(99), Some(Duration::from_secs(1)));
        (0..40).for_each(|_| left.on_step(3.0));
        let seconds = left.after(99).unwrap().as_secs_f64();
        assert!((2.99..=3.0).contains(&seconds), "{seconds}");
    }
}
