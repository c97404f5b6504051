//! Schedule-Free: averaging the iterates instead of scheduling the learning rate.

mod adamw;
mod sgd;

pub use adamw::{ScheduleFreeAdamW, ScheduleFreeAdamWConfig, ScheduleFreeAdamWUpdate};
pub use sgd::{ScheduleFreeSgd, ScheduleFreeSgdConfig, ScheduleFreeSgdUpdate};

use crate::Result;
use crate::error::{in_range, not_negative};
use crate::rule::Clock;

/// The weight of each iterate in the average of Schedule-Free, and the warm-up.
///
/// The t-th iterate (from 1) has weight `t^step_power * rate^rate_power`, where `rate` is the largest learning rate so far, warm-up
/// included.
///
/// | field | default | meaning | range |
/// | --- | --- | --- | --- |
/// | `warm_up` | 0 | steps of linear warm-up: the t-th uses `t / warm_up` of the learning rate | |
/// | `step_power` | 0 | more than 0 favours late iterates; the reference's `r` | `[0, inf)` |
/// | `rate_power` | 2 | how strongly the iterates of the warm-up are discounted; the reference's `weight_lr_power` | `[0, inf)` |
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct IterateWeights {
    /// Steps of the warm-up.
    #[doc(alias = "warmup_steps")]
    pub warm_up: usize,
    /// Exponent of the step.
    #[doc(alias = "r")]
    pub step_power: f64,
    /// Exponent of the learning rate.
    #[doc(alias = "weight_lr_power")]
    pub rate_power: f64,
}

impl Default for IterateWeights {
    fn default() -> Self {
        Self { warm_up: 0, step_power: 0.0, rate_power: 2.0 }
    }
}

/// A parameter's running values, in [`Clock::sums`]: the total weight of all iterates, and the largest learning rate.
pub(crate) const SUMS: &[&str] = &["iterate_weights", "largest_rate"];

impl IterateWeights {
    pub(crate) fn validate(&self) -> Result<()> {
        not_negative("step_power", self.step_power)?;
        not_negative("rate_power", self.rate_power)
    }

    /// The learning rate of the t-th step.
    pub(crate) fn rate(&self, learning_rate: f64, t: f64) -> f64 {
        if t < self.warm_up as f64 { learning_rate * (t / self.warm_up as f64) } else { learning_rate }
    }

    /// Adds the t-th iterate.
    pub(crate) fn count(&self, learning_rate: f64, t: f64, clock: &mut Clock) {
        let [sum, largest] = &mut clock.sums;
        *largest = largest.max(self.rate(learning_rate, t));
        *sum += self.weight(t, *largest);
    }

    /// The t-th iterate's share in the average that includes it; 0 if all weights are 0.
    pub(crate) fn share(&self, t: f64, clock: &Clock) -> f64 {
        let [sum, largest] = clock.sums;
        if sum > 0.0 { self.weight(t, largest) / sum } else { 0.0 }
    }

    fn weight(&self, t: f64, largest_rate: f64) -> f64 {
        t.powf(self.step_power) * largest_rate.powf(self.rate_power)
    }
}

/// The average's offset from the trained weights, as a multiple of the offset to the iterate.
pub(crate) fn way_to_average(momentum: f64) -> f64 {
    -(1.0 - momentum) / momentum
}

pub(crate) fn between_zero_and_one(what: &'static str, value: f64) -> Result<()> {
    in_range(value > 0.0 && value < 1.0, what, value, "(0, 1)")
}
