//! Polynomial and exponential schedules.

use super::Schedule;

/// From `initial` to `last` at step `steps`, then constant: `last + (initial - last) * (1 - step / steps)^power`.
///
/// PyTorch's `PolynomialLR` if `last` is 0. Power 1 is [`Ramp`](super::Ramp).
///
/// ```
/// use lookahead_optim::schedule::{Polynomial, Schedule};
/// let rate = Polynomial { initial: 0.4, last: 0.0, power: 2.0, steps: 100 };
/// assert_eq!([0, 50, 100, 101].map(|step| rate.at(step)), [0.4, 0.1, 0.0, 0.0]);
/// ```
#[doc(alias = "PolynomialLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polynomial {
    /// The value at step 0.
    pub initial: f64,
    /// The value at the end.
    pub last: f64,
    /// The power, above 0.
    pub power: f64,
    /// The step at which it ends.
    pub steps: usize,
}

impl Schedule for Polynomial {
    fn at(&self, step: usize) -> f64 {
        if step >= self.steps {
            return self.last;
        }
        let left = 1.0 - step as f64 / self.steps as f64;
        self.last + (self.initial - self.last) * left.powf(self.power)
    }
}

/// `initial * factor^step`, constant from step `steps` on: PyTorch's `ExponentialLR`.
///
/// ```
/// use lookahead_optim::schedule::{Exponential, Schedule};
/// let rate = Exponential { initial: 0.8, factor: 0.5, steps: 3 };
/// assert_eq!([0, 1, 3, 9].map(|step| rate.at(step)), [0.8, 0.4, 0.1, 0.1]);
/// ```
#[doc(alias = "ExponentialLR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exponential {
    /// The value at step 0.
    pub initial: f64,
    /// The factor per step.
    pub factor: f64,
    /// The step from which the value is constant; `usize::MAX` for never.
    pub steps: usize,
}

impl Schedule for Exponential {
    fn at(&self, step: usize) -> f64 {
        self.initial * self.factor.powf(step.min(self.steps) as f64)
    }
}
