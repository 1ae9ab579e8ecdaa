//! The learning rate's course: linear warm-up from 0, then linear decay to 0.
//!
//! `factor(t) = t / w` for `t < w`, then `(T − t) / (T − w)`, with `w` warm-up steps of `T`.
//! transformers: `get_linear_schedule_with_warmup`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How long the learning rate rises, under the HF Trainer's names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Warmup {
    /// `⌈ratio · steps⌉` steps. transformers: `TrainingArguments.get_warmup_steps`.
    #[serde(rename = "warmup_ratio")]
    Ratio(f64),
    /// `⌊ratio · steps⌋` steps, as scripts from before the HF Trainer round.
    #[serde(rename = "warmup_ratio_rounded_down")]
    RatioDown(f64),
    /// So many steps.
    #[serde(rename = "warmup_steps")]
    Steps(u64),
}

impl Warmup {
    /// The steps of the warm-up in a run of `total_steps`.
    #[must_use]
    pub fn steps(self, total_steps: u64) -> u64 {
        match self {
            Self::Ratio(ratio) => (ratio * total_steps as f64).ceil() as u64,
            Self::RatioDown(ratio) => (ratio * total_steps as f64) as u64,
            Self::Steps(steps) => steps,
        }
    }
}

impl fmt::Display for Warmup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) | Self::RatioDown(ratio) => write!(f, "{ratio} of the steps"),
            Self::Steps(steps) => write!(f, "{steps} steps"),
        }
    }
}

/// A factor on the learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearSchedule {
    /// Steps until the factor is 1.
    pub warmup_steps: u64,
    /// Steps of the run, warm-up included.
    pub total_steps: u64,
}

impl LinearSchedule {
    /// The course of a run of `total_steps`.
    #[must_use]
    pub fn new(warmup: Warmup, total_steps: u64) -> Self {
        Self { warmup_steps: warmup.steps(total_steps), total_steps }
    }

    /// The factor for the optimizer step with `step` steps before it: 0 for the first one if there is a warm-up.
    #[must_use]
    pub fn factor(&self, step: u64) -> f64 {
        let Self { warmup_steps, total_steps } = *self;
        if step < warmup_steps {
            return step as f64 / warmup_steps as f64;
        }
        let decay_steps = total_steps.saturating_sub(warmup_steps).max(1);
        total_steps.saturating_sub(step) as f64 / decay_steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: LinearSchedule, steps: u64) -> Vec<f64> {
        (0..steps).map(|step| schedule.factor(step)).collect()
    }

    #[test]
    fn warms_up_from_zero_and_decays_to_zero() {
        let schedule = LinearSchedule::new(Warmup::Ratio(0.21), 10);
        assert_eq!(schedule.warmup_steps, 3);
        let expected =
            [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 6.0 / 7.0, 5.0 / 7.0, 4.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0];
        assert_eq!(factors(schedule, 10), expected);
        assert_eq!((schedule.factor(10), schedule.factor(u64::MAX)), (0.0, 0.0));
    }

    #[test]
    fn ratios_are_rounded() {
        let steps = [Warmup::Ratio(0.1), Warmup::RatioDown(0.1), Warmup::Steps(500)].map(|warmup| warmup.steps(288));
        assert_eq!(steps, [29, 28, 500]);
    }

    #[test]
    fn without_or_with_nothing_but_warm_up() {
        assert_eq!(factors(LinearSchedule::new(Warmup::Ratio(0.0), 2), 3), [1.0, 0.5, 0.0]);
        assert_eq!(factors(LinearSchedule::new(Warmup::Ratio(1.0), 2), 3), [0.0, 0.5, 0.0]);
        assert_eq!(factors(LinearSchedule::new(Warmup::Ratio(0.1), 1), 2), [0.0, 0.0]);
        assert_eq!(factors(LinearSchedule::new(Warmup::Ratio(0.1), 0), 1), [0.0]);
    }
}
