//! Cosines one after the other.

use super::{Schedule, half_cosine};

/// Along half a cosine from `peak` towards `last`, `cycles` times, each cycle `growth` times as long as the one before; after the last, `last` is held.
///
/// PyTorch's `CosineAnnealingWarmRestarts` with `T_0 = first_cycle`, `T_mult = growth` and `eta_min = last`, which never ends:
/// `cycles: usize::MAX`. A cycle's last step is one short of `last`, and the next begins at `peak`.
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
    /// The value at which each cycle begins.
    pub peak: f64,
    /// The value towards which it goes.
    pub last: f64,
    /// Steps of the first cycle.
    pub first_cycle: usize,
    /// How many times longer each cycle is than the one before; 1 for all alike.
    pub growth: usize,
    /// How many cycles there are.
    pub cycles: usize,
}

impl Schedule for CosineRestarts {
    fn at(&self, step: usize) -> f64 {
        let (mut rest, mut length, mut left) = (step, self.first_cycle, self.cycles);
        if self.growth == 1 && length > 0 {
            // All at once, however many they are.
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
