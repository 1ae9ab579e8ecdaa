//! The learning rate's course: linear warm-up from 0, then linear decay to 0.
//!
//! `factor(t) = t / w` for `t < w`, then `(T − t) / (T − w)`, with `w` warm-up steps of `T`.
//! transformers: `get_linear_schedule_with_warmup`.

/// A factor on the learning rate for each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearSchedule {
    /// Steps until the factor is 1.
    pub warmup_steps: u64,
    /// Steps of the run, warm-up included.
    pub total_steps: u64,
}

impl LinearSchedule {
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
    fn without_or_with_nothing_but_warm_up() {
        assert_eq!(factors(0, 2), [1.0, 0.5, 0.0]);
        assert_eq!(factors(2, 2), [0.0, 0.5, 0.0]);
        assert_eq!(factors(1, 1), [0.0, 0.0]);
        assert_eq!(factors(0, 0), [0.0]);
    }
}
