//! Schedules of one shape.

use super::{Schedule, half_cosine};

/// A constant value.
///
/// ```
/// use lookahead_optim::schedule::{Constant, Schedule};
/// assert_eq!(Constant(0.1).at(12), 0.1);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(alias = "ConstantLR")]
pub struct Constant(
    /// The value.
    pub f64,
);

impl Schedule for Constant {
    fn at(&self, _step: usize) -> f64 {
        self.0
    }
}

/// `initial * factor^n`, where n is the number of milestones at or before the step: PyTorch's `MultiStepLR`.
///
/// ```
/// use lookahead_optim::schedule::{Schedule, StepDecay};
///
/// // A fifth after epochs 60, 120 and 160 of 390 steps.
/// let rate = StepDecay { initial: 0.1, factor: 0.2, milestones: vec![60 * 390, 120 * 390, 160 * 390] };
/// assert_eq!((rate.at(23_399), rate.at(23_400)), (0.1, 0.1 * 0.2));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "MultiStepLR")]
#[doc(alias = "StepLR")]
pub struct StepDecay {
    /// The value before the first milestone.
    pub initial: f64,
    /// The factor at each milestone.
    pub factor: f64,
    /// Steps, in any order; duplicates count twice.
    pub milestones: Vec<usize>,
}

impl Schedule for StepDecay {
    fn at(&self, step: usize) -> f64 {
        let passed = self.milestones.iter().filter(|m| **m <= step).count();
        (0..passed).fold(self.initial, |value, _| value * self.factor)
    }
}

/// A straight line from `initial` at step 0 to `last` at step `steps`, then constant: PyTorch's `LinearLR`.
///
/// ```
/// use lookahead_optim::schedule::{Ramp, Schedule};
/// let warm_up = Ramp { initial: 0.0, last: 0.4, steps: 4 };
/// assert_eq!((warm_up.at(1), warm_up.at(4), warm_up.at(9)), (0.1, 0.4, 0.4));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(alias = "LinearLR")]
pub struct Ramp {
    /// The value at step 0.
    pub initial: f64,
    /// The value at the end.
    pub last: f64,
    /// The step at which it ends.
    pub steps: usize,
}

impl Schedule for Ramp {
    fn at(&self, step: usize) -> f64 {
        if step >= self.steps {
            return self.last;
        }
        self.initial + (self.last - self.initial) * (step as f64 / self.steps as f64)
    }
}

/// Half a cosine from `initial` at step 0 to `last` at step `steps`, then constant. PyTorch's `CosineAnnealingLR` is the same up to that
/// step, then rises again. From a low to a high value it is a cosine warm-up.
///
/// ```
/// use lookahead_optim::schedule::{Cosine, Schedule};
/// let rate = Cosine { initial: 0.1, last: 0.0, steps: 100 };
/// assert!((rate.at(50) - 0.05).abs() < 1e-12);
/// assert_eq!((rate.at(0), rate.at(100), rate.at(101)), (0.1, 0.0, 0.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[doc(alias = "CosineAnnealingLR")]
pub struct Cosine {
    /// The value at step 0.
    pub initial: f64,
    /// The value at the end.
    pub last: f64,
    /// The step at which it ends.
    pub steps: usize,
}

impl Schedule for Cosine {
    fn at(&self, step: usize) -> f64 {
        if step >= self.steps {
            return self.last;
        }
        half_cosine(self.initial, self.last, step as f64 / self.steps as f64)
    }
}

/// airbench's slow step size: `1 - 0.95^5 * (step / steps)^3`, from 1 (no Lookahead) down to 0.226.
///
/// Use it as [`StepSize::Scheduled`](crate::lookahead::StepSize::Scheduled) with period 5. airbench ends with the slow weights in the
/// network, so evaluate there.
///
/// ```
/// use lookahead_optim::schedule::{Airbench, Schedule};
/// let size = Airbench { steps: 1000 };
/// assert_eq!(size.at(0), 1.0);
/// assert!((size.at(1000) - (1.0 - 0.95f64.powi(5))).abs() < 1e-15);
/// ```
///
/// # References
/// Jordan: *94 % on CIFAR-10 in 3.29 seconds on a single GPU*, 2024, [arXiv:2404.00498](https://arxiv.org/abs/2404.00498).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Airbench {
    /// The length of the run.
    pub steps: usize,
}

impl Schedule for Airbench {
    fn at(&self, step: usize) -> f64 {
        let fraction = if step >= self.steps { 1.0 } else { step as f64 / self.steps as f64 };
        1.0 - 0.95f64.powi(5) * fraction.powi(3)
    }
}
