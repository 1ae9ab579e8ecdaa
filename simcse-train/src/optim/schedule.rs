//! The learning-rate schedule: linear warm-up from 0, then linear decay to 0.
//!
//! `factor(t) = t / w` for `t < w`, then `(T − t) / (T − w)`, with `w` warm-up steps among `T`
//! steps. transformers: `get_linear_schedule_with_warmup`.

/// A factor on the learning rate for each step.
///
/// ```
/// use simcse_train::optim::schedule::LinearSchedule;
///
/// let schedule = LinearSchedule { warmup_steps: 2, total_steps: 6 };
/// let factors: Vec<f64> = (0..6).map(|step| schedule.factor(step)).collect();
/// assert_eq!(factors, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearSchedule {
    /// Steps until the factor is 1.
    pub warmup_steps: u64,
    /// Steps of the run, including the warm-up.
    pub total_steps: u64,
}

impl LinearSchedule {
    /// The factor for the step that follows the first `step` steps. With a warm-up, the first
    /// step's is 0.
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

    fn factors(warmup_steps: u64, total_steps: u64) -> Vec<f64> {
        let schedule = LinearSchedule { warmup_steps, total_steps };
        (0..=total_steps).map(|step| schedule.factor(step)).collect()
    }

    #[test]
    fn warms_up_from_zero_and_decays_to_zero() {
        let rises = [0.0, 1.0 / 3.0, 2.0 / 3.0];
        let falls = [1.0, 6.0 / 7.0, 5.0 / 7.0, 4.0 / 7.0, 3.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0];
        assert_eq!(factors(3, 10), [&rises[..], &falls].concat());
        assert_eq!(LinearSchedule { warmup_steps: 3, total_steps: 10 }.factor(u64::MAX), 0.0);
    }

    #[test]
    fn the_warm_up_may_be_absent_or_the_whole_run() {
        assert_eq!(factors(0, 2), [1.0, 0.5, 0.0]);
        assert_eq!(factors(2, 2), [0.0, 0.5, 0.0]);
        assert_eq!(factors(1, 1), [0.0, 0.0]);
        assert_eq!(factors(0, 0), [0.0]);
    }
}
