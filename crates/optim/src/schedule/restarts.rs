//! Cosine cycles with warm restarts.

use super::{Schedule, half_cosine};

/// Half a cosine from `peak` towards `last`, `cycles` times, each cycle `growth` times as long as the one before; then constant at `last`.
///
/// PyTorch's `CosineAnnealingWarmRestarts` with `T_0 = first_cycle`, `T_mult = growth` and `eta_min = last` never ends: set `cycles` to
/// `usize::MAX`. A cycle's last step is one short of `last`, and the next begins at `peak`.
///
/// ```
/// use lookahead_optim::schedule::{CosineRestarts, Schedule};
/// let rate = CosineRestarts { peak: 0.1, last: 0.0, first_cycle: 10, growth: 2, cycles: 2 };
/// assert!((rate.at(5) - 0.05).abs() < 1e-12 && (rate.at(20) - 0.05).abs() < 1e-12);
/// assert_eq!([0, 10, 30, 99].map(|step| rate.at(step)), [0.1, 0.1, 0.0, 0.0]);
/// ```
///
/// # References
/// Loshchilov, Hutter: *SGDR: Stochastic Gradient Descent with Warm Restarts*, 2017, [arXiv:1608.03983](https://arxiv.org/abs/1608.03983).
#[doc(alias = "CosineAnnealingWarmRestarts")]
#[doc(alias = "SGDR")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CosineRestarts {
    /// The value at the start of each cycle.
    pub peak: f64,
    /// The value that each cycle approaches.
    pub last: f64,
    /// Steps of the first cycle.
    pub first_cycle: usize,
    /// The length of each cycle relative to the one before; 1 for equal cycles.
    pub growth: usize,
    /// Number of cycles.
    pub cycles: usize,
}

impl Schedule for CosineRestarts {
    fn at(&self, step: usize) -> f64 {
        let (mut rest, mut length, mut left) = (step, self.first_cycle, self.cycles);
        if self.growth == 1 && length > 0 {
            // Skips all whole cycles at once, however many there are.
            left = left.saturating_sub(rest / length);
            rest %= length;
        }
        while left > 0 && length > 0 {
            if rest < length {
                return half_cosine(self.peak, self.last, rest as f64 / length as f64);
            }
            rest -= length;
            length = length.saturating_mul(self.growth);
            left -= 1;
        }
        self.last
    }
}
